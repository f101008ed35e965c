"""The health of A/B tests for many requests: one count at a time, and no fault ends the results."""

import asyncio
import math
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, cast

import pytest

from agents.ab_health import Health
from api import ab_health
from api import desk as desks
from api.ab_health import HealthDesk
from api.clickhouses import ClickHouses
from api.desk import KEPT
from schemas.entities import AbTest
from sinks.ab_extent import SECONDS_MAX, TOTAL_S, Scope
from sinks.clickhouse import ClickHouse
from sinks.errors import Backpressure
from streams.statistics.estimates import NoEstimate
from tests.support.api import EmptyClickHouse
from tests.support.commands import NOW
from tests.support.trials import TEST

OTHER = replace(TEST, ab_test_id="other")


@dataclass
class Desk:
    """A desk, its time, and what was counted."""

    now: datetime = NOW
    counted: list[str] = field(default_factory=list)
    desk: HealthDesk = field(default_factory=HealthDesk)
    answer: Callable[[AbTest], None] = lambda test: None

    def measured(self, clickhouse: ClickHouse, test: AbTest, changed: bool | None) -> None:
        self.counted.append(test.ab_test_id)
        return self.answer(test)

    async def of(self, test: AbTest) -> Health | NoEstimate:
        clickhouses = ClickHouses(lambda: cast(ClickHouse, EmptyClickHouse()), 2)
        return await self.desk.of(clickhouses, test, None, lambda: self.now)

    async def why(self, test: AbTest = TEST) -> str:
        found = await self.of(test)
        assert isinstance(found, NoEstimate)
        return found.reason


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    made = Desk()
    monkeypatch.setattr(ab_health, "measured", made.measured)
    return made


def run(steps: Callable[[], Awaitable[None]]) -> None:
    async def every() -> None:
        await steps()

    asyncio.run(every())


def raising(error: Exception) -> Callable[[Any], None]:
    def raises(_: Any) -> None:
        raise error

    return raises


def test_a_fault_of_ours_is_told_and_kept_no_longer_than_a_failure(desk: Desk) -> None:
    async def steps() -> None:
        desk.answer = raising(ZeroDivisionError("secret"))
        assert "could not be counted: ZeroDivisionError" in await desk.why()
        assert "secret" not in await desk.why()
        assert len(desk.counted) == 1
        desk.now += KEPT
        desk.answer = lambda test: None
        assert "could not be counted" not in await desk.why()

    run(steps)


def test_a_fault_in_judging_is_told(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def judged(*_: Any) -> Health:
        raise KeyError("arm")

    monkeypatch.setattr(ab_health, "judged", judged)

    async def steps() -> None:
        assert "could not be counted: KeyError" in await desk.why()

    run(steps)


def test_a_failure_that_took_long_is_asked_again_after_its_time(desk: Desk) -> None:
    async def steps() -> None:
        def slow(test: AbTest) -> None:
            desk.now += timedelta(seconds=TOTAL_S)
            raise Backpressure("ClickHouse does not answer")

        desk.answer = slow
        assert await desk.why() == "ClickHouse does not answer"
        desk.now += KEPT - timedelta(seconds=1)
        assert await desk.why() == "ClickHouse does not answer"
        assert len(desk.counted) == 1, "it is kept from its end on"
        desk.now += timedelta(seconds=1)
        await desk.why()
        assert len(desk.counted) == 2

    run(steps)


def test_a_second_test_waits_until_the_first_one_is_counted(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desks, "WAIT_S", 0.01)
    begun, go = threading.Event(), threading.Event()

    def held(test: AbTest) -> None:
        begun.set()
        assert go.wait(30)

    async def steps() -> None:
        desk.answer = held
        assert "being counted" in await desk.why(TEST)
        assert await asyncio.to_thread(begun.wait, 30)
        assert "being counted" in await desk.why(OTHER)
        assert desk.counted == [TEST.ab_test_id], "one at a time"
        go.set()
        monkeypatch.setattr(desks, "WAIT_S", 30.0)
        assert "being counted" not in await desk.why(OTHER)
        assert "being counted" not in await desk.why(TEST)
        assert desk.counted == [TEST.ab_test_id, OTHER.ab_test_id]

    run(steps)


class Asked:
    """A ClickHouse that keeps what it was asked."""

    database = "rheostat"

    def __init__(self) -> None:
        self.sql: list[str] = []

    def rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        self.sql.append(sql)
        return []


def test_all_queries_of_a_count_have_one_deadline() -> None:
    asked = Asked()
    scope = Scope.of(cast(ClickHouse, asked), TEST)
    assert scope.ends_s <= time.monotonic() + TOTAL_S
    replace(scope, ends_s=math.inf).rows("SELECT 1 CALLS\n", {})
    replace(scope, ends_s=time.monotonic() + 7).rows("SELECT 1 CALLS\n", {})
    first, last = (int(sql.rpartition("=")[2]) for sql in asked.sql)
    assert first == SECONDS_MAX
    assert 0 < last <= 7
    with pytest.raises(Backpressure, match="took more than 60 s"):
        replace(scope, ends_s=time.monotonic() - 1).rows("SELECT 1 CALLS\n", {})
    assert len(asked.sql) == 2
