"""Less noise with a covariate: CUPED, from sums.

A covariate x that is known before the treatment can act (the unit's value in an earlier period, the
case's offline score, the prompt's length) predicts part of y. With theta = cov(x, y) / var(x), y -
theta (x - mean x) has the same expectation and a variance smaller by corr(x, y)^2. Alex Deng, Ya
Xu, Ron Kohavi, Toby Walker: "Improving the sensitivity of online controlled experiments by
utilizing pre-experiment data", WSDM 2013. One theta for both arms, from the variation within
arms, is regression adjustment: R. A. Fisher's analysis of covariance.

Sums are UnitSums with y as total and x as size, one pair a unit (or a call).
"""

import math
from dataclasses import dataclass

from streams.statistics.clusters import DIGITS, UnitSums
from streams.statistics.estimates import NoEstimate
from streams.statistics.moments import Moments


@dataclass(frozen=True, slots=True)
class Adjusted:
    """Both arms after adjustment, for means.welch or sequential.confidence_sequence.

    `variance_left`: the share of the variance of the difference that is left; 1: no use.
    """

    arm: Moments
    baseline: Moments
    theta: float
    variance_left: float


@dataclass(frozen=True, slots=True)
class _Centered:
    n: int
    mean_y: float
    mean_x: float
    yy: float
    xx: float
    xy: float


def cuped(arm: UnitSums, baseline: UnitSums) -> Adjusted | NoEstimate:
    """Adjusts both arms to the mean of x over both.

    Assumes that the treatment cannot change x; then x's means differ by chance only. The error of
    theta itself is not counted: it is of the order 1 / n of the variance.
    """
    mine, other = _centered(arm), _centered(baseline)
    for side in (mine, other):
        if isinstance(side, NoEstimate):
            return side
    assert isinstance(mine, _Centered)
    assert isinstance(other, _Centered)
    theta = (mine.xy + other.xy) / (mine.xx + other.xx)
    n = mine.n + other.n
    center = (mine.n * mine.mean_x + other.n * other.mean_x) / n
    sides = []
    for side in (mine, other):
        m2 = side.yy - 2 * theta * side.xy + theta * theta * side.xx
        if not m2 > DIGITS * side.yy:
            return NoEstimate("the covariate predicts the metric exactly: no spread is left")
        sides.append(Moments(side.n, side.mean_y - theta * (side.mean_x - center), m2))
    before = mine.yy / (mine.n - 1) / mine.n + other.yy / (other.n - 1) / other.n
    after = sides[0].mean_variance + sides[1].mean_variance
    return Adjusted(sides[0], sides[1], theta, after / before)


def _centered(sums: UnitSums) -> _Centered | NoEstimate:
    n = sums.units
    if n < 2:
        return NoEstimate(f"{n} units have no spread")
    mean_y, mean_x = sums.total / n, sums.size / n
    yy = sums.total_sq - sums.total * mean_y
    xx = sums.size_sq - sums.size * mean_x
    if not yy > DIGITS * sums.total_sq:
        return NoEstimate("the metric has no spread, or its digits are gone")
    if not xx > DIGITS * sums.size_sq:
        return NoEstimate("the covariate has no spread, or its digits are gone")
    found = _Centered(n, mean_y, mean_x, yy, xx, sums.cross - sums.total * mean_x)
    finite = all(map(math.isfinite, (yy, xx, found.xy)))
    return found if finite else NoEstimate("the numbers are too large for double precision")
