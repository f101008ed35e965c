"""Getting the answer to one case: cache, then calls with waits between them."""

import asyncio
import random
import sqlite3
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import time
from urllib.parse import urlsplit

import orjson
import structlog

from agents.evaluation.runner.adapters.base import Adapter, HttpRequest, Question
from agents.evaluation.runner.backoff import Backoff
from agents.evaluation.runner.cache import AnswerCache, Kept, cache_key, made_for
from agents.evaluation.runner.call import Called, Caller
from agents.evaluation.runner.failures import CallFailed
from agents.evaluation.runner.lane import HOLD_S, Breakers, Lane, lane
from agents.evaluation.runner.secret import Secrets
from agents.evaluation.runner.target import Target, target_of
from schemas.evaluations import EvaluationCase
from streams import telemetry
from streams.registry_view import RegistrySnapshot

TRIES = 4
"""Calls in one execution."""
BETWEEN_TRIES = Backoff(0.5, 10.0)
UNKNOWN_S = 2.0
"""A case may come before the fact that registers its model."""
TOO_SLOW = (
    "no answer within the case's {:g} s; for a slow model raise the suite's case_timeout_s, "
    "or lower its max_output_tokens"
)
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Answered:
    """`called` with what it took: `calls` made for it; `cached`: it was made for another case."""

    called: Called
    calls: int
    cached: bool


@dataclass(slots=True)
class Attempt:
    """One execution of a case while it runs. `calls`: made so far, in earlier executions too.

    `running`: a call is under way, or its answer is at hand.
    """

    case: EvaluationCase
    calls: int = 0
    last: CallFailed | None = None
    running: bool = False


@dataclass(slots=True)
class Answering:
    """One event loop's. `registry`: the newest snapshot; `most`: calls of a model at a time."""

    registry: Callable[[], RegistrySnapshot]
    adapters: Mapping[str, Adapter]
    caller: Caller
    secrets: Secrets
    cache: AnswerCache | None
    rng: random.Random
    most: int
    _breakers: Breakers = field(init=False)
    _lanes: dict[tuple[str, Target], Lane] = field(default_factory=dict)
    _proxies: dict[str, str | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._breakers = Breakers(self.rng)

    async def answer(self, attempt: Attempt) -> Answered:
        """Raises CallFailed for an execution that ended without one."""
        case = attempt.case
        target = await self._target(case)
        request = self._request(case, target)
        key = cache_key(case, target.endpoint.api_style, target.base_url, request.body)
        kept = self._kept(key, case)
        if kept is not None:
            attempt.running = True
            return Answered(kept.called, kept.calls if kept.own else 0, not kept.own)
        way = self._lane(target)
        # Waiting for a place is not the case's time.
        await way.enter(len(request.body) // 4)
        try:
            async with asyncio.timeout(case.timeout_s):
                called = await self._tries(attempt, target, request, way)
        except TimeoutError as error:
            failed = CallFailed("timeout", TOO_SLOW.format(case.timeout_s))
            raise (attempt.last or failed) from error
        if self.cache is not None:
            self.cache.put(key, made_for(case), called, attempt.calls, time())
        return Answered(called, attempt.calls, cached=False)

    def close(self) -> None:
        """Stops the lanes' timers."""
        for way in self._lanes.values():
            way.close()

    async def _tries(
        self, attempt: Attempt, target: Target, request: HttpRequest, way: Lane
    ) -> Called:
        """The lane has let the first call in. Leaves the lane whenever no call is under way."""
        for number in range(1, TRIES + 1):
            try:
                return await self._one(attempt, target, request, way)
            except CallFailed as failed:
                attempt.last = failed
                wait_s = max(BETWEEN_TRIES.wait_s(number, self.rng), failed.retry_after_s or 0.0)
                few = failed.kind.executions <= 2 and number == 2
                if failed.kind.executions == 1 or number == TRIES or few or wait_s > HOLD_S:
                    raise
            await asyncio.sleep(wait_s)
            target_of(attempt.case, self.registry(), self.adapters)  # raises when it was deleted
            await way.enter(len(request.body) // 4)
        raise AssertionError("unreachable: the last try raises")

    async def _one(
        self, attempt: Attempt, target: Target, request: HttpRequest, way: Lane
    ) -> Called:
        began_s = way.clock()
        attempt.running = True
        try:
            key = self.secrets.resolve(target.endpoint.secret_ref)
            attempt.calls += 1
            called = await self.caller.call(target.adapter, request, key, self._proxy(request.url))
        except CallFailed as failed:
            attempt.running = False
            telemetry.CALLS.labels(failed.error_type).inc()
            way.leave(began_s, failed)
            raise
        except BaseException:
            way.abandon()
            raise
        telemetry.CALLS.labels("ok").inc()
        telemetry.CALL_S.observe(called.latency_ms / 1000)
        used = called.answer.input_tokens + called.answer.output_tokens
        way.leave(began_s, None, used - len(request.body) // 4 if used else 0)
        attempt.last = None
        return called

    async def _target(self, case: EvaluationCase) -> Target:
        try:
            return target_of(case, self.registry(), self.adapters)
        except CallFailed as failed:
            if failed.error_type != "not_found":
                raise
        await asyncio.sleep(UNKNOWN_S)
        return target_of(case, self.registry(), self.adapters)

    def _request(self, case: EvaluationCase, target: Target) -> HttpRequest:
        try:
            parameters = orjson.loads(case.parameters)
            question = Question(target.base_url, case.model_id, case.messages, parameters)
            return target.adapter.request(question)
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            text = f"the request cannot be written: {error}"
            raise CallFailed("invalid_request", text) from error

    def _kept(self, key: bytes, case: EvaluationCase) -> Kept | None:
        """Another case's answer only if the run wants it; an own one is what was paid for."""
        if self.cache is None:
            return None
        try:
            kept = self.cache.get(key, made_for(case))
        except (sqlite3.Error, ValueError, TypeError, KeyError) as error:
            log.warning("answer cache not readable", error=str(error))
            return None
        return kept if kept is not None and (kept.own or case.use_cache) else None

    def _lane(self, target: Target) -> Lane:
        """A model whose endpoint or limits were changed begins anew."""
        place = (target.key, target)
        if place not in self._lanes:
            breaker = self._breakers.of(target.base_url)
            clock = asyncio.get_running_loop().time
            self._lanes[place] = lane(target.limits, breaker, clock, self.most)
        return self._lanes[place]

    def _proxy(self, url: str) -> str | None:
        """As the environment says (HTTPS_PROXY, NO_PROXY), looked up once an address."""
        parts = urlsplit(url)
        if parts.netloc not in self._proxies:
            passes = urllib.request.proxy_bypass(parts.hostname or "")
            found = None if passes else urllib.request.getproxies().get(parts.scheme)
            self._proxies[parts.netloc] = found
        return self._proxies[parts.netloc]
