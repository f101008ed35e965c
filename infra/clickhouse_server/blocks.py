"""ClickHouse's own compressed blocks: bodies under `compress=1` and `decompress=1`. Pure.

A block is a CityHash128 (version 1.0.2) of what follows, 16 bytes; the method, 1 byte; the size of
the block without the checksum and the size of its data, 4 bytes each, little-endian; the data.
"""

import struct
from collections.abc import Iterator

import lz4.block
import zstandard
from clickhouse_cityhash.cityhash import CityHash128

from infra.clickhouse_server.errors import (
    CANNOT_DECOMPRESS,
    CHECKSUM_DOESNT_MATCH,
    TOO_LARGE_SIZE_COMPRESSED,
    UNKNOWN_COMPRESSION_METHOD,
    ServerError,
)

DATA_BYTES = 1024 * 1024
"""Of a block that we write, as ClickHouse does."""
DATA_BYTES_MAX = 128 * 1024 * 1024
"""Of a block that we read: a size in a damaged head must not be allocated."""

_NONE, _LZ4, _ZSTD = 0x02, 0x82, 0x90
_HEAD = struct.Struct("<BII")
_CHECKSUM = struct.Struct("<QQ")


def compress_blocks(body: bytes, method: str = "LZ4") -> bytes:
    """The body as compressed blocks. `method`: LZ4, ZSTD or NONE, as network_compression_method."""
    return b"".join(_compressed(body, method.upper()))


def _compressed(body: bytes, method: str) -> Iterator[bytes]:
    for at in range(0, len(body), DATA_BYTES):
        data = body[at : at + DATA_BYTES]
        code, packed = _NONE, data
        if method in {"LZ4", "LZ4HC"}:
            code, packed = _LZ4, lz4.block.compress(data, store_size=False)
        elif method == "ZSTD":
            code, packed = _ZSTD, zstandard.ZstdCompressor(level=1).compress(data)
        elif method != "NONE":
            raise _unknown(method)
        block = _HEAD.pack(code, _HEAD.size + len(packed), len(data)) + packed
        yield _checksum(block) + block


def decompress_blocks(body: bytes) -> bytes:
    """The data of all blocks. Raises ServerError for damaged ones."""
    return b"".join(_decompressed(body))


def _decompressed(body: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(body):
        start = at + _CHECKSUM.size
        if start + _HEAD.size > len(body):
            raise _damaged("a compressed block ends within its head")
        code, size, data_size = _HEAD.unpack_from(body, start)
        end = start + size
        if size < _HEAD.size or end > len(body):
            raise _damaged("a compressed block is cut short")
        if data_size > DATA_BYTES_MAX:
            text = (
                f"A compressed block claims {data_size} bytes of data; {DATA_BYTES_MAX} are allowed"
            )
            raise ServerError(TOO_LARGE_SIZE_COMPRESSED, text, "TOO_LARGE_SIZE_COMPRESSED")
        if body[at:start] != _checksum(body[start:end]):
            text = "Checksum of a compressed block doesn't match: corrupted data"
            raise ServerError(CHECKSUM_DOESNT_MATCH, text, "CHECKSUM_DOESNT_MATCH")
        yield _unpacked(code, body[start + _HEAD.size : end], data_size)
        at = end


def _unpacked(code: int, packed: bytes, data_size: int) -> bytes:
    try:
        if code == _LZ4:
            return bytes(lz4.block.decompress(packed, uncompressed_size=data_size))
        if code == _ZSTD:
            return zstandard.ZstdDecompressor().decompress(packed, max_output_size=data_size)
    except (lz4.block.LZ4BlockError, zstandard.ZstdError) as error:
        raise _damaged(str(error)) from error
    if code == _NONE:
        return packed
    raise _unknown(f"0x{code:02x}")


def _checksum(block: bytes) -> bytes:
    # The binding puts the half that comes first in memory into the upper bits.
    first, second = divmod(int(CityHash128(block)), 2**64)
    return _CHECKSUM.pack(first, second)


def _damaged(why: str) -> ServerError:
    return ServerError(CANNOT_DECOMPRESS, f"Cannot decompress: {why}", "CANNOT_DECOMPRESS")


def _unknown(method: str) -> ServerError:
    return ServerError(
        UNKNOWN_COMPRESSION_METHOD,
        f"Unknown compression method: {method}; known are LZ4, ZSTD and NONE",
        "UNKNOWN_COMPRESSION_METHOD",
    )
