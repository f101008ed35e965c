"""Count, mean and spread of a metric, and the rule for when its digits are gone.

Partial rows carry total and total of squares as doubles. Their difference, the spread, loses as
many digits as the mean exceeds the spread: with the mean a million times the spread, twelve of
sixteen. Sums are exact after the rows (streams.statistics.sums), so the only error is that of the
rows: at most ROW_ERROR of the total of squares, from n additions of doubles each (random errors of
2^-53 grow with sqrt(n); 50,000 events a row give 3e-14).
"""

import math
from dataclasses import dataclass

from streams.statistics.estimates import NoEstimate
from streams.statistics.sums import PLACES, Sums

ROW_ERROR = 1e-13
VARIANCE_ERROR = 0.01
"""The largest relative error of a variance that still counts as known."""


@dataclass(frozen=True, slots=True)
class Moments:
    """n >= 2 values with mean and sum of squared deviations `m2` > 0."""

    n: int
    mean: float
    m2: float

    @property
    def variance(self) -> float:
        """Unbiased."""
        return self.m2 / (self.n - 1)

    @property
    def mean_variance(self) -> float:
        """The squared standard error of the mean."""
        return self.m2 / (self.n - 1) / self.n

    def merge(self, other: "Moments") -> "Moments":
        """The moments of both together, without cancellation.

        Chan, Golub, LeVeque: "Updating formulae and a pairwise algorithm for computing sample
        variances", COMPSTAT 1982, eq. 2.1.
        """
        n = self.n + other.n
        delta = other.mean - self.mean
        mean = self.mean + delta * (other.n / n)
        return Moments(n, mean, self.m2 + other.m2 + delta * delta * (self.n * other.n / n))


def moments(sums: Sums) -> Moments | NoEstimate:
    """The moments, or why the spread is unknown: too few values, none, or no digits left."""
    if sums.n == 0:
        return NoEstimate("no values")
    if sums.n == 1:
        return NoEstimate("a single value has no spread")
    if sums.constant:
        return NoEstimate(f"all {sums.n} values are {sums.minimum:g}: no spread to judge by")
    try:
        mean, m2, squares = sums.total / (sums.n << PLACES), sums.m2, sums.squares
    except OverflowError:
        return NoEstimate("the values are too large for double precision")
    if m2 * VARIANCE_ERROR < ROW_ERROR * squares or not m2 > 0 or not math.isfinite(m2):
        return NoEstimate(
            f"the digits are gone: the mean {mean:g} is too large beside the spread for sums of "
            "squares in double precision"
        )
    return Moments(sums.n, mean, m2)
