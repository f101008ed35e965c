"""Offline A/B tests: the same cases through every arm, compared case by case."""

import random
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from scipy import stats

from agents.policy.offline import judge_offline
from agents.policy.trial import Cell
from schemas.entities import Arm, MetricGoal
from tests.support.trials import TEST

NOW = datetime(2026, 6, 1, tzinfo=UTC)
OFFLINE = replace(
    TEST,
    mode="offline",
    suite_id="hard",
    metrics=(MetricGoal("quality", "primary", "higher"),),
)


def values(gap: float, n: int = 60) -> dict[Cell, dict[str, float]]:
    """Cases that differ far more from each other than arms do."""
    rng = random.Random(5)
    base = {f"c{i}": rng.random() for i in range(n)}
    return {
        Cell("a", "quality"): {c: v + rng.gauss(0, 0.02) for c, v in base.items()},
        Cell("b", "quality"): {c: v + gap + rng.gauss(0, 0.02) for c, v in base.items()},
    }


def test_a_small_difference_shows_between_the_same_cases() -> None:
    cases = values(0.03)
    verdict = judge_offline(OFFLINE, cases, NOW).verdict
    (quality,) = verdict.comparisons
    assert (verdict.recommendation, verdict.winner, quality.verdict) == ("ship", "b", "better")
    mine, other = (np.array(list(cases[Cell(arm, "quality")].values())) for arm in "ba")
    reference = stats.ttest_rel(mine, other)
    assert quality.fixed_p_value == pytest.approx(reference.pvalue, rel=1e-9)
    assert quality.difference == pytest.approx((mine - other).mean())
    assert quality.anytime_p_value is None, "fewer than 100 cases"
    assert quality.note is not None
    assert "paired t over 60 cases; Wilcoxon p" in quality.note
    assert judge_offline(OFFLINE, values(-0.03), NOW).verdict.recommendation == "roll_back"


def test_cases_that_one_arm_did_not_finish_are_left_out_and_told() -> None:
    cases = values(0.0)
    short = dict(list(cases[Cell("b", "quality")].items())[:50])
    verdict = judge_offline(OFFLINE, {**cases, Cell("b", "quality"): short}, NOW).verdict
    assert verdict.comparisons[0].n_arm == 50
    assert "(10 that an arm did not finish are left out)" in (verdict.comparisons[0].note or "")
    assert verdict.warning == "Arms finished different numbers of cases: a 60, b 50."
    assert verdict.recommendation == "keep_going"
    assert "50 cases answered by all do not tell the arms apart" in verdict.reason


def test_pass_and_fail_are_told_by_mcnemar() -> None:
    passed = {
        Cell("a", "quality"): {f"c{i}": float(i % 2) for i in range(40)},
        Cell("b", "quality"): {f"c{i}": float(i % 2 or i < 12) for i in range(40)},
    }
    note = judge_offline(OFFLINE, passed, NOW).verdict.comparisons[0].note
    assert note is not None
    assert "McNemar p 0.0312" in note


def test_every_test_of_the_same_cases_is_told() -> None:
    cases = values(0.02, 150)
    cases[Cell("b", "quality")]["only b finished"] = 0.5
    (found,) = judge_offline(OFFLINE, cases, NOW).paired
    both = [f"c{i}" for i in range(150)]
    mine, other = (np.array([cases[Cell(arm, "quality")][c] for c in both]) for arm in "ba")
    reference = stats.ttest_rel(mine, other)
    interval = reference.confidence_interval(1 - OFFLINE.alpha)
    assert (found.metric, found.arm, found.cases, found.left_out) == ("quality", "b", 150, 1)
    assert found.difference == pytest.approx((mine - other).mean())
    assert (found.t_lower, found.t_upper) == pytest.approx(tuple(interval))
    assert found.t_p_value == pytest.approx(reference.pvalue)
    assert found.signed_rank_p_value == pytest.approx(stats.wilcoxon(mine - other).pvalue)
    assert found.anytime_lower is not None
    assert found.t_lower is not None
    assert found.anytime_lower < found.t_lower, "looking always costs something"
    assert (found.mcnemar_p_value, found.only_arm, found.note) == (None, None, None)


def test_cases_that_only_one_arm_passed_are_counted() -> None:
    passed = {
        Cell("a", "quality"): {f"c{i}": float(i % 2) for i in range(40)},
        Cell("b", "quality"): {f"c{i}": float((i % 2 or i < 12) and i != 39) for i in range(40)},
    }
    (found,) = judge_offline(OFFLINE, passed, NOW).paired
    assert (found.only_arm, found.only_baseline) == (6, 1)
    assert found.mcnemar_p_value == pytest.approx(stats.binomtest(1, 7).pvalue)
    assert "intervals start at 100" in (found.note or "")
    (nothing,) = judge_offline(OFFLINE, {}, NOW).paired
    assert (nothing.cases, nothing.difference, nothing.mcnemar_p_value) == (0, None, None)
    assert nothing.note


def test_nothing_finished_is_no_estimate() -> None:
    verdict = judge_offline(OFFLINE, {}, NOW).verdict
    assert verdict.comparisons[0].verdict == "no_estimate"
    assert "No case is finished by all arms yet" in verdict.reason


def test_arms_share_alpha() -> None:
    three = replace(OFFLINE, arms=(*TEST.arms, Arm("c", "other")))
    cases = {**values(0.03), Cell("c", "quality"): values(0.0)[Cell("b", "quality")]}
    verdict = judge_offline(three, cases, NOW).verdict
    assert [c.arm for c in verdict.comparisons] == ["b", "c"]
    assert verdict.winner == "b" or verdict.recommendation == "keep_going"
