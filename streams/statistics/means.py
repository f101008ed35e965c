"""Differences of means at a fixed horizon: Welch's t.

B. L. Welch: "The generalization of 'Student's' problem when several different population variances
are involved", Biometrika 34, 1947; degrees of freedom: F. E. Satterthwaite, Biometrics Bulletin 2,
1946.
"""

import math
from dataclasses import dataclass

from scipy.special import stdtr, stdtrit

from streams.statistics.estimates import Estimate, NoEstimate, estimate
from streams.statistics.moments import Moments


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference with its standard error and the variances of single values behind it.

    `effective_n`: values per arm that would give this standard error if both arms had as many.
    `smaller_n`: values of the smaller arm.
    """

    value: float
    error: float
    effective_n: float
    smaller_n: int


def difference(arm: Moments, baseline: Moments) -> Difference:
    """arm - baseline, with unequal variances."""
    squared = arm.mean_variance + baseline.mean_variance
    effective = (arm.variance + baseline.variance) / squared
    smaller = min(arm.n, baseline.n)
    return Difference(arm.mean - baseline.mean, math.sqrt(squared), effective, smaller)


def welch(arm: Moments, baseline: Moments, alpha: float) -> Estimate | NoEstimate:
    """arm - baseline by Welch's t. Valid at one look that was fixed beforehand.

    t = d / sqrt(s1^2/n1 + s2^2/n2) with df = (v1 + v2)^2 / (v1^2/(n1-1) + v2^2/(n2-1)), v = s^2/n.
    Assumes independent values; means near normal (n of 30 and more unless very skewed).
    """
    found = difference(arm, baseline)
    v1, v2 = arm.mean_variance, baseline.mean_variance
    # As shares, since squares of small variances would underflow.
    share = v1 / (v1 + v2)
    freedom = 1 / (share**2 / (arm.n - 1) + (1 - share) ** 2 / (baseline.n - 1))
    half = -float(stdtrit(freedom, alpha / 2)) * found.error
    p_value = 2 * float(stdtr(freedom, -abs(found.value) / found.error))
    return estimate(found.value, found.value - half, found.value + half, p_value)
