"""Differences of means at a fixed horizon: Welch's t, Student's t, and differences in percent.

B. L. Welch: "The generalization of 'Student's' problem when several different population variances
are involved", Biometrika 34, 1947; degrees of freedom: F. E. Satterthwaite, Biometrics Bulletin 2,
1946.
"""

import math
from dataclasses import dataclass

from scipy.special import ndtri, stdtr, stdtrit

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
    v1, v0 = arm.mean_variance, baseline.mean_variance
    squared = v1 + v0
    effective = (v1 * arm.n + v0 * baseline.n) / squared
    smaller = min(arm.n, baseline.n)
    return Difference(arm.mean - baseline.mean, math.sqrt(squared), effective, smaller)


def welch(arm: Moments, baseline: Moments, alpha: float) -> Estimate | NoEstimate:
    """arm - baseline by Welch's t. Valid at one look that was fixed beforehand.

    t = d / sqrt(s1^2/n1 + s2^2/n2) with df = (v1 + v2)^2 / (v1^2/(n1-1) + v2^2/(n2-1)), v = s^2/n.
    Assumes independent values; means near normal (n of 30 and more unless very skewed).
    """
    v1, v2 = arm.mean_variance, baseline.mean_variance
    value, error = arm.mean - baseline.mean, math.sqrt(v1 + v2)
    # As shares, since squares of small variances would underflow.
    share = v1 / (v1 + v2)
    freedom = 1 / (share * share / (arm.n - 1) + (1 - share) ** 2 / (baseline.n - 1))
    half = -float(stdtrit(freedom, alpha / 2)) * error
    p_value = 2 * float(stdtr(freedom, -abs(value) / error))
    return estimate(value, value - half, value + half, p_value)


def student(arm: Moments, baseline: Moments, alpha: float) -> Estimate | NoEstimate:
    """arm - baseline by Student's t with one variance for both arms. Valid at one look.

    R. A. Fisher, Metron 5, 1925: t = d / sqrt(s^2 (1/n1 + 1/n2)) with n1 + n2 - 2 degrees of
    freedom. Assumes equal variances: where they may differ, and arms differ in size, use welch.
    """
    freedom = arm.n + baseline.n - 2
    pooled = (arm.m2 + baseline.m2) / freedom
    error = math.sqrt(pooled * (1 / arm.n + 1 / baseline.n))
    value = arm.mean - baseline.mean
    half = -float(stdtrit(freedom, alpha / 2)) * error
    p_value = 2 * float(stdtr(freedom, -abs(value) / error)) if error > 0 else math.nan
    return estimate(value, value - half, value + half, p_value)


def relative(arm: Moments, baseline: Moments) -> Difference | NoEstimate:
    """(arm - baseline) / baseline with its error by the delta method; 0.02 is 2 % more.

    var = v1 / b^2 + v0 a^2 / b^4 for means a, b with squared errors v1, v0: William G. Cochran,
    "Sampling Techniques", 3rd ed. 1977, 6.3. No estimate while the baseline's mean is within four
    of its standard errors of 0: the ratio is then far from normal.
    """
    b, v0 = baseline.mean, baseline.mean_variance
    if b * b <= 16 * v0:
        return NoEstimate(f"the baseline's mean {b:g} is too near 0 to be a measure")
    ratio = arm.mean / b
    # Variances of single values, in units of b^2, so that nothing overflows.
    one, other = arm.mean_variance / b / b, ratio * ratio * (v0 / b / b)
    squared = one + other
    effective = (one * arm.n + other * baseline.n) / squared if squared > 0 else math.nan
    if not (math.isfinite(effective) and math.isfinite(ratio)):
        return NoEstimate("the numbers are too large or too small for double precision")
    return Difference(ratio - 1, math.sqrt(squared), effective, min(arm.n, baseline.n))


def normal(found: Difference, alpha: float) -> Estimate | NoEstimate:
    """Any difference with its error, by the normal distribution. Valid at one look."""
    half = -float(ndtri(alpha / 2)) * found.error
    p_value = math.erfc(abs(found.value) / found.error / math.sqrt(2))
    return estimate(found.value, found.value - half, found.value + half, p_value)
