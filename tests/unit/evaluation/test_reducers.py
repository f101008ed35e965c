"""Several epochs of a case become one value."""

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.evaluation.reducers import pass_at_k, pass_k, reduce_passes, reduce_values
from schemas.suites import Reducer
from streams.statistics.estimates import NoEstimate


@pytest.mark.parametrize(
    ("values", "reducer", "expected"),
    [
        ([0.2, 0.4, 0.9], "mean", 0.5),
        ([0.2, None, 0.4], "mean", 0.3),
        ([0.2, 0.4, 0.9], "median", 0.4),
        ([0.2, 0.4], "median", 0.3),
        ([0.2, 0.9, None], "max", 0.9),
        ([0.9, 0.2, 0.9, 0.2, 0.5], "mode", 0.2),
        ([0.2, 0.4], "pass_at_k", 0.3),
    ],
)
def test_values(values: Sequence[float | None], reducer: Reducer, expected: float) -> None:
    assert reduce_values(values, reducer) == pytest.approx(expected)


@pytest.mark.parametrize("reducer", ["mean", "median", "max", "mode", "pass_at_k", "pass_k"])
def test_nothing_known_is_no_estimate(reducer: Reducer) -> None:
    assert isinstance(reduce_values([None, None], reducer), NoEstimate)
    assert isinstance(reduce_passes([None], reducer), NoEstimate)
    assert isinstance(reduce_passes([], reducer), NoEstimate)


def human_eval_pass_at_k(n: int, c: int, k: int) -> float:
    """As the paper's figure 3 has it: a product, so that large binomials do not overflow."""
    if n - c < k:
        return 1.0
    return float(1.0 - np.prod(1.0 - k / np.arange(n - c + 1, n + 1)))


@given(st.integers(1, 200), st.data())
def test_pass_at_k_is_that_of_the_paper(n: int, data: st.DataObject) -> None:
    c, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    found = pass_at_k(n, c, k)
    assert not isinstance(found, NoEstimate)
    assert found == pytest.approx(human_eval_pass_at_k(n, c, k), abs=1e-12)


@pytest.mark.parametrize(("n", "c"), [(5, 0), (5, 2), (6, 6), (7, 3)])
def test_both_are_the_mean_over_all_choices_of_k(n: int, c: int) -> None:
    outcomes = [True] * c + [False] * (n - c)
    for k in range(1, n + 1):
        chosen = list(itertools.combinations(outcomes, k))
        assert pass_at_k(n, c, k) == pytest.approx(np.mean([any(x) for x in chosen]))
        assert pass_k(n, c, k) == pytest.approx(np.mean([all(x) for x in chosen]))


def test_passes() -> None:
    passes = [True, False, None, True]
    assert reduce_passes(passes, "mean") == pytest.approx(2 / 3)
    assert reduce_passes(passes, "max") == 1.0
    assert reduce_passes(passes, "pass_at_k", 2) == 1.0
    assert reduce_passes(passes, "pass_k", 2) == pytest.approx(1 / 3)
    assert reduce_passes(passes, "pass_at_k", 4) == NoEstimate(
        "pass@4 needs 4 executions at least; there are 3"
    )
    assert isinstance(reduce_passes(passes, "pass_k", 4), NoEstimate)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9))
def test_order_does_not_matter_and_results_lie_between(values: list[float]) -> None:
    shuffled = sorted(values)
    reducers: tuple[Reducer, ...] = ("mean", "median", "max", "mode")
    for reducer in reducers:
        found = reduce_values(values, reducer)
        assert found == reduce_values(shuffled, reducer)
        assert not isinstance(found, NoEstimate)
        assert min(values) - 1e-15 <= found <= max(values) + 1e-15
