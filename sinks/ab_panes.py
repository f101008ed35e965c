"""The production panes of one A/B test, as ClickHouse holds them: all of them, or summed over
stretches of event time, or over all stretches in which the test ran, with sketches."""

from collections.abc import Sequence
from typing import NamedTuple

import polars as pl

from sinks.clickhouse import ClickHouse
from streams.partials import PANE


class StretchSum(NamedTuple):
    """One metric of one arm over a stretch. `start_s`: of the stretch; cost is in `total_nanos`."""

    start_s: int
    arm: str
    metric: str
    n: int
    total: float
    total_sq: float
    minimum: float
    maximum: float
    total_nanos: int


class ArmTotal(NamedTuple):
    """One metric of one arm; cost is in `total_nanos`. `bins`, `counts`: a sketch in no order,
    empty where the metric has none. `counted`: of the stretches that count, or of all else."""

    counted: bool
    arm: str
    metric: str
    n: int
    total: float
    total_sq: float
    minimum: float
    maximum: float
    total_nanos: int
    bins: Sequence[int]
    counts: Sequence[int]


def panes(clickhouse: ClickHouse, org_id: str, ab_test_id: str) -> pl.DataFrame:
    """All of them, tidy without sketches. Raises Backpressure, SinkBroken."""
    named = {"database": clickhouse.database, "org_id": org_id, "ab_test_id": ab_test_id}
    rows = clickhouse.rows(_PANES, named)
    columns = ("pane", "arm", "metric", "n", "total", "total_sq", "minimum", "maximum")
    frame = pl.DataFrame(rows, schema=[*columns, "total_nanos"], orient="row")
    return frame.with_columns(pl.col("pane").cast(pl.Int64).cast(PANE))


def by_stretch(
    clickhouse: ClickHouse, org_id: str, ab_test_id: str, starts_s: Sequence[int]
) -> list[StretchSum]:
    """Over the stretches that begin at `starts_s` (seconds since 1970, ascending, not none) and end
    where the next one begins. Raises Backpressure, SinkBroken."""
    rows = clickhouse.rows(
        _STRETCHES,
        {
            "database": clickhouse.database,
            "org_id": org_id,
            "ab_test_id": ab_test_id,
            "first": starts_s[0],
            "starts": list(starts_s),
        },
    )
    return [StretchSum(*row) for row in rows]


def totals(
    clickhouse: ClickHouse,
    org_id: str,
    ab_test_id: str,
    starts_s: Sequence[int] = (0,),
    counted_s: Sequence[int] = (0,),
) -> list[ArmTotal]:
    """Over the stretches of `by_stretch` that begin at `counted_s`, some of `starts_s`, and over
    all other panes; without either, all panes count. Raises Backpressure, SinkBroken."""
    rows = clickhouse.rows(
        _TOTALS,
        {
            "database": clickhouse.database,
            "org_id": org_id,
            "ab_test_id": ab_test_id,
            "first": starts_s[0],
            "starts": list(starts_s),
            "counted": list(counted_s),
        },
    )
    return [ArmTotal(bool(counted), *rest) for counted, *rest in rows]


_SUMS = """sum(t.n), sum(t.total), sum(t.total_sq), min(t.minimum), max(t.maximum),
    sum(t.total_nanos)"""
_OF_TEST = """{database:Identifier}.metric_panes AS t
WHERE org_id = {org_id:String} AND ab_test_id = {ab_test_id:String} AND source = 'production'"""
_PANES = f"""
SELECT toUnixTimestamp(pane) * 1000, arm, metric, {_SUMS}
FROM {_OF_TEST}
GROUP BY pane, arm, metric
HAVING sum(t.n) > 0
ORDER BY pane, arm, metric
"""
_STRETCHES = f"""
SELECT roundDown(toUnixTimestamp(pane), {{starts:Array(UInt32)}}) AS start, arm, metric, {_SUMS}
FROM {_OF_TEST} AND toUnixTimestamp(pane) >= {{first:UInt32}}
GROUP BY start, arm, metric
HAVING sum(t.n) > 0
ORDER BY start, arm, metric
SETTINGS max_execution_time = 20
"""
_TOTALS = f"""
SELECT
    toUnixTimestamp(pane) >= {{first:UInt32}} AND has(
        {{counted:Array(UInt32)}}, roundDown(toUnixTimestamp(pane), {{starts:Array(UInt32)}})
    ) AS inside,
    arm, metric, {_SUMS}, mapKeys(sumMap(t.sketch) AS bins), mapValues(bins)
FROM {_OF_TEST}
GROUP BY inside, arm, metric
HAVING sum(t.n) > 0
ORDER BY inside, arm, metric
SETTINGS max_execution_time = 20
"""
