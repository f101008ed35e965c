"""Intervals of quantiles from sketches, at one look or at every look, with the sketch's own error.

The number of values at or below the true q-quantile is a sum of 0/1 values with probability q. So
the ranks that a test of 'the rate is q' accepts are those between which the quantile lies, whatever
the distribution: William R. Thompson, Annals of Mathematical Statistics 7, 1936; at every look:
Steven R. Howard, Aaditya Ramdas, "Sequential estimation of quantiles with applications to A/B
testing and best-arm identification", Bernoulli 28(3), 2022. A sketch knows a value's bin only:
the lower end is that of its bin, and so is the upper one.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from scipy.special import bdtr

from streams.sketch import ends_of, quantile
from streams.statistics.estimates import NoEstimate
from streams.statistics.exact import Interval, log_e_value
from streams.statistics.rates import Rate


@dataclass(frozen=True, slots=True)
class Sketch:
    """Sorted `bins` of streams.sketch and their counts."""

    bins: Sequence[int]
    counts: Sequence[int]

    @property
    def n(self) -> int:
        return sum(self.counts)


def fixed(sketch: Sketch, q: float, alpha: float) -> Interval | NoEstimate:
    """Valid at one look: ranks by the binomial distribution."""
    n = sketch.n

    def accepted(rank: int) -> bool:
        below, above = float(bdtr(rank, n, q)), 1 - float(bdtr(rank - 1, n, q)) if rank else 1.0
        return below > alpha / 2 and above > alpha / 2

    return _interval(sketch, q, accepted)


def anytime(sketch: Sketch, q: float, alpha: float, weight: float = 20.0) -> Interval | NoEstimate:
    """Valid at every look: ranks by the beta-binomial mixture around q, worth `weight` values."""
    n, limit = sketch.n, -math.log(alpha)
    prior = (q * weight, (1 - q) * weight)

    def accepted(rank: int) -> bool:
        return log_e_value(Rate(n, rank), q, prior) < limit

    return _interval(sketch, q, accepted)


def difference(
    arm: Sketch, baseline: Sketch, q: float, alpha: float, every_look: bool = True
) -> Interval | NoEstimate:
    """The q-quantile of one arm less that of the other: each at alpha / 2, which hold together.

    Wider than an interval made for differences would be, and right for any two distributions.
    """
    make = anytime if every_look else fixed
    one, other = make(arm, q, alpha / 2), make(baseline, q, alpha / 2)
    for name, side in (("arm", one), ("baseline", other)):
        if isinstance(side, NoEstimate):
            return NoEstimate(f"{name}: {side.reason}")
    assert isinstance(one, Interval)
    assert isinstance(other, Interval)
    return _finite(one.minus(other))


def _finite(found: Interval) -> Interval | NoEstimate:
    ends = found.value, found.lower, found.upper
    if all(map(math.isfinite, ends)):
        return found
    return NoEstimate("the values are too large for double precision")


def _interval(sketch: Sketch, q: float, accepted: Callable[[int], bool]) -> Interval | NoEstimate:
    """Between the smallest and the largest accepted number of values up to the quantile."""
    value = quantile(sketch.bins, sketch.counts, q)
    if value is None:
        return NoEstimate("no values")
    n = sketch.n
    middle = min(max(round(q * n), 0), n)
    low = _edge(accepted, middle, 0)
    high = _edge(accepted, middle, n)
    # With at most `low - 1` values up to it rejected, the low-th smallest is at or below the
    # quantile; with `high + 1` rejected, the (high + 1)-th smallest is above it.
    if low < 1 or high + 1 > n:
        side = "below" if low < 1 else "above"
        return NoEstimate(f"too few values {side} the {q:g}-quantile: {n} in all")
    lower, upper = _bin_at(sketch, low)[0], _bin_at(sketch, high + 1)[1]
    return _finite(Interval(value, lower, upper))


def _edge(accepted: Callable[[int], bool], inside: int, outside: int) -> int:
    """The accepted rank that is farthest from `inside` towards `outside`; ranks are an interval."""
    if accepted(outside):
        return outside
    while abs(outside - inside) > 1:
        middle = (inside + outside) // 2
        if accepted(middle):
            inside = middle
        else:
            outside = middle
    return inside


def _bin_at(sketch: Sketch, rank: int) -> tuple[float, float]:
    """Between which values the rank-th smallest (from 1) lies."""
    seen = 0
    for key, count in zip(sketch.bins, sketch.counts, strict=True):
        seen += count
        if seen >= rank:
            return ends_of(key)
    raise ValueError(f"rank {rank} of {seen} values")
