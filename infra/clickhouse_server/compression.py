"""Bodies in and out: Content-Encoding and Accept-Encoding."""

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable, Mapping

import cramjam
import lz4.frame
import zstandard

from infra.clickhouse_server.errors import (
    CANNOT_DECOMPRESS,
    UNKNOWN_COMPRESSION_METHOD,
    ServerError,
)

_BROKEN = (
    OSError,
    EOFError,
    ValueError,
    RuntimeError,
    zlib.error,
    lzma.LZMAError,
    zstandard.ZstdError,
    cramjam.DecompressionError,
)


def _unzstd(body: bytes) -> bytes:
    with zstandard.ZstdDecompressor().stream_reader(body, read_across_frames=True) as reader:
        return bytes(reader.read())


_DECODERS: Mapping[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress,
    "deflate": zlib.decompress,
    "lz4": lz4.frame.decompress,
    "zstd": _unzstd,
    "br": lambda body: bytes(cramjam.brotli.decompress(body)),
    "xz": lzma.decompress,
    "bz2": bz2.decompress,
}
_ENCODERS: Mapping[str, Callable[[bytes], bytes]] = {
    "lz4": lz4.frame.compress,
    "zstd": lambda body: zstandard.ZstdCompressor(level=1).compress(body),
    "gzip": lambda body: gzip.compress(body, compresslevel=1),
    "deflate": lambda body: zlib.compress(body, 1),
    "br": lambda body: bytes(cramjam.brotli.compress(body, level=1)),
}


def decompress(body: bytes, encoding: str) -> bytes:
    """The plain body. Raises ServerError for an unknown method or broken data."""
    encoding = encoding.strip().lower()
    if encoding in {"", "identity"}:
        return body
    decoder = _DECODERS.get(encoding)
    if decoder is None:
        known = ", ".join(_DECODERS)
        raise ServerError(
            UNKNOWN_COMPRESSION_METHOD,
            f"Unknown compression method: {encoding}; known are {known}",
            "UNKNOWN_COMPRESSION_METHOD",
        )
    try:
        return decoder(body)
    except _BROKEN as error:
        raise ServerError(
            CANNOT_DECOMPRESS,
            f"Cannot decompress the {encoding} body: {error}",
            "CANNOT_DECOMPRESS",
        ) from error


def compress(body: bytes, accepted: str) -> tuple[bytes, str | None]:
    """(body, Content-Encoding) in the first method of ours that the client accepts."""
    offered = {part.split(";")[0].strip().lower() for part in accepted.split(",")}
    for name, encode in _ENCODERS.items():
        if name in offered:
            return encode(body), name
    return body, None
