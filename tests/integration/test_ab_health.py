"""The numbers of a test's health, from the real ClickHouse: what Python counts of the same."""

import random
import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from agents.ab_health import Health, judged
from schemas.entities import AbTest, Arm, MetricGoal
from schemas.topics import Topic
from sinks.ab_health import EXAMPLES, CrossedUnit, Measured, measured
from sinks.clickhouse import ClickHouse
from streams.statistics.clusters import UnitSums
from streams.statistics.estimates import NoEstimate
from tests.integration.test_ab_units import Event, insert, same, server
from tests.support.events import NOW_MS, feedback, inference

pytestmark = pytest.mark.integration
__all__ = ["server"]
HOUR_MS = 3_600_000
NOW = datetime(2026, 11, 28, tzinfo=UTC)
HOSTILE = "b'\\ \"{arms}\u202e%s; DROP --"
TEST = AbTest(
    "acme",
    "t",
    "chat",
    "user",
    (Arm("a", "small"), Arm("b", "large")),
    "a",
    (
        MetricGoal("quality", "primary", "higher"),
        MetricGoal("latency_ms", "guardrail", "lower"),
        MetricGoal("error", "guardrail", "lower"),
        MetricGoal("thumbs_up", "secondary", "higher"),
    ),
    planned_n=1000,
)


def call(unit: str, arm: str | None, hour: float, **more: Any) -> Event:
    """`hour`: of the 6 that the test takes; before it: negative."""
    at = NOW_MS - 6 * HOUR_MS + round(hour * HOUR_MS)
    given = {"occurred_at": at, "capability": "chat", "ab_test_id": "t" if arm else None}
    return inference(event_id=f"{unit} {hour}", unit_id=unit, arm=arm, **{**given, **more})


def traffic(
    seed: int, units: int, effect: Callable[[float], float] = lambda hour: 0.1
) -> list[Event]:
    """Units with a quality of their own that come back at any time, `effect` of arm b by hour."""
    rng = random.Random(seed)
    found = [call("first", "a", 0, quality=0.5), call("last", "b", 6 - 1e-6, quality=0.5)]
    for i in range(units):
        arm, usual = "ab"[i % 2], rng.uniform(0.3, 0.6)
        for hour in sorted(rng.uniform(0, 6) for _ in range(rng.randrange(1, 8))):
            more = effect(hour) if arm == "b" else 0.0
            quality = rng.choice([None, usual + more + rng.uniform(-0.05, 0.05)])
            latency = rng.lognormvariate(5, 1)
            found.append(call(f"u{i}", arm, hour, quality=quality, latency_ms=latency))
    return found


def of(server: ClickHouse, test: AbTest = TEST) -> Measured:
    found = measured(server, test, False)
    assert found is not None
    return found


def health(found: Measured, test: AbTest = TEST) -> Health:
    made = judged(test, None, found, NOW)
    assert isinstance(made, Health)
    return made


def test_units_in_several_arms_are_counted_and_named(server: ClickHouse) -> None:
    odd = f"{HOSTILE}\x1b[31m"
    events = [call(f"u{i}", "ab"[i % 2], i / 200) for i in range(1000)]
    events += [call(f"x{i}", arm, hour) for i in range(7) for arm, hour in (("b", 1), ("a", 2))]
    events += [call(odd, arm, hour) for arm, hour in (("a", 1), ("b", 2), ("b", 3))]
    # Of others, or in an arm that the test does not have: not its units.
    events += [call("u1", "a", 1, org_id="globex"), call("u1", "a", 1, ab_test_id="other")]
    events += [call("u1", "gone", 1)]
    # The first call is five hours before the end; this one is not settled.
    events += [call("new", "a", 5.999), call("last", "b", 6)]
    insert(server, Topic.INFERENCE_EVENTS, events, "all")
    found = of(server).assigned
    assert (found.crossing.units, found.crossing.crossed) == (1010, 8)
    assert found.settled == {"a": 501, "b": 507}
    assert found.settled_crossed == 8
    assert len(found.examples) == EXAMPLES
    assert set(found.examples) <= {
        CrossedUnit(odd, ("a", "b")),
        *(CrossedUnit(f"x{i}", ("b", "a")) for i in range(7)),
    }


def test_names_cannot_change_the_question(server: ClickHouse) -> None:
    strange = replace(
        TEST, ab_test_id=HOSTILE, arms=(Arm(HOSTILE, "small"), Arm("a", "m")), capability=HOSTILE
    )
    names = {"ab_test_id": HOSTILE, "capability": HOSTILE}
    events = [
        call(f"{HOSTILE}{i}", (HOSTILE, "a")[i % 2], i / 20, quality=i / 200, **names)
        for i in range(120)
    ]
    events += [
        call(f"{HOSTILE}{i}", HOSTILE, -1, **(names | {"ab_test_id": f"{HOSTILE}0"}))
        for i in range(60)
    ]
    insert(server, Topic.INFERENCE_EVENTS, [*events, *traffic(1, 20)], "all")
    found = of(server, strange)
    assert found.extent.calls == 120
    assert found.assigned.settled.keys() == {HOSTILE, "a"}
    assert found.earlier is not None
    assert (found.earlier.ab_test_id, found.earlier.units) == (f"{HOSTILE}0", 60)
    assert measured(server, replace(strange, ab_test_id="' OR 1 = 1 --"), False) is None


