"""The endpoint itself: answers by its script, counts what it was asked.

POST /v1/chat/completions, /v1/completions   OpenAI's protocols
POST /v1/messages                            Anthropic's
GET  /calls     counts, for tests            GET  /healthz
"""

import asyncio
import gzip
import time
from collections import Counter
from dataclasses import dataclass, field

import orjson

from infra.scripted_endpoint.bodies import ERRORS, error, pieces, whole
from infra.scripted_endpoint.connection import Connection, Request, chunk, head
from infra.scripted_endpoint.play import Call, Play, play, read_call
from infra.scripted_endpoint.script import Fault, Script

STYLES = {
    "/v1/chat/completions": "openai-chat",
    "/v1/completions": "openai-completions",
    "/v1/messages": "anthropic-messages",
}
JSON, EVENTS = "application/json", "text/event-stream"
LONGEST_S = 3600.0
DRIPS = 1000


@dataclass(slots=True)
class ScriptedEndpoint:
    """One event loop's server. `calls`: by Call.key; `most`: the most at one time.

    `first_at`: seconds since 1970 of each model's first call.
    """

    script: Script
    calls: Counter[str] = field(default_factory=Counter)
    answered: Counter[int] = field(default_factory=Counter)
    first_at: dict[str, float] = field(default_factory=dict)
    at_once: int = 0
    most: int = 0
    _server: asyncio.Server | None = None
    _connections: set[Connection] = field(default_factory=set)

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Listens; returns the port."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self.handle, self._connections), host, port
        )
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Listens no more, and closes the connections."""
        if self._server is not None:
            self._server.close()
            for connection in list(self._connections):
                connection.close()
            await asyncio.sleep(0)

    async def handle(self, request: Request, to: Connection) -> None:
        """One request."""
        style = STYLES.get(request.path)
        if request.method == "GET" and request.path == "/calls":
            self._answer(to, 200, self.counts())
        elif request.method == "GET" and request.path == "/healthz":
            self._answer(to, 200, b"{}")
        elif request.method != "POST" or style is None:
            self._answer(to, *error("not_found", "openai-chat"))
        elif not self._admits(request):
            self._answer(to, *error("authentication", style))
        else:
            await self._call(request, style, to)

    def counts(self) -> bytes:
        """The page /calls."""
        return orjson.dumps(
            {
                "total": sum(self.calls.values()),
                "at_once": self.at_once,
                "most_at_once": self.most,
                "first_at": self.first_at,
                "answered": {str(status): n for status, n in self.answered.items()},
                "calls": self.calls,
            }
        )

    def _admits(self, request: Request) -> bool:
        key = request.headers.get("x-api-key", "")
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        return not self.script.keys or key in self.script.keys or bearer in self.script.keys

    async def _call(self, request: Request, style: str, to: Connection) -> None:
        try:
            call = read_call(style, orjson.loads(request.body))
        except (ValueError, KeyError, TypeError, AttributeError):
            self._answer(to, *error("invalid_request", style))
            return
        rule = self.script.rule(call.model, call.prompt)
        if rule is None:
            self._answer(to, *error("not_found", style))
            return
        nth = self.calls[call.key]
        self.calls[call.key] += 1
        if call.model not in self.first_at:
            self.first_at[call.model] = time.time()
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            if self.script.capacity is not None and self.at_once > self.script.capacity:
                await self._fault(call, Fault("rate_limit", seconds=0), to)
            else:
                await self._play(call, play(self.script, rule, call, nth), to)
        finally:
            self.at_once -= 1

    async def _play(self, call: Call, drawn: Play, to: Connection) -> None:
        fault = drawn.fault
        if fault is None or fault.kind == "huge":
            await self._good(call, drawn, to)
        elif fault.kind in ("cut", "drip"):
            await self._torn(call, drawn, fault, to)
        else:
            await asyncio.sleep(drawn.first_s)
            await self._fault(call, fault, to)

    async def _good(self, call: Call, drawn: Play, to: Connection) -> None:
        if not call.stream:
            await asyncio.sleep(drawn.last_s)
            self._answer(to, 200, whole(call, drawn))
            return
        events = list(pieces(call, drawn))
        await asyncio.sleep(drawn.first_s)
        to.send(head(200, EVENTS, None) + chunk(b"".join(events[:2])))
        await asyncio.sleep(drawn.last_s - drawn.first_s)
        to.send(chunk(b"".join(events[2:])) + chunk(b""))
        self.answered[200] += 1

    async def _torn(self, call: Call, drawn: Play, fault: Fault, to: Connection) -> None:
        """The beginning of an answer; then nothing more, or the rest a byte at a time."""
        await asyncio.sleep(drawn.first_s)
        data = b"".join(pieces(call, drawn)) if call.stream else whole(call, drawn)
        length = None if call.stream else len(data)
        to.send(head(200, EVENTS if call.stream else JSON, length))
        half = len(data) // 2
        to.send(chunk(data[:half]) if call.stream else data[:half])
        if fault.kind == "cut":
            to.close()
            return
        for byte in data[half : half + DRIPS]:
            await asyncio.sleep(fault.seconds)
            to.send(chunk(bytes([byte])) if call.stream else bytes([byte]))
        to.close()

    async def _fault(self, call: Call, fault: Fault, to: Connection) -> None:
        if fault.kind in ERRORS:
            more = [f"retry-after: {fault.seconds:g}"] if fault.kind == "rate_limit" else []
            self._answer(to, *error(fault.kind, call.style), *more)
        elif fault.kind == "never":
            await asyncio.sleep(LONGEST_S)
        elif fault.kind == "refuse":
            to.close()
        elif fault.kind == "broken_json":
            broken = b'{"id": "scripted", "choices": [{"message": {"content": "half'
            self._send(to, broken, call)
        elif fault.kind == "wrong_encoding":
            text = "\u00fcber".encode("latin-1")
            body = whole(call, Play("@@", 0, 0, 1, 1, 1)).replace(b"@@", text)
            events = list(pieces(call, Play("@@", 0, 0, 1, 1, 1)))
            self._send(to, b"".join(events).replace(b"@@", text) if call.stream else body, call)
        elif fault.kind == "redirect":
            self._answer(to, 307, b"", "location: http://127.0.0.1:1/elsewhere")
        else:
            packed = gzip.compress(b"x" * fault.size)
            self._answer(to, 200, packed, "content-encoding: gzip")

    def _send(self, to: Connection, body: bytes, call: Call) -> None:
        """A body as it is, with the content type that the call expects."""
        data = b"data: " + body + b"\n\n" if call.stream and body.startswith(b"{") else body
        to.send(head(200, EVENTS if call.stream else JSON, len(data)) + data)
        self.answered[200] += 1

    def _answer(self, to: Connection, status: int, body: bytes, *more: str) -> None:
        to.send(head(status, JSON, len(body), *more) + body)
        self.answered[status] += 1
