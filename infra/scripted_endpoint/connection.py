"""Just enough of an HTTP/1.1 server: small requests, one after the other, on kept connections.

A framework costs more CPU time for a call than a runner may, and hides the byte that a fault is
about.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

HEAD_BYTES_MAX = 64 * 1024
BODY_BYTES_MAX = 16 * 1024 * 1024
REASONS = {200: b"OK", 307: b"Temporary Redirect", 400: b"Bad Request", 404: b"Not Found"}


@dataclass(frozen=True, slots=True)
class Request:
    """Header names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class Connection(asyncio.Protocol):
    """Calls `handle` for each request; it writes the answer through this connection.

    It is in `open_ones` for as long as it is open.
    """

    def __init__(
        self,
        handle: Callable[[Request, "Connection"], Awaitable[None]],
        open_ones: "set[Connection]",
    ) -> None:
        self._handle = handle
        self._open_ones = open_ones
        self._buffer = bytearray()
        self._task: asyncio.Future[None] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._open_ones.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio's signature
        self._transport = None
        self._open_ones.discard(self)
        if self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._task is None:
            self._next()

    def send(self, data: bytes) -> None:
        """Raises ConnectionError when the other side is gone."""
        if self._transport is None:
            raise ConnectionResetError("the client went away")
        self._transport.write(data)

    def close(self) -> None:
        """Closes after what was sent."""
        if self._transport is not None:
            self._transport.close()

    def _next(self) -> None:
        try:
            request = self._parse()
        except ValueError:
            self.close()
            return
        if request is not None:
            self._task = asyncio.ensure_future(self._handle(request, self))
            self._task.add_done_callback(self._handled)

    def _handled(self, task: "asyncio.Future[None]") -> None:
        self._task = None
        if task.cancelled():
            return
        error = task.exception()
        if error is not None and not isinstance(error, ConnectionError):
            self.close()
            raise error
        if self._transport is not None:
            self._next()

    def _parse(self) -> Request | None:
        """None: not whole yet. Raises ValueError for what this server does not take."""
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > HEAD_BYTES_MAX:
                raise ValueError("the head is too long")
            return None
        first, *lines = self._buffer[:end].decode("latin-1").split("\r\n")
        method, path, _ = first.split(" ", 2)
        pairs = (line.partition(":") for line in lines)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        length = int(headers.get("content-length", "0"))
        if length > BODY_BYTES_MAX or "transfer-encoding" in headers:
            raise ValueError("the body is too long, or of no stated length")
        if len(self._buffer) < end + 4 + length:
            return None
        body = bytes(self._buffer[end + 4 : end + 4 + length])
        del self._buffer[: end + 4 + length]
        return Request(method, path.partition("?")[0], headers, body)


def head(status: int, content_type: str, length: int | None, *more: str) -> bytes:
    """The head of an answer; `length` None: in chunks."""
    size = "transfer-encoding: chunked" if length is None else f"content-length: {length}"
    lines = [f"content-type: {content_type}", size, *more]
    reason = REASONS.get(status, b"Status")
    return b"HTTP/1.1 %d %s\r\n" % (status, reason) + "\r\n".join(lines).encode() + b"\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """A piece of a body in chunks; b'' ends it."""
    return b"%x\r\n%b\r\n" % (len(data), data)
