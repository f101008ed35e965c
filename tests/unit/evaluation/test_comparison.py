"""Models on the same cases: differences, what only one passed, and what is left out."""

from dataclasses import replace

import pytest
from scipy.stats import ttest_rel

from agents.evaluation.comparison import comparisons
from schemas.evaluations import CaseResult
from streams.statistics.estimates import Estimate, NoEstimate
from tests.support.runs import Bench, result


def outcome(case_id: str, model: str, score: float | None, epoch: int = 0) -> CaseResult:
    bench = Bench()
    bench.started()
    passed = None if score is None else score >= 0.5
    return replace(
        result(bench.cases[0]),
        case_id=case_id,
        model_id=model,
        epoch=epoch,
        score=score,
        passed=passed,
        cluster=None,
    )


SCORES = {"a": (0.9, 0.4), "b": (0.7, 0.6), "c": (0.2, 0.3), "d": (0.8, 0.1)}


def results() -> list[CaseResult]:
    found = []
    for case_id, (new, old) in SCORES.items():
        found += [outcome(case_id, "new", new), outcome(case_id, "old", old)]
    return found


def test_a_difference_of_independent_cases_is_the_paired_t_test() -> None:
    (found,) = comparisons(results(), ("old", "1"))
    new, old = zip(*SCORES.values(), strict=True)
    expected = ttest_rel(new, old)
    assert isinstance(found.difference, Estimate)
    assert found.difference.value == pytest.approx(sum(new) / 4 - sum(old) / 4)
    assert found.difference.p_value == pytest.approx(expected.pvalue)
    assert (found.difference.lower, found.difference.upper) == pytest.approx(
        tuple(expected.confidence_interval())
    )
    assert (found.only_model, found.only_baseline, found.cases) == (2, 0, 4)


def test_cases_without_a_score_of_both_are_left_out_and_counted() -> None:
    more = [outcome("e", "new", 1.0), outcome("f", "new", None), outcome("f", "old", 1.0)]
    (found,) = comparisons([*results(), *more], ("old", "1"))
    assert (found.cases, found.left_out) == (4, 2)


def test_cases_of_one_source_count_as_one_and_epochs_are_reduced_first() -> None:
    one_source = [replace(r, cluster="book") for r in results()]
    (found,) = comparisons(one_source, ("old", "1"))
    assert isinstance(found.difference, NoEstimate)
    twice = [*results(), *(replace(r, epoch=1, score=0.0) for r in results())]
    (found,) = comparisons(twice, ("old", "1"))
    assert isinstance(found.difference, Estimate)
    assert found.difference.value == pytest.approx((2.6 - 1.4) / 8)


def test_a_model_that_was_not_compared_with_anything_says_so() -> None:
    (found,) = comparisons([outcome("a", "new", 1.0)], ("old", "1"))
    assert isinstance(found.difference, NoEstimate)
    assert isinstance(found.mcnemar_p, NoEstimate)
    assert (found.cases, found.left_out) == (0, 1)
