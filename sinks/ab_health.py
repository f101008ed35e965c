"""What the health of an A/B test is judged by: numbers from ClickHouse, made when asked for.

Everything is summed in ClickHouse, by unit, however many units there are; what leaves it are a few
numbers an arm, and the ids of at most EXAMPLES units that were in several arms. Calls count by
`occurred_at`, whatever the status of the test was, as in sinks.ab_bounded.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from schemas.entities import AbTest
from sinks.ab_bounded import DAYS_BEFORE, Crossing
from sinks.ab_capped import Capped, capped
from sinks.ab_drift import Before, Earlier, Lasting, before, earlier, lasting
from sinks.ab_extent import Extent, Scope, extent
from sinks.clickhouse import ClickHouse

EXAMPLES = 5
GRACE_FACTOR, GRACE_MIN_MS, GRACE_MAX_MS = 2.0, 60_000, 900_000
"""A unit is settled once it was first seen this long before the newest call: twice the slowest
call, since the event of a slow call comes late, and would be missing in its arm."""


@dataclass(frozen=True, slots=True)
class CrossedUnit:
    """A unit that had calls in these arms, in order of their first one."""

    unit_id: str
    arms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Assigned:
    """Units of the test. `settled`: by the arm they were first seen in, those that were first seen
    a grace ago; `settled_crossed` of them were in several arms."""

    crossing: Crossing
    settled: Mapping[str, int]
    settled_crossed: int
    examples: tuple[CrossedUnit, ...]


@dataclass(frozen=True, slots=True)
class Measured:
    """All of it. `weights_changed`: whether the arms' weights did while the test ran; None: their
    history is unknown, or does not matter.

    `lasting`, `before`, `earlier`: by primary metric. `capped`: by metric. Metrics and arms without
    a value are absent.
    """

    extent: Extent
    assigned: Assigned
    weights_changed: bool | None
    lasting: Mapping[str, Lasting]
    before: Mapping[str, Before]
    earlier: Earlier | None
    capped: Mapping[str, Capped]


def measured(clickhouse: ClickHouse, test: AbTest, weights_changed: bool | None) -> Measured | None:
    """None: the test is offline, or has no calls. Raises Backpressure when ClickHouse does not
    answer or a query takes too long, SinkBroken when it refuses."""
    if test.mode == "offline":
        return None
    scope = Scope.of(clickhouse, test)
    over = extent(scope)
    if over is None:
        return None
    primary = primary_metrics(test)
    days = DAYS_BEFORE if test.pre_period_days is None else test.pre_period_days
    return Measured(
        extent=over,
        assigned=_assigned(scope, over),
        weights_changed=weights_changed,
        lasting={metric: lasting(scope, over, metric) for metric in primary},
        before={metric: before(scope, over, metric, days) for metric in primary},
        earlier=earlier(scope, over, primary, days),
        capped={goal.metric: capped(scope, goal) for goal in test.metrics},
    )


def primary_metrics(test: AbTest) -> Sequence[str]:
    """Those that are looked at over time."""
    return list(dict.fromkeys(g.metric for g in test.metrics if g.role == "primary"))


def _assigned(scope: Scope, over: Extent) -> Assigned:
    grace_ms = min(max(GRACE_FACTOR * over.slowest_ms, GRACE_MIN_MS), GRACE_MAX_MS)
    until_ms = over.last_ms - int(grace_ms)
    rows = scope.rows(_ASSIGNED, {"until": until_ms})
    units = sum(row[1] for row in rows)
    crossed = sum(row[2] for row in rows)
    return Assigned(
        Crossing(units, crossed),
        {scope.arms[side - 1]: settled for side, _, _, settled, _ in rows},
        sum(row[4] for row in rows),
        _examples(scope) if crossed else (),
    )


def _examples(scope: Scope) -> tuple[CrossedUnit, ...]:
    rows = scope.rows(_EXAMPLES, {"examples": EXAMPLES})
    return tuple(CrossedUnit(unit, tuple(arms)) for unit, arms in rows)


_ASSIGNED = """
SELECT side, count(), countIf(crossed), countIf(settled), countIf(crossed AND settled)
FROM (
    SELECT
        -- The time of the first call and its arm in one number.
        min(at * 256 + place) AS began,
        began % 256 AS side,
        intDiv(began, 256) <= {until:Int64} AS settled,
        min(place) != max(place) AS crossed
    FROM (
        SELECT
            sipHash64(unit_id) AS unit,
            toUnixTimestamp64Milli(occurred_at) AS at,
            indexOf({arms:Array(String)}, toString(arm)) AS place
        CALLS
    )
    GROUP BY unit
)
GROUP BY side
ORDER BY side
"""
_EXAMPLES = """
SELECT unit_id, arrayMap(x -> x.2, arraySort(groupArray((began, side)))) AS arms
FROM (
    SELECT unit_id, toString(arm) AS side, min(occurred_at) AS began
    CALLS
      AND sipHash64(unit_id) IN (
        SELECT sipHash64(unit_id) AS unit
        CALLS
        GROUP BY unit
        HAVING min(toString(arm)) != max(toString(arm))
        ORDER BY unit
        LIMIT {examples:UInt32}
      )
    GROUP BY unit_id, side
)
GROUP BY unit_id
ORDER BY unit_id
LIMIT {examples:UInt32}
"""
