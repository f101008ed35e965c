"""The way to one model: who may call now, in the order of asking."""

import asyncio
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from agents.evaluation.runner.breaker import Breaker
from agents.evaluation.runner.concurrency import CEILING, FIRST, Concurrency
from agents.evaluation.runner.failures import CallFailed
from agents.evaluation.runner.pace import Bucket
from schemas.models import RateLimits

HOLD_S = 20.0
"""For how long calls wait for an endpoint that is down, or told us to wait, before they give up
their place; their cases are executed later."""


@dataclass(slots=True)
class Lane:
    """Concurrency, rates and circuit of one model. One event loop uses it; `clock` in seconds."""

    clock: Callable[[], float]
    breaker: Breaker
    concurrency: Concurrency = field(default_factory=Concurrency)
    requests: Bucket | None = None
    tokens: Bucket | None = None
    running: int = 0
    _held_until_s: float = 0.0
    _waiting: deque["asyncio.Future[None]"] = field(default_factory=deque)
    _timer: asyncio.TimerHandle | None = None

    async def enter(self, tokens: int) -> None:
        """Returns when a call of about so many tokens may be made; then `leave` must follow.

        Raises CallFailed when the endpoint is left alone for longer than HOLD_S.
        """
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        self._pump()
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled() and place.exception() is None:
                self._release()
                self.breaker.abandoned()
            raise
        if self.tokens is not None:
            self.tokens.take(tokens, self.clock())

    def leave(self, began_s: float, failure: CallFailed | None, tokens: int = 0) -> None:
        """A call that began then has ended. `tokens`: used beyond those it entered with."""
        now_s = self.clock()
        if failure is None:
            self.concurrency.succeeded(self.running)
        elif failure.kind.slows:
            self.concurrency.slow_down(began_s, now_s)
            if failure.retry_after_s is not None:
                self._held_until_s = max(self._held_until_s, now_s + failure.retry_after_s)
        if failure is not None and failure.kind.breaks:
            self.breaker.failed(now_s)
        else:
            self.breaker.succeeded()
        if self.tokens is not None and tokens:
            self.tokens.take(tokens, now_s)
        self._release()

    def abandon(self) -> None:
        """A call was given up: it says nothing of the endpoint."""
        self.breaker.abandoned()
        self._release()

    def close(self) -> None:
        """Nobody waits any more; the timer is stopped."""
        if self._timer is not None:
            self._timer.cancel()

    def _release(self) -> None:
        self.running -= 1
        self._pump()

    def _pump(self) -> None:
        """Lets in whoever may, and comes back when time alone opens the way."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._waiting:
            if self._waiting[0].done():
                self._waiting.popleft()
                continue
            now_s = self.clock()
            refusal = self._refusal(now_s)
            if refusal is not None:
                self._waiting.popleft().set_exception(refusal)
                continue
            if self.running >= self.concurrency.places:
                return
            wait_s = self._wait_s(now_s)
            if wait_s is None:
                return
            if wait_s > 0:
                loop = asyncio.get_running_loop()
                self._timer = loop.call_later(wait_s + 0.001, self._pump)
                return
            self.running += 1
            self.breaker.calling()
            if self.requests is not None:
                self.requests.take(1, now_s)
            self._waiting.popleft().set_result(None)

    def _wait_s(self, now_s: float) -> float | None:
        circuit_s = self.breaker.wait_s(now_s)
        if circuit_s is None:
            return None
        waits = [circuit_s, self._held_until_s - now_s]
        waits += [b.wait_s(now_s) for b in (self.requests, self.tokens) if b is not None]
        return max(waits)

    def _refusal(self, now_s: float) -> CallFailed | None:
        """Why nobody should wait here any longer."""
        held_s = self._held_until_s - now_s
        if held_s > HOLD_S:
            return CallFailed("rate_limited", f"the endpoint asks to wait {held_s:.0f} s", held_s)
        down_s = self.breaker.down_since_s
        closed_s = self.breaker.wait_s(now_s)
        if down_s is not None and now_s - down_s > HOLD_S and closed_s != 0.0:
            text = f"the endpoint has been down for {now_s - down_s:.0f} s"
            return CallFailed("connection", text, closed_s)
        return None


def lane(
    limits: RateLimits | None, breaker: Breaker, clock: Callable[[], float], most: int
) -> Lane:
    """A lane within what the registry says the provider allows, and `most` calls at a time.

    Where the provider's number of concurrent calls is known, it is used from the start.
    """
    known = limits or RateLimits()
    ceiling = min(float(most), float(known.concurrent_requests or CEILING))
    first = ceiling if known.concurrent_requests else min(FIRST, ceiling)
    return Lane(
        clock,
        breaker,
        Concurrency(first, ceiling),
        _bucket(known.requests_per_minute),
        _bucket(known.tokens_per_minute),
    )


def _bucket(per_minute: int | None) -> Bucket | None:
    return None if per_minute is None else Bucket(float(per_minute))


@dataclass(slots=True)
class Breakers:
    """One circuit for each address: models behind one address fail together."""

    rng: random.Random
    _known: dict[str, Breaker] = field(default_factory=dict)

    def of(self, base_url: str) -> Breaker:
        """The circuit of an address."""
        return self._known.setdefault(base_url, Breaker(self.rng))
