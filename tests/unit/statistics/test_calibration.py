"""Simulations in columns: the scalar functions, row by row; and the levels promised, briefly."""

import math

import numpy as np
import pytest

from bench.parts.stats_draws import GUARANTEED, Values, clustered, simulated
from bench.parts.stats_false_positives import anytime, power, tallied
from bench.parts.stats_page import RATIOS
from streams.statistics import calibration, means, one_sided, rates, sequential
from streams.statistics.calibration import Calibration, Plan, Shift, Tally
from streams.statistics.estimates import Estimate, NoEstimate
from streams.statistics.means import Difference
from streams.statistics.moments import Moments, moments
from streams.statistics.one_sided import Bound
from streams.statistics.sums import Sums

PLAN = Plan(tests=6, looks=8, batch=30, ratio=2.0, planned_n=100)


def of(values: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> Moments:
    found = moments(Sums.of_values(values.tolist()))
    assert isinstance(found, Moments)
    return found


@pytest.mark.parametrize("shift", [0.0, 0.3, 100.0])
def test_columns_are_the_scalar_functions(shift: float) -> None:
    rng = np.random.default_rng(1)
    n1, n0 = PLAN.sizes
    arm, baseline = rng.lognormal(0, 1, (6, n1)) + shift, rng.lognormal(0, 1, (6, n0))
    paths = calibration.Paths.of(
        calibration.running(arm, PLAN.looks), calibration.running(baseline, PLAN.looks)
    )
    ours = calibration.anytime(paths, PLAN.tuning)
    sided = calibration.one_sided(paths, PLAN.tuning)
    once = calibration.fixed(paths, 0.05)
    for test in range(6):
        for look in range(PLAN.looks):
            at = (look + 1) * PLAN.batch
            one, other = of(arm[test, :at]), of(baseline[test, : 2 * at])
            found = means.difference(one, other)
            assert paths.error[test, look] == pytest.approx(found.error, rel=1e-8)
            interval = sequential.confidence_sequence(found, PLAN.tuning)
            out = isinstance(interval, Estimate) and not interval.lower <= 0 <= interval.upper
            assert ours[test, look] == out
            bound = one_sided.lower_bound(found, PLAN.tuning)
            assert sided[test, look] == (isinstance(bound, Bound) and bound.lower > 0)
            welch = means.welch(one, other, 0.05)
            assert isinstance(welch, Estimate)
            assert once[test, look] == (welch.p_value < 0.05)


def test_rates_have_the_variance_of_rates() -> None:
    values = (np.random.default_rng(2).random((3, 400)) < 0.02).astype(float)
    found = calibration.running(values, 4, binary=True)
    ones = int(values[1, :300].sum())
    assert found.variance[1, 2] == pytest.approx(rates.Rate(300, ones).variance)


@pytest.mark.parametrize("values", GUARANTEED, ids=lambda v: v.name)
@pytest.mark.parametrize("shares", ["1 : 1", "1 : 10"])
def test_looked_at_after_every_batch_the_level_holds(values: Values, shares: str) -> None:
    tests = 400
    paths = simulated(values, values, RATIOS[shares], tests, seed=21)
    tally = tallied(paths, anytime)
    assert tally.tests == tests
    assert tally.above(0.05) > 0.001


def test_clustered_values_need_the_analysis_by_units() -> None:
    by_units, by_events = (tallied(clustered(300, 3, units), anytime) for units in (True, False))
    assert by_units.above(0.05) > 0.001
    assert by_events.rate > 0.3


def test_very_unequal_arms_have_to_wait() -> None:
    """With 200 against 2,000 skewed values the normal approximation is not good enough yet."""
    early = Difference(1.0, 0.1, 1.82 * 200, 200)
    found = sequential.confidence_sequence(early, PLAN.tuning)
    assert isinstance(found, NoEstimate)
    assert "differ much in size" in found.reason
    for fine in (Difference(1.0, 0.1, 1.82 * 500, 500), Difference(1.0, 0.1, 200.0, 200)):
        assert isinstance(sequential.confidence_sequence(fine, PLAN.tuning), Estimate)


def test_power_is_near_the_published_methods() -> None:
    for found in power(1500):
        assert found.gap_points < 5, found.method


def test_own_values_are_split_at_random_and_shifted() -> None:
    rng = np.random.default_rng(4)
    values = rng.lognormal(0, 1, 3000)
    plan = Plan(tests=300, looks=10, batch=40)
    sound, shifted = Calibration(plan), Calibration(plan)
    sound.add(calibration.split(values, plan, rng))
    shifted.add(calibration.split(values, plan, rng, Shift(2.0)))
    assert sound.found["anytime"].above(0.05) > 0.001
    assert sound.found["fixed, one look"].above(0.05) > 0.001
    assert sound.found["fixed, every look"].above(0.05) < 0.001
    for way in calibration.WAYS:
        assert shifted.found[way].rate > 0.9, way
        assert shifted.found[way].used < 1 or way == "fixed, one look"
    with pytest.raises(ValueError, match="needs more"):
        calibration.split(values[:100], plan, rng)


@pytest.mark.parametrize("difference", [0.05, -0.05])
def test_rates_are_shifted_by_turning_values(difference: float) -> None:
    rng = np.random.default_rng(5)
    values = (rng.random(200_000) < 0.1).astype(float)
    moved = Shift(difference, binary=True).apply(values, 0.1, rng)
    assert set(np.unique(moved)) == {0.0, 1.0}
    assert moved.mean() - values.mean() == pytest.approx(difference, abs=0.003)


def test_no_spread_finds_nothing_and_warns_of_nothing() -> None:
    plan = Plan(tests=2, looks=4, batch=50)
    paths = calibration.split(np.full(500, 3.0), plan, np.random.default_rng(6))
    found = Calibration(plan)
    found.add(paths)
    assert all(tally.rate == 0 for tally in found.found.values())


def test_the_bound_is_the_binomials() -> None:
    assert calibration.bound(0.05, 10_000) == pytest.approx(0.0568, abs=2e-4)
    tally = Tally(10_000, 568)
    assert tally.above(0.05) == pytest.approx(0.001, abs=4e-4)
    assert Tally(10, 0).above(0.05) == 1.0
    assert math.isclose(Tally(4, 1).above(0.5), 15 / 16)
