"""What a group-sequential analysis says at a planned look, from the numbers of that look alone.

The bounds are those of streams.statistics.spending. They follow from the information that there was
at each look (Lan and DeMets, 1983), so that a look which comes a little late costs nothing.
"""

import math
from dataclasses import dataclass

from scipy.special import ndtr, ndtri

from streams.statistics import spending
from streams.statistics.estimates import SMALLEST, NoEstimate


@dataclass(frozen=True, slots=True)
class Seen:
    """A difference with its p-value and its interval at 1 - alpha, as if this look were the only
    one."""

    value: float
    lower: float
    upper: float
    p_value: float
    alpha: float


@dataclass(frozen=True, slots=True)
class Judged:
    """`z`: of the p-value. `lower`, `upper`: hold at all planned looks together. `crossed`: whether
    the bound was reached, at this look."""

    z: float
    lower: float
    upper: float
    crossed: bool


def needed_p(bound: float) -> float:
    """The two-sided p-value of a look at the |z| that stops the test."""
    return max(2 * float(ndtr(-bound)), SMALLEST)


def judged(seen: Seen, bound: float) -> Judged | NoEstimate:
    """Two-sided. The interval is the repeated one (spending.repeated), with the error that the
    interval of a single look has; like that one and its p-value, it may disagree with `crossed` at
    the very edge."""
    error = (seen.upper - seen.lower) / 2 / -float(ndtri(seen.alpha / 2))
    z = math.copysign(-float(ndtri(max(seen.p_value, SMALLEST) / 2)), seen.value)
    lower, upper = spending.repeated(seen.value, error, bound)
    if not (lower < upper and math.isfinite(lower) and math.isfinite(upper)):
        return NoEstimate("the numbers are too large or too small for double precision")
    return Judged(z, lower, upper, seen.p_value <= needed_p(bound))
