"""Sums by unit in ClickHouse: what Python adds up, once for every event, however often inserted."""

import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from schemas.catalog import committed
from schemas.topics import Topic
from sinks.ab_units import CORE, AbUnits
from sinks.clickhouse import ClickHouse
from sinks.migrate import TableOptions, apply
from sinks.rows import Messages
from sinks.tables import TABLES
from streams.statistics.clusters import UnitSums
from tests.support.events import NOW_MS, WEEK_MS, batch, encode, feedback, inference
from tests.support.servers import ClickHouseServer

pytestmark = pytest.mark.integration
DATABASE = "units"
Event = dict[str, Any]


@pytest.fixture
def server(clickhouse: ClickHouseServer) -> Iterator[ClickHouse]:
    found = ClickHouse(clickhouse.url, DATABASE)
    apply(found, TableOptions(database=DATABASE))
    yield found
    found.command(f"DROP DATABASE {DATABASE}")
    found.close()


TODAY_MS = int(time.time() * 1000)
SHIFT_MS = TODAY_MS - NOW_MS
"""Rows older than their time to live would vanish."""
TIMES = ("occurred_at", "observed_at")


def insert(server: ClickHouse, topic: Topic, events: list[Event], token: str) -> None:
    """As the sink does."""
    record = "InferenceEvent" if topic is Topic.INFERENCE_EVENTS else "FeedbackEvent"
    spec = TABLES[topic]
    today = [{k: v + SHIFT_MS if k in TIMES else v for k, v in e.items()} for e in events]
    raw = replace(batch(encode(record, today)), oldest_ms=TODAY_MS, newest_ms=TODAY_MS)
    offsets = list(range(len(events)))
    messages = Messages(
        raw, 0, offsets, [None] * len(events), committed(), 100 * WEEK_MS, lambda *_: None
    )
    server.insert(spec.table, spec.rows(messages), token)


def calls(n: int, seed: int) -> list[Event]:
    """Of two tests and none, in two organisations, over two months; few units, many events."""
    rng = random.Random(seed)
    found = []
    for i in range(n):
        test = rng.choice(["t", "other", None])
        found.append(
            inference(
                event_id=f"{seed}-{i}",
                occurred_at=NOW_MS - rng.choice([0, 25 * 86_400_000]),
                org_id=rng.choice(["acme", "acme", "globex"]),
                ab_test_id=test,
                arm=None if test is None else rng.choice("ab"),
                unit_id=f"u{rng.randrange(30)}",
                latency_ms=rng.gammavariate(2, 100),
                ttft_ms=rng.choice([None, 5.0, 7.5]),
                input_tokens=rng.randrange(100),
                output_tokens=rng.randrange(100),
                cost_usd=rng.choice([None, rng.random()]),
                quality=rng.choice([None, rng.random()]),
                error_type=rng.choice([None, None, "timeout"]),
            )
        )
    return found


def value(event: Event, metric: str) -> float | None:
    return float(event["error_type"] is not None) if metric == "error" else event[metric]


def expected(events: list[Event], values: list[float | None]) -> Mapping[str, UnitSums]:
    found = {}
    for arm in ("a", "b"):
        units: dict[str, list[float]] = {}
        for event, some in zip(events, values, strict=True):
            mine = (event["org_id"], event["ab_test_id"], event["arm"]) == ("acme", "t", arm)
            if mine and some is not None:
                units.setdefault(event["unit_id"], []).append(some)
        found[arm] = UnitSums.of_units(
            [sum(v) for v in units.values()],
            [len(v) for v in units.values()],
            sum(x * x for v in units.values() for x in v),
        )
    return found


def same(found: Mapping[str, UnitSums], wanted: Mapping[str, UnitSums]) -> None:
    assert found.keys() == wanted.keys()
    for arm, sums in found.items():
        for name in UnitSums.__dataclass_fields__:
            mine, other = getattr(sums, name), getattr(wanted[arm], name)
            assert mine == (None if other is None else pytest.approx(other, rel=1e-12)), name


def spread(units: AbUnits, metric: str) -> list[float]:
    return sorted(units.values("acme", "t", metric, "a", 10_000))


def means(events: list[Event], metric: str) -> list[float]:
    """Of each unit of arm a."""
    found: dict[str, list[float]] = {}
    for event in events:
        some = value(event, metric)
        mine = (event["org_id"], event["ab_test_id"], event["arm"]) == ("acme", "t", "a")
        if mine and some is not None:
            found.setdefault(event["unit_id"], []).append(some)
    return sorted(sum(v) / len(v) for v in found.values())


def test_sums_are_those_of_python_and_a_repeated_insert_adds_nothing(server: ClickHouse) -> None:
    events = calls(600, 1) + calls(600, 2)
    insert(server, Topic.INFERENCE_EVENTS, events[:600], "one")
    insert(server, Topic.INFERENCE_EVENTS, events[600:], "two")
    insert(server, Topic.INFERENCE_EVENTS, events[:600], "one")
    units = AbUnits(server)
    for metric in CORE:
        wanted = expected(events, [value(e, metric) for e in events])
        same(units.sums("acme", "t", metric), wanted)
        assert spread(units, metric) == pytest.approx(means(events, metric), rel=1e-12)
    assert len(units.values("acme", "t", "error", "a", 3)) == 3
    assert units.values("acme", "t", "thumbs", "a", 3) == []
    assert units.sums("acme", "nothing", "error") == {}
    assert units.sums("initech", "t", "error") == {}


def test_many_new_units_at_once_are_counted_once(server: ClickHouse) -> None:
    """Units by the ten thousand, inserted twice under one token."""
    events = [
        inference(event_id=str(i), unit_id=str(i), ab_test_id="t", arm="a") for i in range(70_000)
    ]
    for _ in range(2):
        insert(server, Topic.INFERENCE_EVENTS, events, "many")
    found = AbUnits(server).sums("acme", "t", "error")["a"]
    assert (found.units, found.size) == (70_000, 70_000)


def test_outcomes_and_ratios(server: ClickHouse) -> None:
    outcomes = [
        feedback(event_id=str(i), ab_test_id="t", arm="ab"[i % 2], unit_id=f"u{i % 6}", value=i)
        for i in range(20)
    ]
    for _ in range(2):
        insert(server, Topic.FEEDBACK_EVENTS, outcomes, "f")
    units = AbUnits(server)
    wanted = expected(outcomes, [float(e["value"]) for e in outcomes])
    same(units.sums("acme", "t", "thumbs_up"), wanted)
    assert units.sums("acme", "t", "other_metric") == {}

    pairs = [("u1", "a", 2.0, 1.0), ("u1", "a", 4.0, 0.0), ("u2", "a", 6.0, 0.5), ("u2", "b", 1, 1)]
    events = [
        inference(ab_test_id="t", arm=arm, unit_id=unit, cost_usd=cost, quality=quality)
        for unit, arm, cost, quality in pairs
    ]
    insert(server, Topic.INFERENCE_EVENTS, events, "r")
    same(
        units.ratio("acme", "t", "cost_usd", "quality"),
        {"a": UnitSums.of_units([6.0, 6.0], [1.0, 0.5]), "b": UnitSums.of_units([1.0], [1.0])},
    )