def test_winsorised_sums_are_those_of_capped_values(server: ClickHouse) -> None:
    events = traffic(11, 300)
    events += [call(f"u{i}", "b", 3.5, latency_ms=1e7) for i in range(1, 9, 2)]
    insert(server, Topic.INFERENCE_EVENTS, events, "all")
    outcomes = [
        feedback(event_id=str(i), ab_test_id="t", arm="ab"[i % 2], unit_id=f"u{i}", value=i % 2)
        for i in range(20)
    ]
    insert(server, Topic.FEEDBACK_EVENTS, outcomes, "outcomes")
    found = of(server)
    latency = found.capped["latency_ms"]
    values = sorted(e["latency_ms"] for e in events)
    exact = values[int(0.99 * (len(values) - 1))]
    assert latency.limit is not None
    assert exact <= latency.limit <= exact * 1.0203
    assert latency.limit in values
    assert latency.above == sum(v > latency.limit for v in values)
    for cap, sums in ((float("inf"), latency.plain), (latency.limit, latency.winsorised)):
        units: dict[str, dict[str, list[float]]] = {"a": defaultdict(list), "b": defaultdict(list)}
        for event in events:
            units[event["arm"]][event["unit_id"]].append(min(event["latency_ms"], cap))
        wanted = {
            arm: replace(
                UnitSums.of_units(
                    [sum(v) for v in by_unit.values()], [float(len(v)) for v in by_unit.values()]
                ),
                event_sq=None,
            )
            for arm, by_unit in units.items()
        }
        same(sums, wanted)
    half = replace(TEST, metrics=(MetricGoal("latency_ms", "primary", "lower", winsorise=0.4),))
    assert of(server, half).capped["latency_ms"].above == pytest.approx(0.4 * len(values), rel=0.1)
    for metric, why in (("error", "all values are 0 or 1"), ("thumbs_up", "all values are 0 or 1")):
        assert (found.capped[metric].limit, found.capped[metric].why_none) == (
            None,
            f"{why}: there is nothing to cap",
        )
    shown = {each.metric: each for each in health(found).winsorised}
    plain, cut = shown["latency_ms"].plain, shown["latency_ms"].winsorised
    assert plain is not None
    assert cut is not None
    assert plain.verdict == "undecided", "four calls make the mean of an arm, and its error"
    assert cut.lower is not None
    assert plain.lower is not None
    assert cut.upper - cut.lower < (plain.upper - plain.lower) / 100  # type: ignore[operator]


def test_little_is_not_enough_and_says_so(server: ClickHouse) -> None:
    assert measured(server, TEST, None) is None
    assert measured(server, replace(TEST, mode="offline"), None) is None
    nothing = judged(TEST, None, None, NOW)
    assert nothing == NoEstimate("no calls of the test are stored")
    insert(server, Topic.INFERENCE_EVENTS, [call("u", "b", 1, quality=None)], "one")
    lone = health(of(server))
    assert lone.sign == "not_enough_data"
    assert {each.sign for each in lone.over_time} == {"not_enough_data"}
    assert {each.sign for each in lone.carried_over} == {"not_enough_data"}
    assert lone.units_in_several_arms.text == (
        "not enough data: 0 of 1 units were in several arms, and none is settled yet"
    )
    by_metric = {each.metric: each for each in lone.winsorised}
    assert by_metric["quality"].text == "no values"
    latency = by_metric["latency_ms"].winsorised
    assert latency is not None
    assert (latency.difference, latency.note) == (
        None,
        "arm: a single unit has no spread; baseline: no units",
    )
    same_value = [call(f"s{i}", "ab"[i % 2], i / 200, quality=0.5) for i in range(1200)]
    insert(server, Topic.INFERENCE_EVENTS, same_value, "no spread")
    flat = health(of(server))
    assert all("no spread between" in each.text for each in flat.over_time), flat.over_time


def test_extremes_leave_no_nan(server: ClickHouse) -> None:
    rng = random.Random(2)
    events = [
        call(f"u{i}", "ab"[i % 2], i / 100, latency_ms=rng.choice([1e-300, 1e9, 0.0]), quality=0.0)
        for i in range(600)
    ]
    outcomes = [
        feedback(
            event_id=str(i),
            ab_test_id="t",
            arm="ab"[i % 2],
            unit_id=f"u{i}",
            value=rng.choice([1e308, -1e308, 1e-300]),
            occurred_at=NOW_MS - 6 * HOUR_MS + i * 36_000,
        )
        for i in range(600)
    ]
    insert(server, Topic.INFERENCE_EVENTS, events, "all")
    insert(server, Topic.FEEDBACK_EVENTS, outcomes, "outcomes")
    wild = replace(TEST, metrics=(MetricGoal("thumbs_up", "primary", "higher"), *TEST.metrics[1:3]))
    made = health(of(server, wild), wild)
    assert re.findall(r".{0,90}\b(?:nan|inf)\b.{0,40}", repr(made)) == []
    (score,) = [each for each in made.winsorised if each.metric == "thumbs_up"]
    assert score.winsorised is None or score.winsorised.difference is None
