"""Drift, carry-over, units in two arms, propensities: what makes a test unsound."""

import math

import numpy as np
import pytest
from scipy import stats

from streams.statistics import assignment, drift, offpolicy
from streams.statistics.assignment import Assignment
from streams.statistics.bandit import Logged
from streams.statistics.drift import Drift
from streams.statistics.estimates import Estimate, NoEstimate
from streams.statistics.means import Difference, difference
from streams.statistics.moments import Moments, moments
from streams.statistics.sequential import Tuning, confidence_sequence
from streams.statistics.sums import Sums

RNG = np.random.default_rng(20261124)


def of(values: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> Moments:
    found = moments(Sums.of_values(values.tolist()))
    assert isinstance(found, Moments)
    return found


def period(effect: float, n: int = 400) -> Difference:
    return difference(of(RNG.normal(effect, 1, n)), of(RNG.normal(0, 1, n)))


def test_novelty_is_cochrans_q_and_a_weighted_line() -> None:
    periods = [period(e, n) for e, n in ((0.5, 300), (0.4, 500), (0.2, 800), (0.1, 200))]
    found = drift.novelty(periods)
    assert isinstance(found, Drift)
    w = np.array([1 / p.error**2 for p in periods])
    y = np.array([p.value for p in periods])
    q = (w * (y - np.average(y, weights=w)) ** 2).sum()
    assert found.same_p == pytest.approx(stats.chi2.sf(q, 3))
    slope, _ = np.polyfit(np.arange(4.0), y, 1, w=np.sqrt(w))
    assert found.trend.value == pytest.approx(slope)
    assert found.fades()
    assert not found.grows()
    assert (found.first, found.last) == (y[0], y[-1])


def test_an_effect_that_lasts_seldom_looks_like_one_that_does_not() -> None:
    apart, faded = 0, 0
    for _ in range(300):
        found = drift.novelty([period(0.3, 60) for _ in range(5)])
        assert isinstance(found, Drift)
        apart += found.same_p < 0.05
        faded += found.fades() or found.grows()
    assert apart / 300 < 0.1
    assert faded / 300 < 0.04


def test_novelty_needs_three_periods_with_errors() -> None:
    fine = period(0.1)
    broken = Difference(0.1, 0.0, 10.0, 10)
    for wrong in ([], [fine, fine], [fine, fine, broken]):
        assert isinstance(drift.novelty(wrong), NoEstimate)


def test_carry_over_compares_within_the_arms_of_now() -> None:
    """Units of the earlier treatment are worse by 1, whatever they are given now."""
    pairs = [(of(RNG.normal(now - 1, 1, 300)), of(RNG.normal(now, 1, 300))) for now in (0.0, 4.0)]
    found = drift.carry_over(pairs)
    assert isinstance(found, Estimate)
    assert found.lower < -1 < found.upper < 0
    nothing = NoEstimate("no values")
    assert isinstance(drift.carry_over([(nothing, nothing)]), NoEstimate)
    before = drift.before_start(of(RNG.normal(0, 1, 300)), of(RNG.normal(0.5, 1, 300)))
    assert isinstance(before, Estimate)
    assert before.upper < 0


def test_units_in_two_arms_are_found_and_tolerated() -> None:
    fine = assignment.assignment([5000, 5100], [0.5, 0.5], crossed=12)
    assert isinstance(fine, Assignment)
    assert fine.sound()
    assert fine.crossed.value == pytest.approx(12 / 10_100)
    assert 0.99 < fine.dilution < 1
    crossed = assignment.assignment([5000, 5100], [0.5, 0.5], crossed=400)
    assert isinstance(crossed, Assignment)
    assert crossed.crossing
    assert not crossed.sound()
    maybe = assignment.assignment([5000, 5100], [0.5, 0.5], crossed=120)
    assert isinstance(maybe, Assignment)
    assert maybe.crossed.upper > 0.01
    assert not maybe.crossing, "above the tolerance, and not shown to be"
    tolerant = assignment.assignment([5000, 5100], [0.5, 0.5], crossed=400, tolerance=0.05)
    assert isinstance(tolerant, Assignment)
    assert tolerant.sound()
    uneven = assignment.assignment([6000, 5000], [0.5, 0.5], crossed=0)
    assert isinstance(uneven, Assignment)
    assert not uneven.sound()
    assert isinstance(assignment.assignment([0, 0], [0.5, 0.5], 0), NoEstimate)
    with pytest.raises(ValueError, match="7 of 5"):
        assignment.assignment([3, 2], [0.5, 0.5], 7)


MEANS, PROPENSITY, OTHER = np.array([0.2, 0.7]), np.array([0.8, 0.2]), np.array([0.1, 0.9])
TRUTH = float(MEANS @ OTHER)


def logs(n: int) -> tuple[list[float], list[float], list[int]]:
    chosen = RNG.choice(2, n, p=PROPENSITY)
    reward = (RNG.random(n) < MEANS[chosen]).astype(float)
    return (OTHER / PROPENSITY)[chosen].tolist(), reward.tolist(), chosen.tolist()


def test_inverse_propensity_is_the_weighted_mean_and_covers() -> None:
    missed = 0
    for _ in range(200):
        ratios, rewards, _ = logs(800)
        found = offpolicy.inverse_propensity(Logged.of_calls(ratios, rewards))
        assert isinstance(found, Moments)
        scores = np.array(ratios) * np.array(rewards)
        assert found.mean == pytest.approx(scores.mean())
        assert found.variance == pytest.approx(scores.var(ddof=1))
        interval = offpolicy.at_one_look(found, 0.0)
        assert isinstance(interval, Estimate)
        missed += not interval.lower <= TRUTH <= interval.upper
    assert missed / 200 < 0.1


@pytest.mark.parametrize("guess", [(0.2, 0.7), (0.5, 0.5), (0.9, 0.1)])
def test_doubly_robust_is_right_whatever_the_guess_and_sharper_with_a_good_one(
    guess: tuple[float, float],
) -> None:
    q = np.array(guess)
    ratios, rewards, chosen = logs(20_000)
    other = [float(q @ OTHER)] * len(chosen)
    found = offpolicy.doubly_robust(ratios, rewards, q[chosen].tolist(), other)
    plain = offpolicy.inverse_propensity(Logged.of_calls(ratios, rewards))
    assert isinstance(found, Moments)
    assert isinstance(plain, Moments)
    assert found.mean == pytest.approx(TRUTH, abs=4 * math.sqrt(found.mean_variance))
    if guess == (0.2, 0.7):
        assert found.variance < 0.8 * plain.variance
    at_any = confidence_sequence(offpolicy.above(found, 0.26), Tuning(0.05, 20_000))
    assert isinstance(at_any, Estimate)
    assert at_any.lower > 0
    both = offpolicy.gain(found, of(np.array(rewards)))
    assert both.value == pytest.approx(found.mean - np.mean(rewards))


def test_doubly_robust_from_sums_is_the_one_from_calls_with_predictions_of_the_other_half() -> None:
    ratios, rewards, chosen = logs(2000)
    names, shares = "ab", {"a": float(OTHER[0]), "b": float(OTHER[1])}
    half = np.arange(len(chosen)) % 2
    w, y, c = np.array(ratios), np.array(rewards), np.array(chosen)
    folds = [
        {
            names[arm]: Logged.of_calls(
                w[(half == h) & (c == arm)].tolist(), y[(half == h) & (c == arm)].tolist()
            )
            for arm in (0, 1)
        }
        for h in (0, 1)
    ]
    q = np.empty((len(chosen), 2))
    for h in (0, 1):
        for arm in (0, 1):
            kept = (half != h) & (c == arm)
            q[half == h, arm] = (w[kept] * y[kept]).sum() / w[kept].sum()
    by_call = offpolicy.doubly_robust(
        ratios, rewards, q[np.arange(len(c)), c].tolist(), (q @ OTHER).tolist()
    )
    found = offpolicy.doubly_robust_by_choice(folds, shares)
    assert isinstance(by_call, Moments)
    assert isinstance(found, Moments)
    assert found.n == by_call.n
    assert found.mean == pytest.approx(by_call.mean)
    assert found.variance == pytest.approx(by_call.variance, rel=1e-9)
    plain = offpolicy.inverse_propensity(Logged.of_calls(ratios, rewards))
    assert isinstance(plain, Moments)
    assert found.variance < 0.8 * plain.variance


def test_doubly_robust_from_sums_says_why_there_is_none() -> None:
    some = Logged.of_calls([1.0] * 40, [0.0, 1.0] * 20)
    same = Logged.of_calls([1.0] * 40, [1.0] * 40)
    by_choice = offpolicy.doubly_robust_by_choice
    missing = by_choice([{"a": some, "b": some}, {"a": some}], {"a": 0.5, "b": 0.5})
    assert missing == NoEstimate("too few calls of b to predict its rewards")
    assert isinstance(by_choice([{"a": some}, {"a": some}], {"a": 1.0, "b": 0.0}), Moments)
    assert isinstance(by_choice([{}, {}], {"a": 1.0}), NoEstimate)
    assert isinstance(by_choice([{"a": same}, {"a": same}], {"a": 1.0}), NoEstimate)


def test_wrong_propensities_show() -> None:
    ratios, rewards, _ = logs(5000)
    right = offpolicy.propensities_p(Logged.of_calls(ratios, rewards))
    assert isinstance(right, float)
    assert right > 0.001
    wrong = offpolicy.propensities_p(Logged.of_calls([1.3 * w for w in ratios], rewards))
    assert isinstance(wrong, float)
    assert wrong < 1e-6


def test_logs_that_say_nothing() -> None:
    assert isinstance(offpolicy.inverse_propensity(Logged()), NoEstimate)
    same = Logged.of_calls([1.0] * 50, [0.0] * 50)
    assert isinstance(offpolicy.inverse_propensity(same), NoEstimate)
    assert isinstance(offpolicy.propensities_p(same), NoEstimate)
    assert isinstance(offpolicy.propensities_p(Logged()), NoEstimate)
    few = offpolicy.doubly_robust([1.0], [1.0], [0.5], [0.5])
    assert isinstance(few, NoEstimate)
    huge = offpolicy.doubly_robust([1e300, 1.0], [1e300, 0.0], [0.0, 0.0], [0.0, 0.0])
    assert isinstance(huge, NoEstimate)
