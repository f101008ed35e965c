"""Whole days of long stretches are read from metric_days, and tell what hours tell."""

import random
import time
from dataclasses import replace

import pytest

from sinks.metric_points import DAY_S, HOUR_S, Point, Points, PointsQuestion, points, whole_days
from tests.support.events import inference
from tests.support.servers import ClickHouseServer
from tests.support.tables import Tables

pytestmark = pytest.mark.integration
DAYS = 6
TODAY_S = int(time.time()) // DAY_S * DAY_S
FIRST_S = TODAY_S - DAYS * DAY_S
MONTH = PointsQuestion("acme", ("small", "large"), (), FIRST_S, TODAY_S, 0, "hour")
SPANS = (
    (FIRST_S, TODAY_S),
    (FIRST_S - 3 * HOUR_S, TODAY_S - 5 * HOUR_S),
    (FIRST_S + HOUR_S, FIRST_S + DAY_S + 2 * HOUR_S),
    (FIRST_S + 23 * HOUR_S, TODAY_S),
)


@pytest.fixture(scope="module")
def tables(clickhouse: ClickHouseServer) -> Tables:
    """Some days of two models, every hour of them, each day in messages of its own."""
    tables, rng = Tables.new(clickhouse.url), random.Random(1)
    for day in range(DAYS):
        at_ms = (FIRST_S + day * DAY_S) * 1000
        tables.count(
            [
                inference(
                    occurred_at=at_ms + i * 600_000 + rng.randrange(600_000),
                    model_id="small" if i % 3 else "large",
                    model_version="1" if i % 2 else "2",
                    latency_ms=rng.lognormvariate(5, 1),
                    quality=rng.random() if i % 4 else None,
                )
                for i in range(144)
            ]
        )
    return tables


def told(found: Points) -> list[object]:
    """What is exact in whatever order it was added up."""
    return [
        (p.at, p.model_id, p.model_version, p.metric, p.sums.n, p.total_nanos, bins(p))
        for p in found.points
    ]


def bins(point: Point) -> list[tuple[int, int]]:
    return sorted(zip(point.sketch.bins, point.sketch.counts, strict=True))


def numbers(found: Points) -> list[float | None]:
    """What is a double, and so depends on the order in its last digits."""
    sums = [p.sums for p in found.points]
    return [x for s in sums for x in (s.mean, s.minimum, s.maximum)]


def begin(tables: Tables, since_s: int) -> None:
    """From when on days are said to hold everything."""
    clickhouse, name = tables.connect(), f"{tables.database}.metric_days_begin"
    clickhouse.command(f"TRUNCATE TABLE {name}")
    clickhouse.command(f"INSERT INTO {name} VALUES ({since_s})")


@pytest.mark.parametrize("span", SPANS)
@pytest.mark.parametrize("step_s", [0, HOUR_S, DAY_S])
@pytest.mark.parametrize("since_s", [0, FIRST_S + 2 * DAY_S])
def test_days_tell_what_hours_tell(
    tables: Tables, span: tuple[int, int], step_s: int, since_s: int
) -> None:
    asked = replace(MONTH, since_s=span[0], until_s=span[1], step_s=step_s)
    begin(tables, TODAY_S + 365 * DAY_S)
    hours = points(tables.connect(), asked)
    begin(tables, since_s)
    assert hours.points
    days = points(tables.connect(), asked)
    assert told(days) == told(hours)
    assert numbers(days) == pytest.approx(numbers(hours), rel=1e-12)


def test_it_is_days_that_are_read(tables: Tables) -> None:
    """Else the test above compares hours with hours."""
    begin(tables, 0)
    clickhouse = tables.connect()
    before = sum(p.sums.n for p in points(clickhouse, MONTH).points)
    clickhouse.command(
        f"INSERT INTO {tables.database}.metric_days SELECT * REPLACE (n + 1 AS n) "
        f"FROM {tables.database}.metric_days WHERE metric = 'error' LIMIT 1"
    )
    assert sum(p.sums.n for p in points(clickhouse, MONTH).points) > before


def test_new_installations_have_days_from_the_first_event_on(clickhouse: ClickHouseServer) -> None:
    tables = Tables.new(clickhouse.url)
    rows = tables.connect().rows(f"SELECT since FROM {tables.database}.metric_days_begin")
    assert [since.timestamp() for (since,) in rows] == [0]


def test_which_days_are_whole() -> None:
    assert list(whole_days(MONTH, 0)) == list(range(FIRST_S, TODAY_S, DAY_S))
    inside = replace(MONTH, since_s=FIRST_S + 1, until_s=FIRST_S + 3 * DAY_S - 1)
    assert list(whole_days(inside, 0)) == [FIRST_S + DAY_S]
    assert list(whole_days(MONTH, TODAY_S - DAY_S)) == [TODAY_S - DAY_S]
    assert not whole_days(MONTH, 2**32 - 1)
    assert not whole_days(replace(MONTH, resolution="pane"), 0)
    assert not whole_days(replace(MONTH, step_s=HOUR_S), 0)
    assert not whole_days(replace(MONTH, step_s=DAY_S, since_s=FIRST_S + HOUR_S), 0)
