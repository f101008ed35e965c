"""What is counted about A/B tests, for many requests: counted once, kept a while, never in the way.

Counting takes seconds. So it is done for one test at a time, in the background; whoever asks gets
what is known within WAIT_S, or why nothing is yet. Other answers about the test do not wait longer,
nor fail with it.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Generic, TypeVar

import structlog

from api.clickhouses import ClickHouses
from schemas.entities import AbTest
from sinks.clickhouse import ClickHouse
from sinks.errors import SinkError
from streams.statistics.estimates import NoEstimate

T = TypeVar("T")
log = structlog.get_logger(__name__)
WAIT_S = 10.0
KEPT = timedelta(seconds=60)
KEPT_FACTOR = 20
"""Numbers that took long are kept so many times as long, so that counting stays rare. That there
are none is kept for KEPT."""
TESTS_MAX = 200
"""How many tests' numbers are kept."""


@dataclass(frozen=True, slots=True)
class Counted(Generic[T]):
    """`found`: NoEstimate when ClickHouse did not say, or there is a fault, which is logged."""

    found: T | NoEstimate
    began_at: datetime
    ended_at: datetime

    @property
    def until(self) -> datetime:
        if isinstance(self.found, NoEstimate):
            return self.ended_at + KEPT
        return self.began_at + max(KEPT, KEPT_FACTOR * (self.ended_at - self.began_at))


@dataclass(slots=True)
class Desk(Generic[T]):
    """What `question` answers of tests; of one process, on its event loop."""

    question: Callable[[ClickHouse, AbTest], T | NoEstimate]
    _kept: dict[AbTest, asyncio.Task[Counted[T]]] = field(default_factory=dict)
    _turn: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))

    async def of(
        self, clickhouses: ClickHouses, test: AbTest, clock: Callable[[], datetime]
    ) -> Counted[T]:
        """As it was at `began_at`, which may be some time ago."""
        task = self._kept.get(test)
        if task is None or not _usable(task, clock()):
            self._kept.pop(test, None)
            while len(self._kept) >= TESTS_MAX:
                self._kept.pop(next(iter(self._kept)))
            task = asyncio.create_task(self._count(clickhouses, test, clock))
            self._kept[test] = task
        if not task.done():
            await asyncio.wait([task], timeout=WAIT_S)
        if not task.done():
            now = clock()
            return Counted(NoEstimate("it is being counted: ask again in a minute"), now, now)
        return task.result()

    async def _count(
        self, clickhouses: ClickHouses, test: AbTest, clock: Callable[[], datetime]
    ) -> Counted[T]:
        async with self._turn:
            began_at = clock()
            try:
                found = await clickhouses.ask(lambda c: self.question(c, test))
            except SinkError as error:
                found = NoEstimate(str(error))
            except Exception as error:  # ours, which must not take other answers with it
                found = fault(test, error)
        return Counted(found, began_at, clock())


def fault(test: AbTest, error: Exception) -> NoEstimate:
    """Of an error that nobody expects, once it is logged."""
    log.error("not counted", org_id=test.org_id, ab_test_id=test.ab_test_id, exc_info=error)
    return NoEstimate(f"it could not be counted: {type(error).__name__}, see the log of the API")


def _usable(task: asyncio.Task[Counted[T]], now: datetime) -> bool:
    """Whether it is under way, or still new enough."""
    return not task.done() or (not task.cancelled() and now < task.result().until)
