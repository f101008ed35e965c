"""Units with several events: against statsmodels' cluster-robust regression, and by simulation."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import statsmodels.api as sm

from streams.statistics import clusters, means
from streams.statistics.clusters import UnitSums
from streams.statistics.estimates import Estimate, NoEstimate
from streams.statistics.moments import Moments

Array = npt.NDArray[Any]


def drawn(rng: np.random.Generator, units: int, spread: float = 1.0) -> tuple[Array, Array]:
    """(values of events, their unit): 1 to 20 events a unit, with a mean of its own."""
    sizes = rng.integers(1, 21, units)
    unit = np.repeat(np.arange(units), sizes)
    return rng.normal(spread * rng.normal(0, 1, units)[unit], 1.0), unit


def summed(values: Array, unit: Array) -> UnitSums:
    totals = np.bincount(unit, values).tolist()
    return UnitSums.of_units(totals, np.bincount(unit).tolist(), float((values**2).sum()))


def known(sums: UnitSums) -> Moments:
    found = clusters.moments(sums)
    assert isinstance(found, Moments)
    return found


def test_the_error_is_the_cluster_robust_one_of_statsmodels() -> None:
    rng = np.random.default_rng(1)
    (y1, u1), (y2, u2) = drawn(rng, 40), drawn(rng, 70)
    arm, baseline = known(summed(y1, u1)), known(summed(y2, u2))
    x = np.column_stack([np.ones(len(y1) + len(y2)), np.r_[np.ones(len(y1)), np.zeros(len(y2))]])
    groups = {"groups": np.r_[u1, u2 + 1000], "use_correction": False}
    fit = sm.OLS(np.r_[y1, y2], x).fit(cov_type="cluster", cov_kwds=groups)
    found = means.difference(arm, baseline)
    assert found.value == pytest.approx(fit.params[1], rel=1e-11)
    uncorrected = arm.mean_variance * 39 / 40 + baseline.mean_variance * 69 / 70
    assert uncorrected == pytest.approx(fit.bse[1] ** 2, rel=1e-11)
    assert found.smaller_n == 40


def test_one_event_a_unit_is_the_plain_mean() -> None:
    values = np.random.default_rng(2).normal(5, 2, 100)
    sums = summed(values, np.arange(100))
    found = known(sums)
    assert found.n == 100
    assert found.mean == pytest.approx(values.mean())
    assert found.variance == pytest.approx(values.var(ddof=1), rel=1e-10)
    assert clusters.design_effect(sums) == pytest.approx(1.0, rel=1e-10)


def test_copies_of_a_unit_s_event_are_one_event() -> None:
    values = np.random.default_rng(3).normal(5, 2, 100)
    sums = summed(np.repeat(values, 10), np.repeat(np.arange(100), 10))
    assert known(sums).variance == pytest.approx(values.var(ddof=1), rel=1e-10)
    assert clusters.design_effect(sums) == pytest.approx(10, rel=0.02)


def test_halves_add_up() -> None:
    y, u = drawn(np.random.default_rng(4), 30)
    whole, parts = summed(y, u), [summed(y[u < 10], u[u < 10]), summed(y[u > 9], u[u > 9] - 10)]
    merged = parts[0] + parts[1] + UnitSums()
    assert merged.units == whole.units
    assert known(merged).mean_variance == pytest.approx(known(whole).mean_variance, rel=1e-10)


def test_intervals_by_units_cover_and_intervals_by_events_do_not() -> None:
    rng = np.random.default_rng(5)
    missed = naive = 0
    runs = 400
    for _ in range(runs):
        (y1, u1), (y2, u2) = drawn(rng, 60), drawn(rng, 60)
        found = means.welch(known(summed(y1, u1)), known(summed(y2, u2)), 0.05)
        assert isinstance(found, Estimate)
        missed += not found.lower < 0 < found.upper
        events = [known(summed(y, np.arange(len(y)))) for y in (y1, y2)]
        found = means.welch(events[0], events[1], 0.05)
        assert isinstance(found, Estimate)
        naive += not found.lower < 0 < found.upper
    assert 0.02 < missed / runs < 0.09
    assert naive / runs > 0.3


@pytest.mark.parametrize(
    ("totals", "sizes", "says"),
    [
        ([], [], "no units"),
        ([1.0], [1.0], "a single unit"),
        ([1.0, 2.0], [0.0, 0.0], "add up to 0"),
        ([2.0, 4.0], [1.0, 2.0], "no spread between 2 units"),
        ([1e12, 1e12 + 1], [1.0, 1.0], "digits are gone"),
    ],
)
def test_degenerate_units_are_no_estimate(
    totals: list[float], sizes: list[float], says: str
) -> None:
    found = clusters.moments(UnitSums.of_units(totals, sizes, 1.0))
    assert isinstance(found, NoEstimate)
    assert says in found.reason
    assert isinstance(clusters.design_effect(UnitSums.of_units([1, 2], [1, 1])), NoEstimate)
