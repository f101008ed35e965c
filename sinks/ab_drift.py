"""Whether a test's effect lasts, and whether units brought something along: sums for both.

`lasting`: the time of the test in PIECES equal pieces, with sums by piece over the units of an arm
that came in the same piece, so that time since a unit's first record can be told from the calendar.
`before`: the same units' records before the test. `earlier`: the test before this one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sinks.ab_extent import Extent, Scope
from streams.statistics.clusters import UnitSums
from streams.statistics.pieces import Pieces

PIECES = 6
DAY_MS = 86_400_000

Lasting = Mapping[str, Mapping[int, Pieces]]
"""By arm, then by the piece (from 0) in which units had their first record: those units' sums."""
Before = Mapping[str, UnitSums]
"""By arm of this test: sums of its units before the test. Units in several arms are left out."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """The test of the capability, before this one, that shares most units with it.

    `units`: how many, of those that were looked at (Extent.one_in). `sums`: by metric; of the
    metric in this test, by (arm of this test, arm of the earlier one) of the units that were in one
    arm of the earlier one before this test began.
    """

    ab_test_id: str
    units: int
    sums: Mapping[str, Mapping[tuple[str, str], UnitSums]]


def lasting(scope: Scope, over: Extent, metric: str) -> Lasting:
    """Empty without values. Raises Backpressure, SinkBroken."""
    named = {"first": over.first_ms, "last": over.last_ms, "one_in": over.one_in}
    found: dict[str, dict[int, Pieces]] = {}
    for arm, first, *numbers in scope.rows(_LASTING, named, metric):
        found.setdefault(arm, {})[first] = _pieces(numbers)
    return found


def before(scope: Scope, over: Extent, metric: str, days: float) -> Before:
    """Of the capability's calls up to `days` before the first one of the test.

    Raises Backpressure, SinkBroken.
    """
    named = _past(over, days) | {"one_in": over.one_in}
    rows = scope.rows(_BEFORE, named, metric)
    return {arm: replace(UnitSums(*sums), event_sq=None) for arm, *sums in rows}


def earlier(scope: Scope, over: Extent, metrics: Sequence[str], days: float) -> Earlier | None:
    """None: there was none. Raises Backpressure, SinkBroken."""
    named = _past(over, days) | {"one_in": over.one_in}
    rows = scope.rows(_EARLIER, named)
    if not rows:
        return None
    ((ab_test_id, units),) = rows
    sums = {}
    for metric in metrics:
        found = scope.rows(_CARRIED, named | {"earlier": ab_test_id}, metric)
        sums[metric] = {
            (now, then): replace(UnitSums(*numbers), event_sq=None) for now, then, *numbers in found
        }
    return Earlier(ab_test_id, units, sums)


def _past(over: Extent, days: float) -> dict[str, Any]:
    return {"since": over.first_ms - int(days * DAY_MS), "until": over.first_ms}


def _pieces(numbers: Sequence[float]) -> Pieces:
    k = PIECES
    units, sums, products = np.split(np.array(numbers, np.float64), [k, 3 * k])
    whole = np.zeros((2 * k, 2 * k))
    whole[np.triu_indices(2 * k)] = products
    whole += np.triu(whole, 1).T
    return Pieces(units.astype(np.int64), sums[:k], sums[k:], whole)


_X, _M = [f"x{i}" for i in range(PIECES)], [f"m{i}" for i in range(PIECES)]
_Z = [*_X, *_M]
_LASTING = f"""
SELECT
    side,
    first,
    {", ".join(f"countIf({m} > 0)" for m in _M)},
    {", ".join(f"sum({z})" for z in _Z)},
    {", ".join(f"sum({z} * {other})" for i, z in enumerate(_Z) for other in _Z[i:])}
FROM (
    SELECT
        side,
        min(piece) AS first,
        {", ".join(f"sumIf(number, piece = {i}) AS {x}" for i, x in enumerate(_X))},
        {", ".join(f"toFloat64(countIf(piece = {i})) AS {m}" for i, m in enumerate(_M))}
    FROM (
        SELECT
            arm AS side,
            sipHash64(unit_id) AS unit,
            VALUE AS number,
            toUnixTimestamp64Milli(occurred_at) AS at,
            toUInt8(intDiv({PIECES} * (at - {{first:Int64}}), {{last:Int64}} - {{first:Int64}} + 1))
                AS piece
        RECORDS
          AND toUnixTimestamp64Milli(occurred_at) BETWEEN {{first:Int64}} AND {{last:Int64}}
          AND sipHash64(unit_id) % {{one_in:UInt64}} = 0
    )
    GROUP BY side, unit
)
GROUP BY side, first
ORDER BY side, first
"""
_MINE = """
        SELECT sipHash64(unit_id) AS unit, any(arm) AS side
        CALLS
          AND sipHash64(unit_id) % {one_in:UInt64} = 0
        GROUP BY unit
        HAVING min(arm) = max(arm)"""
_PAST = """
        WHERE org_id = {org_id:String} AND capability = {capability:String}
          AND occurred_at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
          AND occurred_at < fromUnixTimestamp64Milli({until:Int64}, 'UTC')
          AND sipHash64(unit_id) % {one_in:UInt64} = 0"""
_SUMS = "count(), sum(x), sum(x * x), sum(m), sum(m * m), sum(x * m)"
_BEFORE = f"""
SELECT side, {_SUMS}
FROM (
    SELECT any(mine.side) AS side, sum(number) AS x, toFloat64(count()) AS m
    FROM (
        SELECT sipHash64(unit_id) AS unit, VALUE AS number
        FROM {{database:Identifier}}.TABLE {_PAST} KIND AND VALUE IS NOT NULL
    ) AS past
    INNER JOIN ({_MINE}
    ) AS mine USING (unit)
    GROUP BY unit
)
GROUP BY side
ORDER BY side
"""
_EARLIER = f"""
SELECT toString(ab_test_id) AS name, uniqExact(sipHash64(unit_id)) AS units
FROM {{database:Identifier}}.inference_events {_PAST}
    AND ab_test_id NOT IN ('', {{ab_test_id:String}})
    AND sipHash64(unit_id) IN (
        SELECT sipHash64(unit_id)
        CALLS
          AND sipHash64(unit_id) % {{one_in:UInt64}} = 0
    )
GROUP BY name
ORDER BY units DESC, name
LIMIT 1
"""
_CARRIED = f"""
SELECT side, came, {_SUMS}
FROM (
    SELECT side, any(past.came) AS came, sum(number) AS x, toFloat64(count()) AS m
    FROM (
        SELECT arm AS side, sipHash64(unit_id) AS unit, VALUE AS number
        RECORDS
          AND sipHash64(unit_id) % {{one_in:UInt64}} = 0
    ) AS now
    INNER JOIN (
        SELECT sipHash64(unit_id) AS unit, any(arm) AS came
        FROM {{database:Identifier}}.inference_events {_PAST}
          AND ab_test_id = {{earlier:String}}
        GROUP BY unit
        HAVING min(arm) = max(arm)
    ) AS past USING (unit)
    GROUP BY side, unit
)
GROUP BY side, came
ORDER BY side, came
"""
