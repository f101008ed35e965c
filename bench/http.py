"""A client for loads: keep-alive connections, nothing parsed but the length of the answer."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Self


@dataclass(slots=True)
class Connection:
    """One request at a time."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    async def to(cls, port: int) -> Self:
        """Of this machine."""
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def ask(self, request: bytes) -> bytes:
        """The answer's body. Raises RuntimeError when its status is not a 2xx."""
        self.writer.write(request)
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.partition(b":")[2])
            for line in head.lower().split(b"\r\n")
            if line.startswith(b"content-length:")
        )
        body = await self.reader.readexactly(length)
        if head[9:10] != b"2":
            raise RuntimeError(f"{request[:200]!r} was answered {head[:60]!r} {body[:300]!r}")
        return body


@dataclass(slots=True)
class Load:
    """Sends requests and keeps how long each took, in ms."""

    port: int
    taken_ms: list[float] = field(default_factory=list)

    async def as_fast_as_it_goes(self, requests: Sequence[bytes], connections: int) -> None:
        """Every connection sends the next when its answer is there."""
        todo = iter(requests)
        async with asyncio.TaskGroup() as group:
            for _ in range(connections):
                group.create_task(self._drain(todo))

    async def paced(self, requests: Sequence[bytes], per_s: float, connections: int) -> None:
        """At a rate, whatever the answers take: the wait for a connection counts as well."""
        free: asyncio.Queue[Connection] = asyncio.Queue()
        for _ in range(connections):
            free.put_nowait(await Connection.to(self.port))
        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for i, request in enumerate(requests):
                due = began + i / per_s
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                group.create_task(self._due(request, due, free))

    async def _drain(self, todo: Iterator[bytes]) -> None:
        connection = await Connection.to(self.port)
        for request in todo:
            began = time.perf_counter()
            await connection.ask(request)
            self.taken_ms.append((time.perf_counter() - began) * 1000)

    async def _due(self, request: bytes, due: float, free: "asyncio.Queue[Connection]") -> None:
        connection = await free.get()
        await connection.ask(request)
        free.put_nowait(connection)
        self.taken_ms.append((time.perf_counter() - due) * 1000)


def request(method: str, path: str, token: str, body: bytes = b"") -> bytes:
    """The bytes of a request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: bench", f"Authorization: Bearer {token}"]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body
