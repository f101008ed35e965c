"""Means that a few huge values cannot make: sums over units of values, and of values capped.

The cap is a quantile of the values of all arms together, found from a sketch of them: the largest
value in the quantile's bin, so at most 2 % above it (streams.sketch). Values above it count as the
cap, one by one and exactly, unlike in streams.statistics.winsor, which sees no values. A unit's
values are summed after that, so that the error is by units.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from schemas.entities import MetricGoal
from sinks.ab_extent import Scope
from streams.sketch import GAMMA, OFFSET
from streams.statistics.clusters import UnitSums

SHARE = 0.01
"""Of the largest values are capped, where the metric's goal does not say."""


@dataclass(frozen=True, slots=True)
class Capped:
    """`limit`: the cap, the quantile at 1 - `share`; None: there is none, `why_none` says why.

    `plain`, `winsorised`: sums by arm, without and with the cap. `values`, `above`: how many there
    are, and how many of them are above it.
    """

    share: float
    limit: float | None
    why_none: str | None
    values: int = 0
    above: int = 0
    plain: Mapping[str, UnitSums] = field(default_factory=dict)
    winsorised: Mapping[str, UnitSums] = field(default_factory=dict)


def capped(scope: Scope, goal: MetricGoal) -> Capped:
    """Of one metric. Raises Backpressure, SinkBroken."""
    share = SHARE if goal.winsorise is None else goal.winsorise
    rows = scope.rows(_BINS, {"gamma": GAMMA, "offset": OFFSET}, goal.metric)
    if not rows:
        return Capped(share, None, "no values")
    if not any(other for _, _, other in rows):
        return Capped(share, None, "all values are 0 or 1: there is nothing to cap")
    cap = _cap([(count, largest) for count, largest, _ in rows], 1 - share)
    plain: dict[str, UnitSums] = {}
    winsorised: dict[str, UnitSums] = {}
    values = above = 0
    for arm, units, over, *sums in scope.rows(_SUMS, {"cap": cap}, goal.metric):
        x, x_sq, m, m_sq, xm, y, y_sq, ym = sums
        sizes = UnitSums(units, x, x_sq, m, m_sq, xm, None)
        plain[arm] = sizes
        winsorised[arm] = replace(sizes, total=y, total_sq=y_sq, cross=ym)
        values += int(m)
        above += over
    return Capped(share, cap, None, values, above, plain, winsorised)


def _cap(bins: Sequence[tuple[int, float]], q: float) -> float:
    """The largest value of the bin with rank floor(q (n - 1)), as streams.sketch.quantile counts,
    from (values, the largest) of sorted bins."""
    rank = math.floor(q * (sum(count for count, _ in bins) - 1))
    seen = 0
    for count, largest in bins:
        seen += count
        if seen > rank:
            return largest
    raise ValueError("a sketch's counts must not be negative")


_BINS = """
SELECT count(), max(number), countIf(number != 0 AND number != 1)
FROM (
    SELECT
        VALUE AS number,
        toInt32(ceil(log(if(number = 0, 1., abs(number))) / log({gamma:Float64}))) AS exponent,
        toInt32(sign(number) * (exponent + {offset:Int32})) AS key
    RECORDS
)
GROUP BY key
ORDER BY key
"""
_SUMS = """
SELECT side, count(), sum(above), sum(x), sum(x * x), sum(m), sum(m * m), sum(x * m),
    sum(y), sum(y * y), sum(y * m)
FROM (
    SELECT
        side,
        sum(number) AS x,
        sum(least(number, {cap:Float64})) AS y,
        toFloat64(count()) AS m,
        countIf(number > {cap:Float64}) AS above
    FROM (
        SELECT arm AS side, sipHash64(unit_id) AS unit, VALUE AS number
        RECORDS
    )
    GROUP BY side, unit
)
GROUP BY side
ORDER BY side
"""
