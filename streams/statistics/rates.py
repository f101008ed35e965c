"""Differences of rates (0/1 metrics) at a fixed horizon: z, chi-square, Fisher, score intervals."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import chdtrc, gammaln, ndtri

from streams.statistics.estimates import SMALLEST, Estimate, NoEstimate, estimate
from streams.statistics.means import Difference
from streams.statistics.sums import Sums


@dataclass(frozen=True, slots=True)
class Rate:
    """`ones` of `n` > 0 values are 1, the others 0."""

    n: int
    ones: int

    @property
    def value(self) -> float:
        return self.ones / self.n

    @property
    def variance(self) -> float:
        """Of a single value, never 0: from the rate with one success and one failure added.

        Alan Agresti, Brian Caffo: "Simple and effective confidence intervals for proportions and
        differences of proportions", The American Statistician 54, 2000.
        """
        adjusted = (self.ones + 1) / (self.n + 2)
        return adjusted * (1 - adjusted)


def rate(sums: Sums) -> Rate | NoEstimate:
    """The rate of a 0/1 metric."""
    if sums.n == 0:
        return NoEstimate("no values")
    if not sums.binary:
        return NoEstimate("not a rate: some values are neither 0 nor 1")
    return Rate(sums.n, sums.ones)


def difference(arm: Rate, baseline: Rate) -> Difference:
    """arm - baseline, with variances that are not 0 when all values are equal."""
    squared = arm.variance / arm.n + baseline.variance / baseline.n
    effective = (arm.variance + baseline.variance) / squared
    smaller = min(arm.n, baseline.n)
    return Difference(arm.value - baseline.value, math.sqrt(squared), effective, smaller)


def two_proportions(arm: Rate, baseline: Rate, alpha: float) -> Estimate | NoEstimate:
    """arm - baseline. Valid at one look that was fixed beforehand.

    p-value: z = d / sqrt(p (1-p) (1/n1 + 1/n2)) with the pooled rate p; z^2 is Pearson's chi-square
    of the 2x2 table. Interval: the hybrid score interval without continuity correction, method 10
    of Robert G. Newcombe: "Interval estimation for the difference between independent proportions",
    Statistics in Medicine 17, 1998. It stays sensible when an arm has no successes.
    Assumes independent values; expected counts of 5 and more for the p-value.
    """
    ones, n = arm.ones + baseline.ones, arm.n + baseline.n
    if ones in (0, n):
        return NoEstimate(f"every outcome in both arms is {ones // n}: no spread to judge by")
    pooled = ones / n
    found = arm.value - baseline.value
    z = found / math.sqrt(pooled * (1 - pooled) * (1 / arm.n + 1 / baseline.n))
    z_alpha = -float(ndtri(alpha / 2))
    (low1, high1), (low2, high2) = wilson(arm, z_alpha), wilson(baseline, z_alpha)
    lower = found - math.hypot(arm.value - low1, high2 - baseline.value)
    upper = found + math.hypot(high1 - arm.value, baseline.value - low2)
    return estimate(found, lower, upper, math.erfc(abs(z) / math.sqrt(2)))


def wilson(rate: Rate, z: float) -> tuple[float, float]:
    """The score interval of one rate.

    Edwin B. Wilson: "Probable inference, the law of succession, and statistical inference", JASA
    22, 1927.
    """
    n, p = rate.n, rate.value
    center = p + z * z / (2 * n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    # At an end both terms are equal but for their rounding.
    lower = 0.0 if rate.ones == 0 else max((center - half) / scale, 0.0)
    upper = 1.0 if rate.ones == n else min((center + half) / scale, 1.0)
    return lower, upper


def chi_square(rates: Sequence[Rate]) -> float | NoEstimate:
    """p-value of 'all these rates are equal': Pearson's chi-square of the k x 2 table.

    Karl Pearson, Philosophical Magazine 50, 1900. Expected counts of 5 and more are assumed.
    """
    n, ones = sum(r.n for r in rates), sum(r.ones for r in rates)
    if len(rates) < 2:
        return NoEstimate("fewer than two groups")
    if ones in (0, n):
        return NoEstimate("every outcome in all groups is the same: no spread to judge by")
    pooled = ones / n
    statistic = sum((r.ones - r.n * pooled) ** 2 / (r.n * pooled * (1 - pooled)) for r in rates)
    return float(chdtrc(len(rates) - 1, statistic))


EXPECTED_MIN = 5.0
"""Expected counts below which z and chi-square are rough: W. G. Cochran, Biometrics 10, 1954."""


def expected_minimum(rates: Sequence[Rate]) -> float:
    """The smallest expected count of the k x 2 table; below EXPECTED_MIN use `fisher`, of two."""
    pooled = sum(r.ones for r in rates) / sum(r.n for r in rates)
    return min(r.n for r in rates) * min(pooled, 1 - pooled)


def fisher(arm: Rate, baseline: Rate) -> float | NoEstimate:
    """Exact two-sided p-value of 'both rates are equal', for any counts. Looked at once.

    R. A. Fisher, JRSS 98, 1935: of all tables with these margins, the probability of those that
    are no more probable than the one seen (hypergeometric). Never above its level, often below.
    """
    ones, n = arm.ones + baseline.ones, arm.n + baseline.n
    if ones in (0, n):
        return NoEstimate(f"every outcome in both arms is {ones // n}: no spread to judge by")
    k = np.arange(max(0, ones - baseline.n), min(arm.n, ones) + 1)
    logs = _log_choose(arm.n, k) + _log_choose(baseline.n, ones - k) - _log_choose(n, ones)
    seen = logs[arm.ones - k[0]]
    # Tables that are as probable differ in the last digits.
    return min(1.0, max(float(np.exp(logs[logs <= seen + 1e-7]).sum()), SMALLEST))


def _log_choose(n: int, k: Any) -> Any:
    return gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
