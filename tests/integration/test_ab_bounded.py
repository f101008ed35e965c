"""Sums by unit up to named records, and verdicts of tests by units that rest on them."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from agents.ab_parts import Followed, TrialKey
from agents.policy.trial import Trial, add
from agents.policy.verdicts import judge
from agents.units import bounds_of, findings
from schemas.entities import AbTest, Arm, MetricGoal
from schemas.topics import Topic
from sinks.ab_bounded import BoundedUnits, Bounds, Crossing, History
from sinks.clickhouse import ClickHouse
from streams.statistics.clusters import UnitSums
from tests.integration.test_ab_units import (
    SHIFT_MS,
    TODAY_MS,
    calls,
    expected,
    insert,
    same,
    server,
    value,
)
from tests.support.events import NOW_MS, feedback, inference
from tests.support.trials import calls as trial_calls
from tests.support.trials import rows

pytestmark = pytest.mark.integration
__all__ = ["server"]
METRICS = ("latency_ms", "ttft_ms", "input_tokens", "output_tokens", "cost_usd", "quality", "error")
DAY_MS = 86_400_000
TEST = AbTest(
    "acme",
    "t",
    "chat",
    "user",
    (Arm("a", "small"), Arm("b", "large")),
    "a",
    (MetricGoal("quality", "primary", "higher"),),
    planned_n=200,
    analysis="units",
    covariate="quality",
)


def test_what_comes_after_the_bounds_changes_nothing(server: ClickHouse) -> None:
    events = calls(400, 3)
    insert(server, Topic.INFERENCE_EVENTS, events, "all")
    asked = BoundedUnits(server, "acme", "t")
    mine = [i for i, e in enumerate(events) if (e["org_id"], e["ab_test_id"]) == ("acme", "t")]
    assert asked.bounds() == Bounds({"inference_events": {0: mine[-1]}, "feedback_events": {}})
    until = mine[len(mine) // 2]
    limit = Bounds({"inference_events": {0: until}})
    for metric in METRICS:
        wanted = expected(events[: until + 1], [value(e, metric) for e in events[: until + 1]])
        same(asked.sums(metric, limit), wanted)
        whole = expected(events, [value(e, metric) for e in events])
        same(asked.sums(metric, asked.bounds()), whole)
    assert asked.sums("quality", Bounds()) == {}
    units = asked.units(limit)
    seen = {(e["unit_id"], e["arm"]) for e in (events[i] for i in mine if i <= until)}
    assert units.by_arm == {arm: sum(a == arm for _, a in seen) for arm in "ab"}
    names = [unit for unit, _ in seen]
    assert units.crossing == Crossing(len(set(names)), sum(names.count(u) > 1 for u in set(names)))


def test_outcomes_are_bounded_too(server: ClickHouse) -> None:
    outcomes = [
        feedback(event_id=str(i), ab_test_id="t", arm="ab"[i % 2], unit_id=f"u{i % 6}", value=i)
        for i in range(20)
    ]
    insert(server, Topic.FEEDBACK_EVENTS, outcomes, "f")
    asked = BoundedUnits(server, "acme", "t")
    limit = Bounds({"feedback_events": {0: 9}})
    same(asked.sums("thumbs_up", limit), expected(outcomes[:10], [float(i) for i in range(10)]))


def test_a_covariate_is_the_mean_of_a_unit_before_the_test(server: ClickHouse) -> None:
    before = [
        inference(event_id="1", unit_id="u1", quality=0.2, occurred_at=NOW_MS - 2 * DAY_MS),
        inference(event_id="2", unit_id="u1", quality=0.4, occurred_at=NOW_MS - 2 * DAY_MS),
        inference(event_id="3", unit_id="u2", quality=0.9, occurred_at=NOW_MS - 2 * DAY_MS),
        inference(event_id="4", unit_id="u2", quality=0.0, occurred_at=NOW_MS - 9 * DAY_MS),
        inference(event_id="5", unit_id="u2", quality=0.0, occurred_at=NOW_MS, capability="x"),
    ]
    during = [
        inference(event_id=f"d{unit}{i}", unit_id=unit, arm=arm, ab_test_id="t", quality=quality)
        for i, (unit, arm, quality) in enumerate(
            [("u1", "a", 0.5), ("u1", "a", 0.7), ("u2", "b", 0.8), ("u3", "b", 0.1)]
        )
    ]
    insert(server, Topic.INFERENCE_EVENTS, [*before, *during], "all")
    asked = BoundedUnits(server, "acme", "t")
    began = datetime.fromtimestamp((NOW_MS + SHIFT_MS) / 1000, UTC)
    past = History("quality", during[0]["capability"], began - timedelta(days=7), began)
    found = asked.adjusted("quality", past, asked.bounds())
    middle = (0.3 + 0.9) / 2
    same(
        found,
        {
            "a": replace(UnitSums.of_units([0.6], [0.3]), event_sq=None),
            "b": replace(UnitSums.of_units([0.8, 0.1], [0.9, middle]), event_sq=None),
        },
    )
    nobody = History("quality", "none such", past.since, past.until)
    assert asked.adjusted("quality", nobody, asked.bounds()) == {}


def test_a_test_by_units_is_judged_by_units_and_again_from_the_same_records(
    server: ClickHouse,
) -> None:
    """Few units with many calls: by calls the arms differ, by units they need not."""
    rng = random.Random(4)
    events = []
    for unit in range(240):
        arm, usual = "ab"[unit % 2], rng.uniform(0.2, 0.8)
        for day, name in ((3, None), (0, "t")):
            events += [
                inference(
                    event_id=f"{unit}-{day}-{i}",
                    unit_id=f"u{unit}",
                    ab_test_id=name,
                    arm=arm if name else None,
                    quality=usual + (0.05 if name and arm == "b" else 0) + rng.uniform(-0.1, 0.1),
                    occurred_at=NOW_MS - day * DAY_MS,
                )
                for i in range(5)
            ]
    rng.shuffle(events)
    insert(server, Topic.INFERENCE_EVENTS, events, "all")
    began = datetime.fromtimestamp(TODAY_MS / 1000, UTC) - timedelta(hours=1)
    following = Followed(TrialKey("acme", "t"), replace(TEST, capability="chat"), began)
    trial = add(Trial(), TEST, rows([*trial_calls("a", 600), *trial_calls("b", 600)]))
    now = datetime.fromtimestamp(TODAY_MS / 1000, UTC)
    found = findings(server, following)
    assert found.units == {"a": 120, "b": 120}
    _, verdict = judge(trial, TEST, now, found)
    (quality,) = verdict.comparisons
    assert verdict.analysis == "units"
    assert (quality.n_arm, quality.n_baseline) == (120, 120)
    assert quality.design_effect is not None
    assert quality.design_effect > 3
    assert quality.variance_left is not None
    assert quality.variance_left < 0.2
    assert (verdict.recommendation, verdict.winner) == ("ship", "b")
    assert "CUPED" in (quality.note or "")
    plain = judge(trial, replace(TEST, covariate=None), now, replace(found, adjusted={}))[1]
    assert plain.recommendation == "keep_going", "without the covariate the units scatter too much"
    repeated = findings(server, following, bounds_of(verdict.sources))
    assert judge(trial, TEST, now, repeated)[1].comparisons[0].mean_arm == quality.mean_arm
