"""The evaluation runner as one process: cases in, calls of models, scored results out.

The event loop calls endpoints and scores; the feed's thread talks to Kafka. They share nothing but
cases that go one way and endings that go the other.
"""

import asyncio
import random
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from agents.errors import AgentsStopped, BadConfiguration
from agents.evaluation.runner.adapters import adapters
from agents.evaluation.runner.answering import Answering
from agents.evaluation.runner.cache import AnswerCache
from agents.evaluation.runner.call import Caller, Timeouts, new_session
from agents.evaluation.runner.desk import Desk, StateOf
from agents.evaluation.runner.execution import Conclude, Execution, ScoreAnswer
from agents.evaluation.runner.feed import Feed, FeedConfig, Listener
from agents.evaluation.runner.outgoing import Partition, Work
from agents.evaluation.runner.secret import Secrets
from schemas.catalog import SchemaCatalog
from schemas.wire import Codec
from streams import telemetry
from streams.registry_view import RegistrySnapshot

LOOP = "runner-calls"
TURN_S = 0.1
GRACE_S = 6.0
"""How long calls may go on after partitions leave or the process is asked to end; a supervisor
waits for ten seconds."""
STOP_S = 60.0


@dataclass(frozen=True, slots=True)
class RunnerConfig:
    """`cache`: the file of answers; None: none are kept. `seed` None: waits differ every time.

    `concurrency`: the most calls of a model at a time, whatever it allows.
    """

    feed: FeedConfig
    catalog: SchemaCatalog
    secrets: Secrets
    cache: Path | None
    timeouts: Timeouts = field(default_factory=Timeouts)
    concurrency: int = 256
    grace_s: float = GRACE_S
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Judge:
    """How answers are judged: see agents.evaluation.scoring."""

    score: ScoreAnswer
    conclude: Conclude


@dataclass(slots=True)
class Runner:
    """`registry` and `state_of` say what is known now. `run` owns its event loop."""

    config: RunnerConfig
    registry: Callable[[], RegistrySnapshot]
    state_of: StateOf
    health: telemetry.Health
    client: Callable[[dict[str, Any]], Any] = Producer
    _feed: Feed | None = None

    async def run(self, judging: Callable[[Answering], Judge], stop: threading.Event) -> None:
        """Runs until `stop` is set. `judging` makes the judge, which may ask models itself.

        Raises AgentsStopped when only a new process can go on, BadConfiguration before it begins.
        """
        config, rng = self.config, random.Random(self.config.seed)
        cache = _open_cache(config.cache)
        self.health.waiting(LOOP, "starting")
        async with new_session(config.timeouts) as session:
            answering = Answering(
                registry=self.registry,
                adapters=adapters(),
                caller=Caller(session, config.timeouts),
                secrets=config.secrets,
                cache=cache,
                rng=rng,
                most=config.concurrency,
            )
            judge = judging(answering)
            execution = Execution(answering, judge.score, judge.conclude, rng)
            desk = Desk(
                execution, self.state_of, lambda place, end: self._started.ended(place, end)
            )
            self._feed = self._new_feed(desk)
            tasks = [asyncio.create_task(desk.watch())]
            if cache is not None:
                tasks.append(asyncio.create_task(cache.keep()))
            self._feed.start()
            self.health.ready(LOOP)
            try:
                await self._until(stop, desk, tasks)
            finally:
                await self._end(tasks)
                answering.close()
                if cache is not None:
                    cache.close()
        if self._feed.failure is not None:
            raise _stopped(self._feed.failure)

    @property
    def _started(self) -> Feed:
        assert self._feed is not None
        return self._feed

    async def _until(
        self, stop: threading.Event, desk: Desk, tasks: Sequence["asyncio.Task[None]"]
    ) -> None:
        while not stop.is_set() and self._started.alive:
            self.health.beat(LOOP)
            await asyncio.sleep(TURN_S)
            if desk.failure is not None:
                raise _stopped(desk.failure)
            for task in tasks:
                if task.done():
                    task.result()

    async def _end(self, tasks: Sequence["asyncio.Task[None]"]) -> None:
        """The feed lets go of its partitions, which needs this loop, and ends."""
        feed, clock = self._started, asyncio.get_running_loop().time
        feed.stop()
        deadline = clock() + STOP_S
        while feed.alive and clock() < deadline:
            await asyncio.sleep(0.02)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    def _new_feed(self, desk: Desk) -> Feed:
        loop, grace_s = asyncio.get_running_loop(), self.config.grace_s

        def deliver(works: Sequence[Work]) -> None:
            loop.call_soon_threadsafe(desk.take, works)

        def leave(partitions: frozenset[Partition]) -> None:
            leaving = desk.leave(partitions, grace_s)
            asyncio.run_coroutine_threadsafe(leaving, loop).result(grace_s + STOP_S)

        def lose(partitions: frozenset[Partition]) -> None:
            asyncio.run_coroutine_threadsafe(desk.lose(partitions), loop).result(STOP_S)

        listener = Listener(deliver, leave, lose)
        codec = Codec(self.config.catalog)
        return Feed(self.config.feed, codec, self.health, listener, self.client)


def _open_cache(path: Path | None) -> AnswerCache | None:
    if path is None:
        return None
    try:
        return AnswerCache(path)
    except (sqlite3.Error, OSError) as error:
        raise BadConfiguration(
            f"the answer cache {path} cannot be used ({error}): free the disk, or remove the file; "
            "then answers that were paid for are asked again"
        ) from error


def _stopped(error: BaseException) -> BaseException:
    if isinstance(error, AgentsStopped | BadConfiguration):
        return error
    stopped = AgentsStopped(f"the runner stopped: {error!r}")
    stopped.__cause__ = error
    return stopped
