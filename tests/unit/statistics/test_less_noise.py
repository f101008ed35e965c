"""Strata and several covariates: beside formulas written out, regression and simulation."""

from typing import Literal

import numpy as np
import numpy.typing as npt
import pytest
import statsmodels.api as sm

from streams.statistics import means, regression, strata
from streams.statistics.adjustment import Adjusted, cuped
from streams.statistics.clusters import UnitSums
from streams.statistics.estimates import Estimate, NoEstimate
from streams.statistics.means import Difference
from streams.statistics.moments import Moments, moments
from streams.statistics.regression import Cross
from streams.statistics.strata import Stratified
from streams.statistics.sums import Sums


def of(values: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> Moments:
    found = moments(Sums.of_values(values.tolist()))
    assert isinstance(found, Moments)
    return found


def test_strata_are_weighted_by_their_share() -> None:
    rng = np.random.default_rng(1)
    cells = {
        "small": (rng.normal(1, 1, 40), rng.normal(0, 2, 60)),
        "large": (rng.normal(11, 1, 250), rng.normal(10, 1, 150)),
    }
    found = strata.stratified({k: (of(a), of(b)) for k, (a, b) in cells.items()})
    assert isinstance(found, Stratified)
    weights = {"small": 100 / 500, "large": 400 / 500}
    value = sum(weights[k] * (a.mean() - b.mean()) for k, (a, b) in cells.items())
    squared = sum(
        weights[k] ** 2 * (a.var(ddof=1) / len(a) + b.var(ddof=1) / len(b))
        for k, (a, b) in cells.items()
    )
    assert found.difference.value == pytest.approx(value)
    assert found.difference.error == pytest.approx(squared**0.5)
    assert found.variance_left < 0.2
    assert found.left_out == 0
    assert found.difference.smaller_n == 210
    assert found.difference.effective_n == pytest.approx(250, rel=0.2)


def test_strata_undo_simpsons_paradox() -> None:
    """b is better everywhere, and worse overall, as it gets the hard ones."""
    rng = np.random.default_rng(2)
    easy = rng.normal(0.92, 0.1, 100), rng.normal(0.90, 0.1, 900)
    hard = rng.normal(0.52, 0.1, 900), rng.normal(0.50, 0.1, 100)
    plain = np.concatenate([easy[0], hard[0]]).mean() - np.concatenate([easy[1], hard[1]]).mean()
    assert plain < -0.2
    found = strata.stratified(
        {"easy": (of(easy[0]), of(easy[1])), "hard": (of(hard[0]), of(hard[1]))}
    )
    assert isinstance(found, Stratified)
    assert found.difference.value == pytest.approx(0.02, abs=0.02)


def test_strata_that_cannot_be_compared_are_left_out_or_stop_it() -> None:
    rng = np.random.default_rng(3)
    good = of(rng.normal(size=500)), of(rng.normal(size=500))
    lone = of(rng.normal(size=30)), NoEstimate("no values")
    found = strata.stratified({"good": good, "lone": lone})
    assert isinstance(found, Stratified)
    assert found.left_out == pytest.approx(30 / 1030)
    many = of(rng.normal(size=300)), NoEstimate("no values")
    stopped = strata.stratified({"good": good, "lone": many})
    assert isinstance(stopped, NoEstimate)
    assert "hold 23% of the units: lone, baseline: no values" in stopped.reason


Floats = npt.NDArray[np.float64]
Slopes = Literal["common", "own"]


def drawn(rng: np.random.Generator, n: int, effect: float) -> tuple[list[float], Floats]:
    x = rng.normal(size=(n, 3)) * [1, 100, 1e-3]
    y = 5 + effect + x @ [1.0, 0.02, 500.0] + rng.normal(size=n)
    return y.tolist(), x


def test_one_covariate_with_one_slope_is_cuped() -> None:
    rng = np.random.default_rng(4)
    (y1, x1), (y0, x0) = drawn(rng, 300, 0.3), drawn(rng, 200, 0.0)
    found = regression.adjusted(Cross.of_units(y1, x1[:, :1]), Cross.of_units(y0, x0[:, :1]))
    other = cuped(
        UnitSums.of_units(y1, x1[:, 0].tolist()), UnitSums.of_units(y0, x0[:, 0].tolist())
    )
    assert isinstance(found, Adjusted)
    assert isinstance(other, Adjusted)
    assert found.theta == pytest.approx(other.theta)
    assert found.arm.mean - found.baseline.mean == pytest.approx(
        other.arm.mean - other.baseline.mean
    )
    assert found.variance_left == pytest.approx(other.variance_left, rel=0.01)


@pytest.mark.parametrize("slopes", ["common", "own"])
def test_three_covariates_are_least_squares_and_cover(slopes: Slopes) -> None:
    rng = np.random.default_rng(5)
    missed = 0
    for run in range(200):
        (y1, x1), (y0, x0) = drawn(rng, 60, 0.3), drawn(rng, 90, 0.0)
        found = regression.adjusted(Cross.of_units(y1, x1), Cross.of_units(y0, x0), slopes)
        assert isinstance(found, Adjusted)
        interval = means.welch(found.arm, found.baseline, 0.05)
        assert isinstance(interval, Estimate)
        missed += not interval.lower <= 0.3 <= interval.upper
        if run == 0:
            arm = np.r_[np.ones(60), np.zeros(90)]
            x = np.concatenate([x1, x0])
            x = x - x.mean(axis=0)
            parts = [np.ones(150), arm, x] + ([x * arm[:, None]] if slopes == "own" else [])
            fit = sm.OLS(np.r_[y1, y0], np.column_stack(parts)).fit()
            assert interval.value == pytest.approx(fit.params[1], rel=1e-6)
            assert found.variance_left < 0.6
    assert missed / 200 < 0.09


def test_products_merge_in_any_order() -> None:
    rng = np.random.default_rng(6)
    y, x = drawn(rng, 90, 0.0)
    whole = Cross.of_units(y, x)
    parts = [Cross.of_units(y[i : i + 30], x[i : i + 30]) for i in (0, 30, 60)]
    for merged in (
        parts[0] + parts[1] + parts[2],
        parts[2] + (Cross.zero(3) + parts[0]) + parts[1],
    ):
        assert merged.n == 90
        assert merged.means == pytest.approx(whole.means)
        assert merged.products == pytest.approx(whole.products, rel=1e-9, abs=1e-6)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda y, x: (y, np.column_stack([x[:, 0], 2 * x[:, 0]])), "follows from the others"),
        (lambda y, x: (y, np.ones((len(y), 2))), "has no spread"),
        (lambda y, x: ([3.0] * len(y), x), "has no spread"),
        (lambda y, x: (x[:, 0].tolist(), x), "predict the metric exactly"),
        (lambda y, x: (y[:4], x[:4]), "4 units are too few for 3 covariates"),
        (lambda y, x: ([1e200, *y[1:]], x), "too large"),
    ],
)
def test_covariates_that_are_no_use(change: "object", says: str) -> None:
    rng = np.random.default_rng(7)
    y, x = drawn(rng, 50, 0.0)
    assert callable(change)
    cross = Cross.of_units(*change(y, x))
    found = regression.adjusted(cross, cross)
    assert isinstance(found, NoEstimate)
    assert says in found.reason
    with pytest.raises(ValueError, match="covariates"):
        regression.adjusted(cross, Cross.zero(7))


def test_percent_is_the_delta_method() -> None:
    rng = np.random.default_rng(8)
    a, b = rng.normal(11, 2, 400), rng.normal(10, 2, 300)
    found = means.relative(of(a), of(b))
    assert isinstance(found, Difference)
    assert found.value == pytest.approx(a.mean() / b.mean() - 1)
    v1, v0 = a.var(ddof=1) / 400, b.var(ddof=1) / 300
    squared = v1 / b.mean() ** 2 + v0 * a.mean() ** 2 / b.mean() ** 4
    assert found.error == pytest.approx(squared**0.5)
    assert isinstance(means.relative(of(a), of(b - 10)), NoEstimate)
