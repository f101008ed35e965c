"""Fixed-horizon methods beside scipy and statsmodels; tolerances are relative unless stated."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats import proportion

from streams.partials import STATE
from streams.statistics.estimates import Estimate, NoEstimate
from streams.statistics.means import welch
from streams.statistics.moments import Moments, moments
from streams.statistics.needs import NEEDS
from streams.statistics.rates import Rate, chi_square, rate, two_proportions, wilson
from streams.statistics.sums import Sums

EXACT = 1e-11
RNG = np.random.default_rng(20261124)


def of(values: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> Moments:
    found = moments(Sums.of_values(values.tolist()))
    assert isinstance(found, Moments), found
    return found


@pytest.mark.parametrize("sizes", [(2, 2), (5, 300), (2000, 40), (500, 500)])
@pytest.mark.parametrize("shift", [0.0, 1e5])
def test_welch_is_scipys(sizes: tuple[int, int], shift: float) -> None:
    a = shift + RNG.lognormal(0, 1, sizes[0])
    b = shift + RNG.normal(2, 3, sizes[1])
    for alpha in (0.05, 0.001):
        found = welch(of(a), of(b), alpha)
        assert isinstance(found, Estimate)
        expected = stats.ttest_ind(a, b, equal_var=False)
        interval = expected.confidence_interval(1 - alpha)
        # The digits that the shift costs both of us.
        tolerance = EXACT if shift == 0 else 1e-6
        assert found.p_value == pytest.approx(expected.pvalue, rel=tolerance)
        assert found.lower == pytest.approx(interval.low, rel=tolerance)
        assert found.upper == pytest.approx(interval.high, rel=tolerance)


@pytest.mark.parametrize(
    ("arm", "baseline"),
    [
        ((40, 500), (60, 480)),
        ((0, 300), (9, 310)),
        ((1, 50), (0, 40)),
        ((9999, 10000), (9990, 9999)),
    ],
)
def test_two_proportions_are_statsmodels(arm: tuple[int, int], baseline: tuple[int, int]) -> None:
    counts, sizes = (arm[0], baseline[0]), (arm[1], baseline[1])
    found = two_proportions(Rate(arm[1], arm[0]), Rate(baseline[1], baseline[0]), 0.05)
    assert isinstance(found, Estimate)
    _, p_value = proportion.proportions_ztest(counts, sizes)
    assert found.p_value == pytest.approx(p_value, rel=EXACT)
    lower, upper = proportion.confint_proportions_2indep(
        counts[0], sizes[0], counts[1], sizes[1], method="newcomb", compare="diff"
    )
    assert found.lower == pytest.approx(lower, rel=1e-9)
    assert found.upper == pytest.approx(upper, rel=1e-9)


def test_chi_square_is_scipys_and_the_square_of_z() -> None:
    table = [(30, 400), (45, 390), (28, 410), (60, 430)]
    rates = [Rate(n, ones) for ones, n in table]
    found = chi_square(rates)
    expected = stats.chi2_contingency([(o, n - o) for o, n in table], correction=False)
    assert found == pytest.approx(expected.pvalue, rel=EXACT)
    pair = two_proportions(rates[0], rates[1], 0.05)
    assert isinstance(pair, Estimate)
    assert chi_square(rates[:2]) == pytest.approx(pair.p_value, rel=EXACT)


@pytest.mark.parametrize("n", [10, 296, 337, 2000])
def test_wilson_ends_exactly_at_the_ends(n: int) -> None:
    z = float(stats.norm.isf(0.025))
    assert wilson(Rate(n, 0), z)[0] == 0.0
    assert wilson(Rate(n, n), z)[1] == 1.0


@pytest.mark.parametrize(("ones", "n"), [(0, 10), (3, 10), (10, 10), (512, 2000)])
def test_wilson_is_statsmodels(ones: int, n: int) -> None:
    expected = proportion.proportion_confint(ones, n, 0.05, method="wilson")
    assert wilson(Rate(n, ones), float(stats.norm.isf(0.025))) == pytest.approx(
        expected, rel=EXACT, abs=1e-15
    )


def test_moments_are_numpys_and_merge_without_cancellation() -> None:
    a, b = RNG.normal(1e9, 1, 400), RNG.normal(1e9, 2, 300)
    centered = of(a - 1e9).merge(of(b - 1e9))
    both = np.concatenate([a, b]) - 1e9
    assert centered.n == 700
    assert centered.mean == pytest.approx(both.mean(), rel=1e-9)
    assert centered.variance == pytest.approx(both.var(ddof=1), rel=EXACT)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ([], "no values"),
        ([3.0], "a single value has no spread"),
        ([0.1] * 50, "all 50 values are 0.1"),
        ([1e12, 1e12 + 1, 1e12 + 2], "the digits are gone"),
    ],
)
def test_no_spread_is_no_estimate_and_says_why(values: list[float], says: str) -> None:
    found = moments(Sums.of_values(values))
    assert isinstance(found, NoEstimate)
    assert says in found.reason


def test_the_digits_rule_lets_no_wrong_variance_through() -> None:
    """Rows are summed as doubles, in batches, as the data lane does."""
    for exponent in range(13):
        values = 10.0**exponent + RNG.normal(0, 1, 20_000)
        sums = Sums()
        for part in np.split(values, 10):
            row = (
                float(part.sum()),
                float((part * part).sum()),
                float(part.min()),
                float(part.max()),
            )
            sums += Sums.of_row(len(part), *row)
        found = moments(sums)
        if isinstance(found, Moments):
            assert found.variance == pytest.approx(values.var(ddof=1), rel=0.01)
        else:
            assert exponent > 5, "digits were left"


def test_rates_are_recognised_from_sums() -> None:
    assert rate(Sums.of_values([0, 1, 1, 0, 1])) == Rate(5, 3)
    assert Sums.of_values([1.0]).binary
    for values in ([0.5, 1.0], [0.0, 1.0, 2.0], [-1.0, 1.0], [0.0, 1e-300], []):
        assert not Sums.of_values(values).binary, values
        assert isinstance(rate(Sums.of_values(values)), NoEstimate)


@pytest.mark.parametrize("ones", [0, 1])
def test_outcomes_that_are_all_the_same_are_no_estimate(ones: int) -> None:
    same = Rate(100, 100 * ones)
    assert isinstance(two_proportions(same, same, 0.05), NoEstimate)
    assert isinstance(chi_square([same, same]), NoEstimate)
    assert isinstance(chi_square([Rate(9, 3)]), NoEstimate)


def test_numbers_beyond_doubles_are_no_estimate() -> None:
    assert isinstance(welch(Moments(9, 1e308, 1.0), Moments(9, -1e308, 1.0), 0.05), NoEstimate)
    assert isinstance(moments(Sums.of_values([1.3e154, -1.3e154, 1.0])), NoEstimate)
    narrow = welch(Moments(9, 1.0, 1e-60), Moments(9, 0.0, 1e-60), 0.05)
    assert isinstance(narrow, NoEstimate)
    assert "narrower" in narrow.reason


def test_every_method_says_which_aggregates_it_needs_and_partials_carry_them() -> None:
    assert {welch, two_proportions, chi_square} <= set(NEEDS)
    for method, needed in NEEDS.items():
        assert needed, method
        assert needed <= set(STATE), method
