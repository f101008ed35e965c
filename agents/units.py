"""Asks ClickHouse for sums by unit of the followed A/B tests, one at a time, in its own thread.

The control lane must not depend on ClickHouse: whoever judges takes the newest answer that there
is, and an answer says why it could not be renewed. Nor may it burden ClickHouse: every test is
asked for once in a period, never two at once, and after each the thread rests REST_FACTOR times as
long as the answer took, so that it keeps ClickHouse busy at most a quarter of the time. With many
tests the periods become longer by themselves.
"""

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Self

import structlog

from agents.ab_parts import Followed, TrialKey
from agents.policy.sources import MIXED
from agents.policy.trial import Cell, followed_metrics
from agents.policy.units import ABSENT, UnitFindings
from schemas.entities import AbTest
from schemas.records import SourceStretch
from sinks.ab_bounded import DAYS_BEFORE, TABLES, BoundedUnits, Bounds, History
from sinks.clickhouse import ClickHouse
from sinks.errors import Backpressure, SinkBroken
from streams.lifecycle import Startable
from streams.statistics.clusters import UnitSums

UNITS_EVERY_S = 10.0
"""A test by units: its verdict rests on the answer."""
EVENTS_EVERY_S = 300.0
"""A test by events: the answer only warns. A young one is asked for sooner, since its units double
quickly: each time twice as long after the time before."""
ENDED_EVERY_S = 3600.0
"""A test that does not run: late outcomes."""
RETRY_S = 30.0
AWAY = "ClickHouse does not answer"
"""Without the error's own words, which are never the same twice."""
REST_FACTOR = 3.0
IDLE_S = 0.5
log = structlog.get_logger(__name__)


class UnitReader(Startable):
    """The monitor's `Units`. `start` begins to ask, `close` ends the thread."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._clickhouse = clickhouse
        self._wanted: Sequence[Followed] = ()
        self._answers: dict[TrialKey, UnitFindings] = {}
        self._due_at: dict[TrialKey, float] = {}
        self._periods_s: dict[TrialKey, float] = {}
        self._quiet_until = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ab-units", daemon=True)

    def start(self) -> Self:
        """Begins to ask."""
        self._thread.start()
        return self

    def close(self) -> None:
        """Ends the thread; a question under way ends first, or is left behind."""
        self._stop.set()
        self._thread.join(timeout=5)

    def follow(self, tests: Sequence[Followed]) -> None:
        """The tests to ask for from now on."""
        self._wanted = tuple(tests)

    def latest(self, key: TrialKey) -> UnitFindings | None:
        """The newest answer; ABSENT before the first."""
        return self._answers.get(key, ABSENT)

    def _run(self) -> None:
        while not self._stop.is_set():
            following = self._next()
            if following is None:
                self._stop.wait(IDLE_S)
                continue
            began = time.monotonic()
            period_s = self._ask(following)
            took_s = time.monotonic() - began
            self._due_at[following.key] = time.monotonic() + period_s
            self._stop.wait(REST_FACTOR * took_s)
        self._clickhouse.close()

    def _next(self) -> Followed | None:
        """The one that is most overdue."""
        wanted = self._wanted
        if time.monotonic() < self._quiet_until:
            return None
        held = {following.key for following in wanted}
        for forgotten in self._answers.keys() - held:
            self._answers.pop(forgotten, None)
            self._due_at.pop(forgotten, None)
            self._periods_s.pop(forgotten, None)
        due = min(wanted, key=lambda f: self._due_at.get(f.key, 0.0), default=None)
        if due is None or self._due_at.get(due.key, 0.0) > time.monotonic():
            return None
        return due

    def _ask(self, following: Followed) -> float:
        """Renews an answer; after how many seconds the next is due."""
        key, test, _ = following
        try:
            found = findings(self._clickhouse, following)
        except Backpressure as error:
            self._away(error)
            return RETRY_S
        except SinkBroken as error:
            log.error("no sums by unit", ab_test_id=key.ab_test_id, error=str(error))
            self._answers[key] = self._answers.get(key, ABSENT).failed(str(error))
            return RETRY_S
        before = self._answers.get(key)
        if before is None or found != replace(before, as_of=found.as_of):
            self._answers[key] = found
        if test.status != "running":
            return ENDED_EVERY_S
        if test.analysis == "units":
            return UNITS_EVERY_S
        period_s = min(EVENTS_EVERY_S, 2 * self._periods_s.get(key, UNITS_EVERY_S / 2))
        self._periods_s[key] = period_s
        return period_s

    def _away(self, error: Backpressure) -> None:
        """Nobody gets an answer for a while: asking for each test would only say so again."""
        log.warning("no sums by unit", error=str(error), retry_s=RETRY_S)
        for key, test, _ in self._wanted:
            before = self._answers.get(key, ABSENT)
            # An answer that only warns may be old; what a decision rests on may not.
            if test.analysis == "units" and before.failure != AWAY:
                self._answers[key] = before.failed(AWAY)
        self._quiet_until = time.monotonic() + RETRY_S


def findings(
    clickhouse: ClickHouse, following: Followed, upto: Bounds | None = None
) -> UnitFindings:
    """What ClickHouse knows of a test's units, up to these records or else up to the last one.

    Raises Backpressure, SinkBroken.
    """
    (org_id, ab_test_id), test, began_at = following
    asked = BoundedUnits(clickhouse, org_id, ab_test_id)
    limit = asked.bounds() if upto is None else upto
    sums: dict[Cell, UnitSums] = {}
    adjusted: dict[Cell, UnitSums] = {}
    for metric in _metrics(test):
        sums |= _cells(metric, asked.sums(metric, limit))
        if test.analysis == "units" and test.covariate is not None:
            past = _history(test, test.covariate, began_at)
            adjusted |= _cells(metric, asked.adjusted(metric, past, limit))
    units = asked.units(limit)
    return UnitFindings(
        sums=sums,
        adjusted=adjusted,
        units=units.by_arm,
        crossed=units.crossing.crossed,
        sources=stretches(limit),
        as_of=datetime.now(UTC),
    )


def _metrics(test: AbTest) -> list[str]:
    """All where the verdict rests on them, else those whose design effect is most telling."""
    if test.analysis == "units":
        return sorted(followed_metrics(test))
    return sorted({goal.metric for goal in test.metrics if goal.role == "primary"})


def _cells(metric: str, by_arm: Mapping[str, UnitSums]) -> dict[Cell, UnitSums]:
    return {Cell(arm, metric): found for arm, found in by_arm.items()}


def _history(test: AbTest, covariate: str, began_at: datetime) -> History:
    days = DAYS_BEFORE if test.pre_period_days is None else test.pre_period_days
    return History(covariate, test.capability, began_at - timedelta(days=days), began_at)


def stretches(limit: Bounds) -> tuple[SourceStretch, ...]:
    """The records up to the bounds, as a verdict names them."""
    return tuple(
        SourceStretch(TABLES[table].value, partition, 0, last, MIXED)
        for table, ends in sorted(limit.last.items())
        for partition, last in sorted(ends.items())
    )


def bounds_of(sources: Sequence[SourceStretch]) -> Bounds:
    """The inverse of `stretches`; sources of other topics are passed over."""
    tables = {topic.value: table for table, topic in TABLES.items()}
    last: dict[str, dict[int, int]] = {table: {} for table in TABLES}
    for each in sources:
        if each.topic in tables:
            last[tables[each.topic]][each.partition] = each.last_offset
    return Bounds(last)
