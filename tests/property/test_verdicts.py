"""A recommendation never says more than the intervals, and a replay says the same."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.policy.comparisons import oriented
from agents.policy.replay import Counted, Versions, again, decided_again, differences, rebuild
from agents.policy.sources import Position
from agents.policy.trial import Trial, add, dump_trial, load_trial
from agents.policy.verdicts import judge
from schemas.catalog import committed
from schemas.convert import from_record, to_record
from schemas.entities import AbTest, Arm, DecisionRule, MetricGoal
from schemas.records import AbVerdict, Comparison
from schemas.wire import Codec
from streams.statistics.estimates import Estimate
from tests.support.trials import TEST, calls, rows

NOW = datetime(2026, 6, 1, tzinfo=UTC)
CODEC = Codec(committed())
margins = st.one_of(st.none(), st.floats(0.001, 0.1))


@st.composite
def trials(draw: st.DrawFn) -> tuple[AbTest, list[list[dict[str, Any]]]]:
    """A test and the calls of its messages."""
    arms = "abc"[: draw(st.integers(2, 3))]
    goals = (
        MetricGoal("quality", "primary", "higher", draw(margins), draw(margins)),
        MetricGoal("latency_ms", "guardrail", "lower", draw(st.one_of(st.none(), st.just(20.0)))),
    )
    rule = DecisionRule(
        min_units=draw(st.sampled_from([0, 500])),
        min_duration_s=draw(st.sampled_from([0.0, 60.0])),
        max_duration_s=draw(st.sampled_from([None, 100.0])),
    )
    test = replace(
        TEST,
        arms=tuple(Arm(arm, f"m{arm}") for arm in arms),
        metrics=goals,
        decision=rule,
        planned_n=draw(st.integers(50, 5000)),
    )
    usual = {arm: draw(st.floats(0.4, 0.6)) for arm in arms}
    slow = {arm: draw(st.floats(50, 150)) for arm in arms}
    messages = [
        [
            call
            for arm in arms
            for call in calls(
                arm, draw(st.integers(20, 150)), quality=usual[arm], latency_ms=slow[arm]
            )
        ]
        for _ in range(draw(st.integers(1, 5)))
    ]
    return test, messages


def interval(each: Comparison, test: AbTest) -> tuple[float, float] | None:
    """Turned so that more is better."""
    if each.anytime_lower is None or each.anytime_upper is None:
        return None
    goal = next(goal for goal in test.metrics if goal.metric == each.metric)
    return oriented(Estimate(0.0, each.anytime_lower, each.anytime_upper, 0.5), goal)


def played(test: AbTest, messages: list[list[dict[str, Any]]]) -> tuple[Trial, AbVerdict]:
    trial = Trial()
    for i, some in enumerate(messages):
        trial = add(trial, test, rows(some, 60 * i), Position(2, 10 + i, 1))
    return judge(trial, test, NOW)


@given(trials())
@settings(max_examples=40, deadline=None)
def test_a_recommendation_never_contradicts_the_intervals(
    case: tuple[AbTest, list[list[dict[str, Any]]]],
) -> None:
    test, messages = case
    _, verdict = played(test, messages)
    primary = {c.arm: interval(c, test) for c in verdict.comparisons if c.role == "primary"}
    guards = {c.arm: c.guard for c in verdict.comparisons if c.role == "guardrail"}
    if verdict.recommendation == "ship":
        found = primary[verdict.winner or ""]
        assert found is not None
        assert found[0] > 0
        assert guards[verdict.winner or ""] == "safe"
    elif verdict.recommendation == "roll_back":
        for arm, found in primary.items():
            assert (found is not None and found[1] < 0) or guards[arm] == "broken"
    elif verdict.recommendation == "no_difference":
        expired = "maximum duration" in verdict.reason
        for c in verdict.comparisons:
            if c.role == "primary" and not expired and guards[c.arm] != "broken":
                assert c.verdict in ("no_difference", "worse") or c.worth == "not_worth"
    assert verdict.reason
    decided = verdict.status in ("decided", "invalid")
    assert decided == (verdict.recommendation != "keep_going")


@given(trials(), st.randoms(use_true_random=False), st.integers(1, 60))
@settings(max_examples=25, deadline=None)
def test_the_log_gives_the_same_verdict_after_any_restart(
    case: tuple[AbTest, list[list[dict[str, Any]]]], rng: random.Random, later_s: int
) -> None:
    test, messages = case
    trial, log = Trial(), []
    for i, some in enumerate(messages):
        frame = rows(some, 60 * i)
        log.append(Counted(2, 10 + i, frame))
        trial = add(trial, test, frame, Position(2, 10 + i, 1))
        if rng.random() < 0.5:
            trial, _ = judge(trial, test, NOW + timedelta(seconds=i))
        if rng.random() < 0.5:
            trial = load_trial(orjson.loads(orjson.dumps(dump_trial(trial))))
    _, verdict = judge(trial, test, NOW + timedelta(seconds=later_s, microseconds=345_678))
    sent = CODEC.decode(CODEC.encode("AbVerdict", to_record(verdict)), "AbVerdict")
    stored = from_record(AbVerdict, sent)
    versions = Versions({1: test}, test)
    computed = again(stored, test, rebuild(stored.sources, log, versions), None)
    assert list(differences(stored, computed)) == []
    if stored.decision_sources:
        earlier = rebuild(stored.decision_sources, log, versions)
        assert decided_again(stored, test, earlier, None) == []


@given(trials(), st.randoms(use_true_random=False))
@settings(max_examples=25, deadline=None)
def test_any_split_and_order_of_the_log_gives_the_same_numbers(
    case: tuple[AbTest, list[list[dict[str, Any]]]], rng: random.Random
) -> None:
    test, messages = case
    _, whole = played(test, messages)
    pieces = [(rows([call], 60 * i)) for i, some in enumerate(messages) for call in some]
    rng.shuffle(pieces)
    trial = Trial()
    for piece in pieces:
        trial = add(trial, test, piece)
    verdict = judge(trial, test, NOW)[1]
    assert verdict.comparisons == whole.comparisons
    assert verdict.beliefs == whole.beliefs
    assert (verdict.recommendation, verdict.reason) == (whole.recommendation, whole.reason)
