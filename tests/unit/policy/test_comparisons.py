"""One comparison in its published form: its numbers agree with each other."""

import numpy as np
import pytest

from agents.policy.comparisons import Context, Level, Sample, comparison, contrast
from streams.statistics.clusters import UnitSums
from tests.support.trials import goal

LEVEL = Level.shared(0.05, 1, 1000)


def units(seed: int, n: int, covariate_mean: float) -> Sample:
    """An arm whose values are its covariate, and a little."""
    rng = np.random.default_rng(seed)
    x = rng.normal(covariate_mean, 1, n)
    y = (x + 0.2 * rng.normal(size=n)).tolist()
    pairs = UnitSums.of_units(y, x.tolist())
    return Sample.of_units(UnitSums.of_units(y, [1.0] * n), pairs)


@pytest.mark.parametrize("n", [40, 400])
def test_with_a_covariate_the_difference_in_percent_is_that_of_the_interval(n: int) -> None:
    # By chance the arm has units with higher values; corrected for that, nothing is left of it.
    arm, baseline = units(1, n, 10.5), units(2, n, 10.0)
    found = contrast(arm, baseline, LEVEL)
    assert found.method == "adjusted"
    shown = comparison(
        goal("quality"), ("b", "a"), (arm, baseline), found, Context(LEVEL, None, None, None)
    )
    assert shown.mean_arm is not None
    assert shown.mean_baseline is not None
    assert shown.difference is not None
    assert shown.fixed_lower is not None
    assert shown.fixed_upper is not None
    assert abs(shown.difference) < 0.2 < shown.mean_arm - shown.mean_baseline
    assert shown.difference == pytest.approx((shown.fixed_lower + shown.fixed_upper) / 2)
    assert shown.relative_difference == pytest.approx(shown.difference / shown.mean_baseline)
