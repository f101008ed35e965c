"""One call of an endpoint over HTTP: bounded in time and size, every fault with its type."""

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp

from agents.evaluation.runner.adapters.base import Adapter, Answer, HttpRequest, Reading
from agents.evaluation.runner.failures import CallFailed
from agents.evaluation.runner.sse import Events

HEADERS: Mapping[str, str] = {
    "Content-Type": "application/json",
    "Accept": "text/event-stream, application/json",
    # A small compressed answer can be a very large one.
    "Accept-Encoding": "identity",
    "User-Agent": "rheostat",
}
WIRE_BYTES_MAX = 256 * 1024 * 1024
"""A stream of one-token pieces is some hundred times as long as its text."""
BODY_BYTES_MAX = 16 * 1024 * 1024
ERROR_BYTES_MAX = 64 * 1024
TRAILER_S = 1.0
"""How long a stream may stay open after its end, so that its connection can be used again."""
RETRY_AFTER_MAX_S = 3600.0


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds. `first_byte_s`: to the head of the answer, and from there to its first event.

    `idle_s`: between two pieces of it. A server that sends its head before it reads the prompt
    (llama.cpp) is silent for as long as that takes.
    """

    connect_s: float = 10.0
    first_byte_s: float = 60.0
    idle_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Called:
    """An answer and how long it took. `ttft_ms` None: it had no text."""

    answer: Answer
    latency_ms: float
    ttft_ms: float | None


def new_session(timeouts: Timeouts) -> aiohttp.ClientSession:
    """Kept connections for every endpoint; how many are used is the lanes' to say."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=60),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=timeouts.connect_s),
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=HEADERS,
        read_bufsize=2**18,
    )


@dataclass(frozen=True, slots=True)
class Caller:
    """Makes calls. `session`: see `new_session`."""

    session: aiohttp.ClientSession
    timeouts: Timeouts

    async def call(
        self, adapter: Adapter, request: HttpRequest, key: str | None, proxy: str | None = None
    ) -> Called:
        """Raises CallFailed; its text never holds the key."""
        try:
            return await self._call(adapter, request, adapter.headers(key), proxy)
        except CallFailed as error:
            if key and key in error.text:
                text = error.text.replace(key, "***")
                raise CallFailed(error.error_type, text, error.retry_after_s) from None
            raise

    async def _call(
        self, adapter: Adapter, request: HttpRequest, headers: Mapping[str, str], proxy: str | None
    ) -> Called:
        loop, reading = asyncio.get_running_loop(), adapter.reading()
        transfer = _Transfer(loop.time(), self.timeouts, reading)
        try:
            async with (
                asyncio.timeout(self.timeouts.first_byte_s) as limit,
                self.session.post(
                    request.url,
                    data=request.body,
                    headers=headers,
                    allow_redirects=False,
                    proxy=proxy,
                ) as response,
            ):
                if response.status // 100 != 2:
                    raise await _refused(adapter, response)
                await transfer.read(response, limit)
        except CallFailed:
            raise
        except TimeoutError as error:
            if not reading.ended:
                raise CallFailed("timeout", transfer.late(loop.time())) from error
        except aiohttp.ClientPayloadError as error:
            if not reading.ended:
                raise CallFailed("connection", f"the answer was cut: {error}") from error
        except aiohttp.ClientConnectionError as error:
            if not reading.ended:
                raise CallFailed("connection", str(error) or type(error).__name__) from error
        except (aiohttp.ClientError, ValueError) as error:
            raise CallFailed("bad_response", f"no valid HTTP: {error}") from error
        return transfer.called(loop.time())


@dataclass(slots=True)
class _Transfer:
    """An answer on its way. Times are the event loop's."""

    began_s: float
    timeouts: Timeouts
    reading: Reading
    size: int = 0
    head_s: float | None = None
    first_s: float | None = None
    last_s: float | None = None
    begun: bool = False

    async def read(self, response: aiohttp.ClientResponse, limit: asyncio.Timeout) -> None:
        """Raises CallFailed, TimeoutError, aiohttp.ClientError."""
        clock = asyncio.get_running_loop().time
        self.head_s = clock()
        encoding = response.headers.get("Content-Encoding", "identity").lower()
        if encoding != "identity":
            raise CallFailed("bad_response", f"{encoding}-compressed, which was not asked for")
        streamed = response.headers.get("Content-Type", "").startswith("text/event-stream")
        events, body = Events(), bytearray()
        limit.reschedule(clock() + self._patience_s())
        async for piece in response.content.iter_any():
            self.size += len(piece)
            if self.size > (WIRE_BYTES_MAX if streamed else BODY_BYTES_MAX):
                raise CallFailed("answer_too_long", f"over {self.size:,} bytes came")
            if not streamed:
                body += piece
                self.begun = True
            elif not self.reading.ended:
                for data in events.feed(piece):
                    self._event(data, clock)
            limit.reschedule(clock() + self._patience_s())
        if not streamed:
            self.reading.body(bytes(body))
        elif not self.reading.ended:
            for data in events.end():
                self._event(data, clock)

    def _patience_s(self) -> float:
        if self.reading.ended:
            return TRAILER_S
        return self.timeouts.idle_s if self.begun else self.timeouts.first_byte_s

    def _event(self, data: bytes, clock: Any) -> None:
        self.begun = True
        self.reading.data(data)
        if self.first_s is None and self.reading.size:
            self.first_s = clock()
        if self.reading.ended:
            self.last_s = clock()

    def late(self, now_s: float) -> str:
        """What a call waited for when its time was over."""
        if self.head_s is None:
            return f"no answer within {now_s - self.began_s:.1f} s"
        return f"{self.size:,} bytes came, then nothing for {self._patience_s():g} s"

    def called(self, now_s: float) -> Called:
        """Raises CallFailed for an answer without its end."""
        answer = self.reading.answer()
        last_s = now_s if self.last_s is None else self.last_s
        first_s = last_s if self.first_s is None else self.first_s
        ttft_ms = (first_s - self.began_s) * 1000 if answer.text else None
        return Called(answer, (last_s - self.began_s) * 1000, ttft_ms)


async def _refused(adapter: Adapter, response: aiohttp.ClientResponse) -> CallFailed:
    if 300 <= response.status < 400:
        where = response.headers.get("Location", "elsewhere")
        text = f"redirected to {where}, which is not followed; correct the model's base_url"
        return CallFailed("invalid_request", text)
    body = b""
    # The status says enough when the rest does not come.
    with suppress(aiohttp.ClientError):
        while len(body) < ERROR_BYTES_MAX and (piece := await response.content.read(2**14)):
            body += piece
    return adapter.failure(response.status, body, retry_after_s(response.headers, time.time()))


def retry_after_s(headers: Mapping[str, str], now_s: float) -> float | None:
    """What Retry-After asks for: seconds or a date (RFC 9110, 10.2.3); None without a usable one.

    `retry-after-ms` is OpenAI's, and finer.
    """
    for name, scale in (("retry-after-ms", 0.001), ("Retry-After", 1.0)):
        value = headers.get(name, "")
        try:
            wait_s = float(value) * scale
        except ValueError:
            try:
                wait_s = parsedate_to_datetime(value).timestamp() - now_s
            except (ValueError, TypeError):
                continue
        if wait_s == wait_s:  # not NaN
            return min(max(0.0, wait_s), RETRY_AFTER_MAX_S)
    return None
