"""Means that a few huge values cannot make: winsorised at quantiles, from sums and a sketch.

Values beyond a cap count as the cap: John W. Tukey, Annals of Mathematical Statistics 33, 1962;
Wilfrid J. Dixon, John W. Tukey, Technometrics 10, 1968. The caps are quantiles of all arms
together, so that they are the same for all. What is compared is the mean of the capped values, not
the mean: right for 'is it usually better', wrong for a bill.

The total is exact up to what lies beyond the caps: from it the sketch's excess is taken off, and a
sketch knows each value to 1 % only. `error` bounds what this can do to a mean; intervals are wider
by it on each side. The spread comes from the sketch alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from streams.sketch import RELATIVE_ERROR, quantile, value_of
from streams.statistics.estimates import Estimate, NoEstimate, estimate
from streams.statistics.moments import Moments
from streams.statistics.quantiles import Sketch
from streams.statistics.sums import Sums


@dataclass(frozen=True, slots=True)
class Caps:
    """Between which values everything is taken to lie."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Winsorised:
    """Capped values of one arm. `error`: how far the sketch can have put `moments.mean` off.
    `capped`: the share of values beyond a cap."""

    moments: Moments
    error: float
    capped: float


def caps(arms: Sequence[Sketch], low: float = 0.0, high: float = 0.99) -> Caps | NoEstimate:
    """The quantiles `low` and `high` of all arms' values together; 0 and 1 cap nothing.

    Fix the two shares before the test: chosen afterwards they are one more way to look.
    """
    counts: dict[int, int] = {}
    for sketch in arms:
        for key, count in zip(sketch.bins, sketch.counts, strict=True):
            counts[key] = counts.get(key, 0) + count
    bins = sorted(counts)
    sizes = [counts[key] for key in bins]
    below, above = quantile(bins, sizes, low), quantile(bins, sizes, high)
    if below is None or above is None:
        return NoEstimate("no values")
    # A cap of 0 or 1 is the outermost bin's value, which some of its values exceed.
    reach = Caps(-np.inf if low <= 0 else below, np.inf if high >= 1 else above)
    return reach if reach.low < reach.high else NoEstimate("both caps are one value: no spread")


def winsorised(sums: Sums, sketch: Sketch, caps: Caps) -> Winsorised | NoEstimate:
    """The capped values of one arm; `sums` and `sketch` are of the same values.

    Raises ValueError when they are not.
    """
    if sums.n != sketch.n:
        raise ValueError(f"sums of {sums.n} values and a sketch of {sketch.n}")
    mean = sums.mean
    if mean is None or sums.n < 2:
        return NoEstimate(f"{sums.n} values have no spread")
    values = np.array([value_of(key) for key in sketch.bins])
    counts = np.asarray(sketch.counts, np.float64)
    kept = np.clip(values, caps.low, caps.high)
    beyond = kept != values
    with np.errstate(over="ignore", invalid="ignore"):
        excess = float((counts * (values - kept)).sum()) / sums.n
        error = RELATIVE_ERROR * float((counts * np.abs(values))[beyond].sum()) / sums.n
        rough = float((counts * kept).sum()) / sums.n
        m2 = float((counts * (kept - rough) ** 2).sum())
    if not np.isfinite([excess, error, rough, m2]).all():
        return NoEstimate("the values are too large for double precision")
    if not m2 > 0:
        return NoEstimate("the capped values are in one bin of the sketch: no spread to judge by")
    capped = float(counts[beyond].sum()) / sums.n
    return Winsorised(Moments(sums.n, mean - excess, m2), error, capped)


def widened(found: Estimate | NoEstimate, *sides: Winsorised) -> Estimate | NoEstimate:
    """An interval of a difference of winsorised means, wider by what their sketches do not know.

    The p-value is kept while the wider interval leaves out 0 as the narrow one did; where only the
    narrow one does, it is 1.
    """
    if isinstance(found, NoEstimate):
        return found
    extra = sum(side.error for side in sides)
    lower, upper = found.lower - extra, found.upper + extra
    lost = lower <= 0 <= upper and not found.lower <= 0 <= found.upper
    return estimate(found.value, lower, upper, 1.0 if lost else found.p_value)
