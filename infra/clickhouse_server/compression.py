"""Bodies in and out: Content-Encoding and Accept-Encoding."""

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable, Mapping
from typing import Any

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


def _frames(new: Callable[[], Any]) -> Callable[[bytes], bytes]:
    """Decodes all frames: clickhouse-connect sends one for each block of rows.

    `new` makes a decompressor of one frame with decompress, eof and unused_data.
    """

    def decode(body: bytes) -> bytes:
        parts = []
        while body:
            frame = new()
            parts.append(frame.decompress(body))
            if not frame.eof:
                raise EOFError("the last frame is cut short")
            body = frame.unused_data or b""
        return b"".join(parts)

    return decode


_DECODERS: Mapping[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress,
    "deflate": _frames(zlib.decompressobj),
    "lz4": _frames(lz4.frame.LZ4FrameDecompressor),
    "zstd": _frames(lambda: zstandard.ZstdDecompressor().decompressobj()),
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
