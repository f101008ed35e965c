"""What every method returns: an estimate, or why there is none."""

import math
from dataclasses import dataclass

SMALLEST = 2.0**-1022
"""The smallest normal double: what a p-value that vanishes is reported as."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its interval at level 1 - alpha, and the p-value of 'the value is 0'.

    All four are finite; lower < upper; 0 <= p_value <= 1.
    """

    value: float
    lower: float
    upper: float
    p_value: float


@dataclass(frozen=True, slots=True)
class NoEstimate:
    """Why nothing can be said. Never replaced by 0, p = 1 or an interval without width."""

    reason: str


def estimate(value: float, lower: float, upper: float, p_value: float) -> Estimate | NoEstimate:
    """The estimate, unless numbers left the range of doubles on the way."""
    finite = math.isfinite
    # Written out: this is on the path of every verdict.
    if not (finite(value) and finite(lower) and finite(upper) and finite(p_value)):
        return NoEstimate("the numbers are too large or too small for double precision")
    if not lower < upper:
        return NoEstimate("the digits are gone: the interval is narrower than double precision")
    return Estimate(value, lower, upper, min(max(p_value, 0.0), 1.0))
