"""Units with several events: means and ratios whose errors take a unit's events as dependent.

From sums over units of x, the unit's total, and m, its size (its number of events; or, for a ratio
of two metrics, its total of the denominator). With r = sum x / sum m and e = x - r m,

    var(r) = G / (G - 1) * sum e^2 / (sum m)^2        G units

which is the delta method for a ratio of means over units, and the cluster-robust variance of a mean
with units as clusters: William G. Cochran, "Sampling Techniques", 3rd ed. 1977, eq. 6.10; Kung-Yee
Liang, Scott L. Zeger, Biometrika 73, 1986. For experiments: Alex Deng, Ulf Knoblich, Jiannan Lu,
"Applying the delta method in metric analytics", KDD 2018.

The result is the Moments of the linearised values r + e / mean(m), one a unit. So every method for
means takes it: means.welch, sequential.confidence_sequence, equivalence. Their n are units then.

Assumes that units are independent, and of units an arm some dozens at least. Events of a unit may
depend on each other in any way; a unit's size may depend on its values.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from streams.statistics.estimates import NoEstimate
from streams.statistics.moments import Moments

DIGITS = 1e-10
"""Residuals smaller than this share of the sums they are the difference of have no digits left."""


@dataclass(frozen=True, slots=True)
class UnitSums:
    """Sums over `units` of x, x^2, m, m^2 and x m; `event_sq`: of the squares of single events.

    Zero: UnitSums(). `event_sq` is None where x / m is no mean of events.
    """

    units: int = 0
    total: float = 0.0
    total_sq: float = 0.0
    size: float = 0.0
    size_sq: float = 0.0
    cross: float = 0.0
    event_sq: float | None = 0.0

    @classmethod
    def of_units(
        cls,
        totals: Sequence[float],
        sizes: Sequence[float],
        event_sq: float | None = None,
    ) -> "UnitSums":
        """From x and m of each unit, in the same order."""
        return cls(
            len(totals),
            sum(totals),
            sum(x * x for x in totals),
            sum(sizes),
            sum(m * m for m in sizes),
            sum(x * m for x, m in zip(totals, sizes, strict=True)),
            event_sq,
        )

    def __add__(self, other: "UnitSums") -> "UnitSums":
        """Of both together; no unit is in both."""
        known = self.event_sq is not None and other.event_sq is not None
        return UnitSums(
            self.units + other.units,
            self.total + other.total,
            self.total_sq + other.total_sq,
            self.size + other.size,
            self.size_sq + other.size_sq,
            self.cross + other.cross,
            (self.event_sq or 0.0) + (other.event_sq or 0.0) if known else None,
        )


def moments(sums: UnitSums) -> Moments | NoEstimate:
    """The mean of events (or ratio) with its error by units: `n` units, `mean` r."""
    if sums.units == 0:
        return NoEstimate("no units")
    if sums.units == 1:
        return NoEstimate("a single unit has no spread")
    if not sums.size > 0:
        return NoEstimate("the denominators add up to 0 or less")
    ratio = sums.total / sums.size
    parts = sums.total_sq, -2 * ratio * sums.cross, ratio * ratio * sums.size_sq
    residual_sq = sum(parts)
    if not math.isfinite(residual_sq):
        return NoEstimate("the values are too large for double precision")
    if not residual_sq > DIGITS * sum(map(abs, parts)):
        return NoEstimate(
            f"no spread between {sums.units} units to judge by, or its digits are gone: the mean "
            f"{ratio:g} is too large beside it"
        )
    mean_size = sums.size / sums.units
    m2 = residual_sq / mean_size / mean_size
    if not 0 < m2 < math.inf:
        return NoEstimate("the numbers are too large or too small for double precision")
    return Moments(sums.units, ratio, m2)


def design_effect(sums: UnitSums) -> float | NoEstimate:
    """By how much the variance of the mean exceeds the one of as many independent events.

    Leslie Kish, "Survey Sampling", 1965. 1: events may be taken as independent. 4: intervals that
    do so are half as wide as they should be.
    """
    if sums.event_sq is None:
        return NoEstimate("a ratio of two metrics has no events of its own")
    found = moments(sums)
    if isinstance(found, NoEstimate):
        return found
    m2 = sums.event_sq - sums.total * found.mean
    if sums.size < 2 or not m2 > DIGITS * sums.event_sq:
        return NoEstimate("the events have no spread, or its digits are gone")
    return found.mean_variance / (m2 / (sums.size - 1) / sums.size)
