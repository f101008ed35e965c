"""Paired tests beside scipy and statsmodels; quantiles by simulation; CUPED beside regression."""

from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar as reference

from streams import sketch
from streams.statistics import means, paired, quantiles
from streams.statistics.adjustment import Adjusted, cuped
from streams.statistics.clusters import UnitSums
from streams.statistics.estimates import Estimate, NoEstimate
from streams.statistics.exact import Interval
from streams.statistics.moments import Moments
from streams.statistics.paired import Discordant
from streams.statistics.quantiles import Sketch
from streams.statistics.sequential import Tuning, confidence_sequence

RNG = np.random.default_rng(20261124)


def test_paired_t_and_signed_rank_are_scipys() -> None:
    base = RNG.normal(0, 5, 60)
    model = base + RNG.normal(0.3, 1, 60)
    found = paired.differences(model, base)
    assert isinstance(found, Moments)
    t = paired.paired_t(found, 0.05)
    assert isinstance(t, Estimate)
    expected = stats.ttest_rel(model, base)
    interval = expected.confidence_interval(0.95)
    assert t.p_value == pytest.approx(expected.pvalue, rel=1e-10)
    assert (t.lower, t.upper) == pytest.approx((interval.low, interval.high), rel=1e-10)
    ties = np.round(model), np.round(base)
    kept = ties[0] - ties[1] != 0
    wanted = stats.wilcoxon(ties[0][kept], ties[1][kept]).pvalue
    assert paired.signed_rank(*ties) == pytest.approx(wanted)
    anytime = confidence_sequence(paired.difference(found), Tuning(0.05, 60))
    assert isinstance(anytime, NoEstimate), "60 cases are within the burn-in"


@pytest.mark.parametrize(("b", "c"), [(0, 1), (3, 12), (40, 55), (7, 7)])
def test_mcnemar_is_statsmodels(b: int, c: int) -> None:
    expected = reference([[20, b], [c, 9]], exact=True).pvalue
    assert paired.mcnemar(Discordant(b, c)) == pytest.approx(expected, rel=1e-9)


def test_pairs_that_cannot_tell_are_no_estimate() -> None:
    same = np.ones(5)
    assert isinstance(paired.differences(same, same), NoEstimate)
    assert isinstance(paired.differences(same[:1], same[:1]), NoEstimate)
    assert isinstance(paired.differences(np.array([1.0, np.inf]), np.ones(2)), NoEstimate)
    assert isinstance(paired.signed_rank(same, same), NoEstimate)
    found = paired.discordant(np.array([True, True, False]), np.array([True, False, True]))
    assert found == Discordant(1, 1)
    assert isinstance(paired.mcnemar(Discordant(0, 0)), NoEstimate)
    with pytest.raises(ValueError, match="one value a case"):
        paired.differences(same, same[:2])


def sketched(values: "np.ndarray[Any, Any]") -> Sketch:
    bins, counts = np.unique(sketch.keys(values), return_counts=True)
    return Sketch(bins.tolist(), counts.tolist())


@pytest.mark.parametrize("q", [0.5, 0.95])
def test_quantile_intervals_cover(q: float) -> None:
    truth = float(stats.lognorm.ppf(q, 1))
    runs, missed = 150, {"fixed": 0, "anytime": 0}
    for _ in range(runs):
        values = RNG.lognormal(0, 1, 1200)
        once = quantiles.fixed(sketched(values), q, 0.1)
        assert isinstance(once, Interval)
        assert once.lower <= once.value <= once.upper
        missed["fixed"] += not once.lower <= truth <= once.upper
        looks = (quantiles.anytime(sketched(values[:n]), q, 0.1) for n in range(100, 1201, 100))
        missed["anytime"] += any(
            isinstance(f, Interval) and not f.lower <= truth <= f.upper for f in looks
        )
    assert all(count / runs <= 0.1 + 3 * (0.09 / runs) ** 0.5 for count in missed.values())


def test_quantile_ranks_are_those_of_the_binomial() -> None:
    values = np.sort(RNG.lognormal(0, 1, 200))
    found = quantiles.fixed(sketched(values), 0.5, 0.05)
    assert isinstance(found, Interval)
    # Conover, Practical Nonparametric Statistics: order statistics 86 and 115 of 200.
    assert found.lower == pytest.approx(values[85], rel=0.021)
    assert found.lower <= values[85]
    assert found.upper == pytest.approx(values[114], rel=0.021)
    assert found.upper >= values[114]
    negative = quantiles.fixed(sketched(-values), 0.5, 0.05)
    assert isinstance(negative, Interval)
    assert negative.lower == pytest.approx(-found.upper, rel=0.03)
    assert isinstance(quantiles.fixed(Sketch([], []), 0.5, 0.05), NoEstimate)
    assert isinstance(quantiles.fixed(sketched(values[:10]), 0.99, 0.05), NoEstimate)


@pytest.mark.parametrize("ms", [7.3, 410.0, 7050.0, 1e5, -12.0])
def test_intervals_that_touch_differ_by_nothing(ms: float) -> None:
    """Not by the last digits of the end at which two bins meet."""
    key = int(sketch.keys(np.array([ms]))[0])
    one, next_one = Sketch([key], [1000]), Sketch([key + 1], [1000])
    up = quantiles.difference(next_one, one, 0.5, 0.05)
    down = quantiles.difference(one, next_one, 0.5, 0.05, every_look=False)
    assert isinstance(up, Interval)
    assert isinstance(down, Interval)
    assert up.lower == 0 == down.upper
    assert down.lower == -up.upper < 0


def test_cuped_is_regression_with_the_covariate() -> None:
    x1, x2 = RNG.normal(10, 2, 400), RNG.normal(10, 2, 500)
    y1, y2 = 3 * x1 + RNG.normal(0.2, 1, 400), 3 * x2 + RNG.normal(0, 1, 500)
    sums = [UnitSums.of_units(y.tolist(), x.tolist()) for y, x in ((y1, x1), (y2, x2))]
    found = cuped(*sums)
    assert isinstance(found, Adjusted)
    arm = np.r_[np.ones(400), np.zeros(500)]
    fit = sm.OLS(np.r_[y1, y2], np.column_stack([np.ones(900), arm, np.r_[x1, x2]])).fit()
    assert found.theta == pytest.approx(fit.params[2], rel=1e-9)
    effect = means.difference(found.arm, found.baseline)
    assert effect.value == pytest.approx(fit.params[1], rel=1e-6)
    assert effect.error == pytest.approx(fit.bse[1], rel=0.05)
    assert found.variance_left < 0.05
    for y, x in (([1.0], [1.0]), ([1.0, 2.0], [3.0, 3.0]), ([1.0, 1.0], [1.0, 2.0])):
        assert isinstance(cuped(UnitSums.of_units(y, x), sums[1]), NoEstimate)
    exactly = UnitSums.of_units([1.0, 2.0, 3.0], [2.0, 4.0, 6.0])
    assert isinstance(cuped(exactly, exactly), NoEstimate)
