"""Exact, one-sided and equivalence methods: against quadrature, statsmodels and simulation."""

import math

import numpy as np
import pytest
from scipy import integrate, stats
from statsmodels.stats.weightstats import ttost_ind

from streams.statistics import equivalence, exact, one_sided
from streams.statistics.estimates import NoEstimate
from streams.statistics.exact import Bounds, Interval, bounded_sequence, rate_sequence
from streams.statistics.means import Difference, difference
from streams.statistics.moments import Moments, moments
from streams.statistics.rates import Rate
from streams.statistics.sequential import Tuning
from streams.statistics.sequential import factor as two_sided_factor
from streams.statistics.sums import Sums


@pytest.mark.parametrize(("n", "ones"), [(1, 0), (1, 1), (50, 0), (50, 50), (400, 13), (10**6, 31)])
def test_ends_of_the_rate_sequence_are_where_the_evidence_is_one_over_alpha(
    n: int, ones: int
) -> None:
    found = rate_sequence(Rate(n, ones), 0.05)
    assert 0 <= found.lower <= ones / n <= found.upper <= 1
    for end in (found.lower, found.upper):
        if 0 < end < 1:
            log_e = exact.log_e_value(Rate(n, ones), end)
            assert log_e == pytest.approx(-math.log(0.05), rel=1e-6)
    assert (found.lower == 0) == (ones == 0)
    assert (found.upper == 1) == (ones == n)


def test_the_rate_s_evidence_is_the_mean_likelihood_ratio() -> None:
    def ratio(p: float) -> float:
        return float(stats.binom.pmf(3, 20, p) / stats.binom.pmf(3, 20, 0.4))

    mean, _ = integrate.quad(lambda p: ratio(p) * stats.beta.pdf(p, 2, 5), 0, 1)
    assert exact.log_e_value(Rate(20, 3), 0.4, (2, 5)) == pytest.approx(math.log(mean), rel=1e-9)


def test_sequences_of_rates_and_bounded_values_cover_at_all_looks() -> None:
    rng = np.random.default_rng(1)
    runs, missed = 200, {"rate": 0, "bounded": 0}
    for _ in range(runs):
        ones = (rng.random(400) < 0.05).cumsum()
        missed["rate"] += any(
            not (f := rate_sequence(Rate(n, int(ones[n - 1])), 0.1)).lower <= 0.05 <= f.upper
            for n in range(1, 401, 9)
        )
        values = rng.beta(1, 4, 400)
        total = Sums()
        wrong = False
        for part in np.split(values, 20):
            total += Sums.of_values(part.tolist())
            found = bounded_sequence(total, Bounds(planned_n=200), 0.1)
            assert isinstance(found, Interval)
            wrong |= not found.lower <= 0.2 <= found.upper
        missed["bounded"] += wrong
    assert all(count / runs <= 0.1 + 3 * math.sqrt(0.1 * 0.9 / runs) for count in missed.values())


def test_the_boundary_is_where_the_mixture_is_one_over_alpha() -> None:
    v, rho, alpha = 30.0, 7.0, 0.025
    s = exact.gamma_exponential(v, rho, alpha)

    def weight(u: float) -> float:
        return float(u ** (rho - 1) * math.exp(-rho * u))

    def process(u: float) -> float:
        step = 1 - u
        return math.exp(step * s + (math.log(u) + step) * v)

    norm, _ = integrate.quad(weight, 0, 1)
    mixed, _ = integrate.quad(lambda u: process(u) * weight(u), 1e-12, 1)
    assert mixed / norm == pytest.approx(1 / alpha, rel=1e-6)


def test_the_sum_of_squares_that_order_would_give_is_bounded() -> None:
    rng = np.random.default_rng(2)
    for values in (rng.random(50), np.sort(rng.random(50)), np.r_[np.zeros(25), np.ones(25)]):
        before = np.r_[0.5, values.cumsum()[:-1] / np.arange(1, 50)]
        harmonic = (1 / np.arange(1, 51)).sum()
        deviations = ((values - values.mean()) ** 2).sum()
        assert ((values - before) ** 2).sum() <= deviations + harmonic - 0.75


def test_bounded_values_narrow_and_scale() -> None:
    values = np.random.default_rng(3).random(2000)
    found = bounded_sequence(Sums.of_values(values.tolist()), Bounds(), 0.05)
    scaled = bounded_sequence(Sums.of_values((10 * values - 5).tolist()), Bounds(-5, 5), 0.05)
    assert isinstance(found, Interval)
    assert isinstance(scaled, Interval)
    assert found.upper - found.lower < 8 * values.std() / math.sqrt(2000)
    assert scaled.lower == pytest.approx(10 * found.lower - 5)
    assert found.minus(found) == Interval(0, found.lower - found.upper, found.upper - found.lower)
    for sums in (Sums(), Sums.of_values([1.5])):
        assert isinstance(bounded_sequence(sums, Bounds(), 0.05), NoEstimate)


def test_one_sided_evidence_is_the_half_normal_mixture_and_sharper_than_two_sided() -> None:
    z, x = 2.3, 1.7

    def ratio(g: float) -> float:  # e = 1, rho^2 = x
        return math.exp(g * z - g * g / 2) * 2 * stats.norm.pdf(g, 0, math.sqrt(x))

    mean, _ = integrate.quad(ratio, 0, 40)
    assert one_sided.log_e_value(z, x) == pytest.approx(math.log(mean), rel=1e-9)
    for alpha in (0.05, 0.001):
        assert one_sided.factor(5.0, alpha) < two_sided_factor(5.0, alpha)
        assert one_sided.factor(5.0, alpha) == pytest.approx(
            two_sided_factor(5.0, 2 * alpha), rel=0.02
        )


def of(values: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> Moments:
    found = moments(Sums.of_values(values.tolist()))
    assert isinstance(found, Moments)
    return found


@pytest.mark.parametrize("margin", [0.05, 0.3, 1.0])
def test_equivalence_is_statsmodels(margin: float) -> None:
    rng = np.random.default_rng(4)
    a, b = rng.normal(0, 1, 150), rng.normal(0.1, 2, 90)
    expected, above, below = ttost_ind(a, b, -margin, margin, usevar="unequal")
    assert equivalence.equivalence(of(a), of(b), margin) == pytest.approx(expected, rel=1e-10)
    assert equivalence.non_inferiority(of(a), of(b), margin) == pytest.approx(above[1], rel=1e-10)
    assert equivalence.non_inferiority(of(b), of(a), margin) == pytest.approx(below[1], rel=1e-10)


def test_anytime_non_inferiority_agrees_with_its_bound() -> None:
    rng = np.random.default_rng(5)
    found = difference(of(rng.normal(0, 1, 500)), of(rng.normal(0, 1, 500)))
    bound = one_sided.lower_bound(found, Tuning(0.05, 500))
    assert not isinstance(bound, NoEstimate)
    for nudge, less in ((1e-6, True), (-1e-6, False)):
        p_value = equivalence.anytime_non_inferiority(
            found, -bound.lower + nudge, Tuning(0.05, 500)
        )
        assert not isinstance(p_value, NoEstimate)
        assert (p_value < 0.05) == less
    both = equivalence.anytime_equivalence(found, 1.0, Tuning(0.05, 500))
    assert not isinstance(both, NoEstimate)
    assert both < 1e-6
    few = Difference(0.0, 1.0, 50.0, 50)
    assert isinstance(equivalence.anytime_equivalence(few, 1.0, Tuning(0.05, 500)), NoEstimate)
