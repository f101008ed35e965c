"""Bodies: HTTP's encodings, and ClickHouse's own compressed blocks."""

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable

import lz4.frame
import pytest
import zstandard

from infra.clickhouse_server.blocks import DATA_BYTES, compress_blocks, decompress_blocks
from infra.clickhouse_server.compression import compress, decompress
from infra.clickhouse_server.errors import ServerError

TEXT = b"It's \x00 a body. " * 5000
WRITTEN_BY_GO = {
    b"abc": "aae188d5ccfd2a4dc81e026dfd1d9ee5820d0000000300000030616263",
    b"a" * 220: (
        "fe7e280269f9246917259d530e7f8ef2821d000000dc0000001f610100b9000200b06161616161616161616161"
    ),
}
"""LZ4 blocks of ch-go's compress.Writer, under clickhouse-go."""


@pytest.mark.parametrize("method", ["lz4", "zstd", "gzip", "deflate", "br"])
def test_what_is_encoded_can_be_decoded(method: str) -> None:
    packed, encoding = compress(TEXT, f"unknown;q=1, {method};q=0.5")
    assert encoding == method
    assert len(packed) < len(TEXT) / 10
    assert decompress(packed, method.upper()) == TEXT


def test_nothing_accepted_is_nothing_encoded() -> None:
    assert compress(TEXT, "") == (TEXT, None)
    assert compress(TEXT, "identity, snappy") == (TEXT, None)
    assert decompress(TEXT, "identity") == TEXT


@pytest.mark.parametrize(
    ("method", "pack"),
    [
        ("lz4", lz4.frame.compress),
        ("zstd", zstandard.compress),
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("xz", lzma.compress),
        ("bz2", bz2.compress),
    ],
)
def test_frames_one_after_another_are_one_body(method: str, pack: Callable[[bytes], bytes]) -> None:
    """Clients send a frame for each block of rows: with the first alone, rows would be lost."""
    assert (
        decompress(pack(b"one, ") + pack(b"two, ") + pack(b"three"), method) == b"one, two, three"
    )
    with pytest.raises(ServerError):
        decompress(pack(TEXT) + pack(TEXT)[:-3], method)


@pytest.mark.parametrize("method", ["lz4", "zstd", "gzip", "deflate", "br", "xz", "bz2"])
def test_damaged_bodies_are_the_clients_fault(method: str) -> None:
    with pytest.raises(ServerError) as refused:
        decompress(b"\x00not compressed", method)
    assert refused.value.code == 271


def test_a_brotli_body_that_is_cut_short_is_refused() -> None:
    packed, _ = compress(TEXT, "br")
    with pytest.raises(ServerError):
        decompress(packed[:-3], "br")


def test_unknown_methods_are_named() -> None:
    with pytest.raises(ServerError, match="known are") as refused:
        decompress(b"x", "snappy")
    assert refused.value.code == 89


@pytest.mark.parametrize("method", ["LZ4", "zstd", "none"])
@pytest.mark.parametrize("size", [0, 1, DATA_BYTES, DATA_BYTES + 1])
def test_blocks_hold_what_was_put_in(method: str, size: int) -> None:
    body = (TEXT * (size // len(TEXT) + 1))[:size]
    assert decompress_blocks(compress_blocks(body, method)) == body


@pytest.mark.parametrize("data", WRITTEN_BY_GO)
def test_blocks_of_another_program_are_read(data: bytes) -> None:
    block = bytes.fromhex(WRITTEN_BY_GO[data])
    assert decompress_blocks(block * 2) == data * 2
    assert compress_blocks(b"abc").hex() == WRITTEN_BY_GO[b"abc"]


def test_a_flipped_bit_is_noticed() -> None:
    block = bytearray(compress_blocks(TEXT))
    block[-1] ^= 1
    with pytest.raises(ServerError) as refused:
        decompress_blocks(bytes(block))
    assert refused.value.code == 40


@pytest.mark.parametrize("length", [1, 16, 24, 30])
def test_a_block_that_is_cut_short_is_refused(length: int) -> None:
    with pytest.raises(ServerError) as refused:
        decompress_blocks(compress_blocks(TEXT)[:length])
    assert refused.value.code == 271


def test_a_size_that_cannot_be_is_not_allocated() -> None:
    block = bytearray(compress_blocks(b"abc"))
    block[21:25] = (2**31).to_bytes(4, "little")
    with pytest.raises(ServerError) as refused:
        decompress_blocks(bytes(block))
    assert refused.value.code == 39


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(ServerError, match="known are"):
        compress_blocks(b"x", "T64")
