"""Mann-Whitney and winsorised means from sketches: beside scipy on the values themselves."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from streams import sketch
from streams.statistics import means, ranks, winsor
from streams.statistics.estimates import Estimate, NoEstimate
from streams.statistics.means import Difference
from streams.statistics.quantiles import Sketch
from streams.statistics.sums import Sums
from streams.statistics.winsor import Caps, Winsorised

Values = npt.NDArray[Any]


def sketched(values: Values) -> Sketch:
    bins, counts = np.unique(sketch.keys(values.astype(float)), return_counts=True)
    return Sketch(bins.tolist(), counts.tolist())


@pytest.mark.parametrize("seed", range(3))
def test_ranks_from_a_sketch_are_those_of_the_values(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.lognormal(0.15, 1, 400), rng.lognormal(0, 1, 300)
    said = stats.mannwhitneyu(a, b, method="asymptotic")
    found = ranks.mann_whitney(sketched(a), sketched(b))
    assert isinstance(found, float)
    # Values within a bin of 2 % are tied.
    assert found == pytest.approx(said.pvalue, rel=0.05)
    better = ranks.superiority(sketched(a), sketched(b))
    assert isinstance(better, Difference)
    assert better.value + 0.5 == pytest.approx(said.statistic / 400 / 300, abs=1e-3)
    interval = ranks.bounded(better, 0.05)
    assert isinstance(interval, Estimate)
    assert -0.5 < interval.lower < better.value < interval.upper < 0.5


def test_superiority_covers_when_shapes_differ() -> None:
    rng = np.random.default_rng(7)
    missed = 0
    for _ in range(300):
        a, b = rng.normal(0, 3, 80), rng.normal(0, 1, 60)
        found = ranks.superiority(sketched(a), sketched(b))
        assert isinstance(found, Difference)
        interval = means.normal(found, 0.05)
        assert isinstance(interval, Estimate)
        missed += not interval.lower <= 0 <= interval.upper
    assert 0.02 < missed / 300 < 0.09


def test_negative_zero_and_positive_values_keep_their_order() -> None:
    low, high = np.array([-5.0, -1.0, 0.0]), np.array([0.0, 2.0, 9.0])
    found = ranks.superiority(sketched(high), sketched(low))
    assert isinstance(found, Difference)
    assert found.value + 0.5 == pytest.approx(8.5 / 9)
    back = ranks.superiority(sketched(low), sketched(high))
    assert isinstance(back, Difference)
    assert back.value == pytest.approx(-found.value)
    assert back.error == pytest.approx(found.error)


def test_capped_means_are_scipys_within_the_sketchs_error() -> None:
    rng = np.random.default_rng(3)
    values = rng.pareto(1.5, 20_000) + 1
    limits = winsor.caps([sketched(values)], 0.0, 0.99)
    assert isinstance(limits, Caps)
    assert limits.high == pytest.approx(np.quantile(values, 0.99), rel=0.02)
    found = winsor.winsorised(Sums.of_values(values.tolist()), sketched(values), limits)
    assert isinstance(found, Winsorised)
    capped = np.minimum(values, limits.high)
    assert found.moments.mean == pytest.approx(capped.mean(), abs=found.error)
    assert found.moments.variance == pytest.approx(capped.var(ddof=1), rel=0.02)
    assert found.error < 0.01 * values.mean()
    assert found.capped == pytest.approx(0.01, abs=0.003)


def test_caps_of_nothing_are_the_plain_mean() -> None:
    values = np.random.default_rng(4).normal(0, 1, 500)
    limits = winsor.caps([sketched(values)], 0.0, 1.0)
    assert isinstance(limits, Caps)
    found = winsor.winsorised(Sums.of_values(values.tolist()), sketched(values), limits)
    assert isinstance(found, Winsorised)
    assert found.moments.mean == pytest.approx(values.mean())
    assert (found.error, found.capped) == (0.0, 0.0)


def test_caps_are_the_same_for_all_arms() -> None:
    rng = np.random.default_rng(5)
    small, large = rng.exponential(1, 900), rng.exponential(10, 100)
    limits = winsor.caps([sketched(small), sketched(large)], 0.0, 0.95)
    assert isinstance(limits, Caps)
    both = np.concatenate([small, large])
    assert limits.high == pytest.approx(np.quantile(both, 0.95), rel=0.03)


def test_what_a_sketch_does_not_know_widens() -> None:
    rng = np.random.default_rng(6)
    values = rng.pareto(1.2, 2000)
    limits = winsor.caps([sketched(values)], 0.0, 0.99)
    assert isinstance(limits, Caps)
    arm = winsor.winsorised(Sums.of_values(values.tolist()), sketched(values), limits)
    assert isinstance(arm, Winsorised)
    narrow = Estimate(1.0, arm.error, 2.0, 0.01)
    wide = winsor.widened(narrow, arm, arm)
    assert isinstance(wide, Estimate)
    assert (wide.lower, wide.upper) == pytest.approx((-arm.error, 2 + 2 * arm.error))
    assert wide.p_value == 1.0
    clear = winsor.widened(Estimate(1.0, 0.9, 1.1, 0.01), arm)
    assert isinstance(clear, Estimate)
    assert clear.p_value == 0.01
    nothing = NoEstimate("no values")
    assert winsor.widened(nothing, arm) == nothing
    with pytest.raises(ValueError, match="a sketch of 2000"):
        winsor.winsorised(Sums.of_values([1.0, 2.0]), sketched(values), limits)
