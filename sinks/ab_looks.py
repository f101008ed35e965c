"""What was known of an A/B test when its planned looks were due, from the stored verdicts."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sinks.clickhouse import ClickHouse
from streams.times import moment


class StoredLook(NamedTuple):
    """One comparison in the first verdict in which the smaller arm had `needed` values. The numbers
    are the verdict's of a single look; None: no estimate, `note` says why."""

    metric: str
    arm: str
    needed: int
    as_of: datetime
    n_arm: int
    n_baseline: int
    difference: float | None
    fixed_lower: float | None
    fixed_upper: float | None
    fixed_p_value: float | None
    note: str | None


def looks(
    clickhouse: ClickHouse, org_id: str, ab_test_id: str, needed: Sequence[int]
) -> list[StoredLook]:
    """Of every comparison, the looks that are due at `needed` values (above 0) and were reached.
    Raises Backpressure, SinkBroken."""
    rows = clickhouse.rows(
        _LOOKS,
        {
            "database": clickhouse.database,
            "org_id": org_id,
            "ab_test_id": ab_test_id,
            "needed": list(needed),
        },
    )
    return [
        StoredLook(metric, arm, due, moment(as_of_ms), *numbers)
        for metric, arm, due, (as_of_ms, *numbers) in rows
    ]


_LOOKS = """
SELECT
    metric, arm, due,
    argMin(
        tuple(toUnixTimestamp64Milli(as_of), n, n_base, gap, low, high, p, why),
        tuple(as_of, src_offset)
    )
FROM {database:Identifier}.ab_verdicts
ARRAY JOIN
    `comparisons.metric` AS metric,
    `comparisons.arm` AS arm,
    `comparisons.n_arm` AS n,
    `comparisons.n_baseline` AS n_base,
    `comparisons.difference` AS gap,
    `comparisons.fixed_lower` AS low,
    `comparisons.fixed_upper` AS high,
    `comparisons.fixed_p_value` AS p,
    `comparisons.note` AS why
ARRAY JOIN arrayFilter(each -> each <= least(n, n_base), {needed:Array(UInt64)}) AS due
WHERE org_id = {org_id:String} AND ab_test_id = {ab_test_id:String}
GROUP BY metric, arm, due
ORDER BY metric, arm, due
SETTINGS max_execution_time = 20
"""
