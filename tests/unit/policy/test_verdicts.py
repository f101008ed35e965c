"""Decisions on A/B tests: who wins, what forbids it, what is kept."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import orjson
import polars as pl
import pytest

from agents.policy.trial import Trial, add, dump_trial, load_trial
from agents.policy.verdicts import SRM_ALPHA, judge
from schemas.entities import AbTest, AbTestStatus, Arm, MetricGoal
from schemas.records import AbVerdict, Comparison
from tests.support.trials import TEST, calls, goal, rows

NOW = datetime(2026, 6, 1, tzinfo=UTC)
THREE = replace(TEST, arms=(Arm("a", "small"), Arm("b", "large"), Arm("c", "other")))


def decided(test: AbTest, *events: list[dict[str, object]]) -> AbVerdict:
    trial = Trial()
    for some in events:
        trial = add(trial, test, rows(some))
    return judge(trial, test, NOW)[1]


def of(verdict: AbVerdict, metric: str, arm: str = "b") -> Comparison:
    return next(c for c in verdict.comparisons if c.metric == metric and c.arm == arm)


def test_the_better_arm_wins_in_words_and_numbers() -> None:
    verdict = decided(TEST, calls("a", 400, quality=0.6), calls("b", 400, quality=0.7))
    assert (verdict.status, verdict.winner, verdict.decided_at) == ("decided", "b", NOW)
    assert verdict.decision is not None
    assert verdict.decision.startswith("b wins: better than a on quality (0.7")
    found = of(verdict, "quality")
    assert found.verdict == "better"
    assert found.difference == pytest.approx(0.1, abs=0.02)
    assert found.anytime_lower is not None
    assert found.anytime_upper is not None
    assert found.fixed_lower is not None
    assert found.difference is not None
    assert found.anytime_p_value is not None
    assert 0 < found.anytime_lower < found.fixed_lower < found.difference < found.anytime_upper
    assert found.anytime_p_value < TEST.alpha
    assert [(a.arm, a.model_id, a.events) for a in verdict.arms] == [
        ("a", "small", 400),
        ("b", "large", 400),
    ]
    assert verdict.srm_p_value is None, "the newest pane is not complete"


def test_an_arm_that_is_worse_leaves_the_baseline_as_winner() -> None:
    verdict = decided(TEST, calls("a", 400, quality=0.7), calls("b", 400, quality=0.6))
    assert (verdict.winner, of(verdict, "quality").verdict) == ("a", "worse")
    assert verdict.decision is not None
    assert "b is worse on quality" in verdict.decision


def test_lower_is_better_where_the_goal_says_so() -> None:
    test = replace(TEST, metrics=(goal("latency_ms", "primary", "lower"),))
    verdict = decided(test, calls("a", 400, latency_ms=500), calls("b", 400, latency_ms=300))
    assert (verdict.winner, of(verdict, "latency_ms").verdict) == ("b", "better")
    assert of(verdict, "latency_ms").difference == pytest.approx(-200, rel=0.05)


def test_within_the_margin_is_no_difference_and_without_margin_undecided() -> None:
    events = calls("a", 800, quality=0.6), calls("b", 800, quality=0.6)
    verdict = decided(replace(TEST, metrics=(goal("quality", margin=0.05),)), *events)
    assert (verdict.status, verdict.winner) == ("decided", None)
    assert verdict.decision is not None
    assert "No difference beyond the margin of 0.05 on quality" in verdict.decision
    verdict = decided(replace(TEST, metrics=(goal("quality"),)), *events)
    assert (verdict.status, verdict.decision) == ("collecting", None)
    assert of(verdict, "quality").verdict == "undecided"


BETTER = calls("a", 400, quality=0.6), calls("b", 400, quality=0.7, latency_ms=900)


@pytest.mark.parametrize(
    ("guardrail", "status", "winner"),
    [
        (goal("latency_ms", "guardrail", "lower", margin=2000), "decided", "b"),
        (goal("latency_ms", "guardrail", "lower", margin=800), "collecting", None),
        (goal("latency_ms", "guardrail", "lower", margin=100), "decided", "a"),
        (goal("latency_ms", "guardrail", "lower"), "decided", "a"),
        (goal("latency_ms", "guardrail", "higher"), "decided", "b"),
        (goal("error", "guardrail", "lower", margin=0.01), "decided", "b"),
        (goal("thumbs_up", "guardrail", "higher"), "collecting", None),
    ],
    ids=["safe", "open", "broken", "worse", "better", "the same constant", "not measured"],
)
def test_guardrails_prevent_winners(guardrail: MetricGoal, status: str, winner: str | None) -> None:
    verdict = decided(replace(TEST, metrics=(goal("quality"), guardrail)), *BETTER)
    assert (verdict.status, verdict.winner) == (status, winner)
    assert of(verdict, "quality").verdict == "better"
    if winner == "a":
        assert verdict.decision is not None
        assert "breaks the guardrail latency_ms" in verdict.decision


def test_the_best_of_several_must_be_better_than_each_that_is_still_open() -> None:
    a, b = calls("a", 400, quality=0.5), calls("b", 400, quality=0.6)
    assert decided(THREE, a, b, calls("c", 400, quality=0.7)).winner == "c"
    assert decided(THREE, a, b, calls("c", 400, quality=0.6)).status == "collecting"
    margin = replace(THREE, metrics=(goal("quality", margin=0.05),))
    close = calls("b", 900, quality=0.605), calls("c", 900, quality=0.6)
    assert decided(margin, calls("a", 900, quality=0.5), *close).winner == "b"
    behind = calls("b", 400, quality=0.4), calls("c", 400, quality=0.3)
    assert decided(THREE, a, *behind).winner == "a"


def test_comparisons_of_a_role_share_alpha() -> None:
    events = [calls(arm, 400, quality=0.6) for arm in "abc"]
    three, two = decided(THREE, *events), decided(TEST, *events[:2])
    assert of(three, "quality").fixed_upper == of(two, "quality").fixed_upper
    wide, narrow = of(three, "quality").anytime_upper, of(two, "quality").anytime_upper
    assert wide is not None
    assert narrow is not None
    assert wide > narrow
    assert "corrected for 2 comparisons" in (of(three, "quality").note or "")


def test_a_decision_stays_whatever_comes_later() -> None:
    trial = Trial()
    for some in (calls("a", 400, quality=0.6), calls("b", 400, quality=0.7)):
        trial = add(trial, TEST, rows(some))
    trial, first = judge(trial, TEST, NOW)
    for some in (calls("a", 3000, quality=0.9), calls("b", 3000, quality=0.1)):
        trial = add(trial, TEST, rows(some))
    stopped = replace(TEST, status="stopped")
    for test in (TEST, stopped):
        trial = load_trial(orjson.loads(orjson.dumps(dump_trial(trial))))
        trial, later = judge(trial, test, NOW + timedelta(days=1))
        kept = (later.status, later.winner, later.decided_at, later.decision)
        assert kept == (first.status, first.winner, first.decided_at, first.decision)
        assert of(later, "quality").verdict == "worse"


def both(a: int, b: int, at_s: int) -> pl.DataFrame:
    return rows([*calls("a", a, quality=0.6), *calls("b", b, quality=0.7)], at_s)


def test_traffic_that_is_not_split_by_the_weights_makes_the_test_invalid_for_good() -> None:
    trial, first = judge(add(Trial(), TEST, both(400, 400, 0)), TEST, NOW)
    trial, verdict = judge(add(trial, TEST, both(700, 400, 10)), TEST, NOW)
    assert verdict.status == "decided", "the panes are not complete"
    trial, verdict = judge(add(trial, TEST, both(400, 400, 80)), TEST, NOW)
    assert (verdict.status, verdict.winner) == ("invalid", None)
    assert verdict.srm_p_value is not None
    assert verdict.srm_p_value < SRM_ALPHA
    assert verdict.decision is not None
    assert "traffic is not split 1 : 1 as the weights say (a 1100, b 800;" in verdict.decision
    assert first.decision is not None
    assert first.decision in verdict.decision
    trial, later = judge(add(trial, TEST, rows(calls("b", 300), 10)), TEST, NOW + timedelta(1))
    assert (later.status, later.decision) == ("invalid", verdict.decision)
    assert later.srm_p_value == 1.0, "what comes late still enters"


@pytest.mark.parametrize(
    ("a", "b", "says"),
    [
        ([], [0.5] * 3, "baseline: no values"),
        ([0.4, 0.5], [0.5], "arm: a single value has no spread"),
        ([0.5] * 200, [0.5] * 200, "all 200 values are 0.5"),
        ([1.0] * 200, [1.0] * 200, "every outcome in both arms is 1"),
        ([1e12, 1e12 + 1] * 200, [1e12, 1e12 + 2] * 200, "the digits are gone"),
    ],
)
def test_degenerate_input_is_no_estimate_with_a_reason(
    a: list[float], b: list[float], says: str
) -> None:
    test = replace(TEST, metrics=(goal("score"),))
    verdict = decided(test, calls("a", 200, score=a), calls("b", 200, score=b))
    found = of(verdict, "score")
    assert found.verdict == "no_estimate"
    assert says in (found.note or "")
    numbers = (found.fixed_p_value, found.fixed_lower, found.anytime_p_value, found.anytime_upper)
    assert numbers == (None,) * 4
    assert found.n_arm == len(b)
    assert verdict.status == "collecting"


def test_what_is_believed_of_a_rate_stays_within_0_and_1() -> None:
    test = replace(TEST, metrics=(goal("score"),))
    verdict = decided(test, calls("a", 400, score=[1.0] * 400), calls("b", 400, score=[0.0] * 400))
    all_ones, none = verdict.beliefs
    assert (all_ones.upper, none.lower) == (1.0, 0.0)
    # Beta(401, 1) below q is q^401.
    assert all_ones.lower == pytest.approx((test.alpha / 2) ** (1 / 401))
    assert none.upper == pytest.approx(1 - all_ones.lower)


def test_no_traffic_is_nothing_known() -> None:
    verdict = judge(Trial(), TEST, NOW)[1]
    assert (verdict.status, verdict.srm_p_value, verdict.decision) == ("collecting", None, None)
    assert of(verdict, "quality").mean_arm is None


@pytest.mark.parametrize("status", ["running", "paused", "stopped", "draft"])
def test_status_shows_what_the_registry_says(status: AbTestStatus) -> None:
    test = replace(TEST, status=status)
    found = decided(test, calls("a", 20, quality=0.6), calls("b", 20, quality=0.6))
    assert found.status == ("stopped" if status == "stopped" else "collecting")
    both = decided(test, calls("a", 400, quality=0.6), calls("b", 400, quality=0.7))
    assert both.status == ("collecting" if status == "draft" else "decided")


def test_with_many_arms_and_no_difference_a_winner_is_rare() -> None:
    """Four equal arms, looked at after every message: false winners within alpha."""
    rng = random.Random(1)
    arms = tuple(Arm(name, name) for name in "abcd")
    test = replace(TEST, arms=arms, metrics=(goal("quality"),), planned_n=300, alpha=0.1)
    runs = false = 0
    for _ in range(40):
        trial = Trial()
        for _ in range(8):
            for arm in "abcd":
                some = [rng.gauss(0.5, 0.2) for _ in range(50)]
                trial = add(trial, test, rows(calls(arm, 50, quality=some)))
            trial, verdict = judge(trial, test, NOW)
        runs += 1
        false += verdict.status == "decided"
    assert false / runs <= 0.25, f"{false} of {runs}"
