"""Sums over the units of an A/B test, computed in ClickHouse: no row of a unit leaves it.

What streams.statistics.clusters works with. Calls count by `occurred_at`, whatever the status of
the test was; costs only where the producer sent them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sinks.clickhouse import ClickHouse
from streams.statistics.clusters import UnitSums


@dataclass(frozen=True, slots=True)
class Columns:
    """How a unit's count, total and total of squares of a metric are summed from its events.

    From the events themselves: the view ab_units says the same for readers of SQL, but sums every
    metric by month first, which takes more than twice as long.
    """

    n: str
    total: str
    total_sq: str


def _always(column: str) -> Columns:
    return Columns("count()", f"sum({column})", f"sum({column} * {column})")


def _sometimes(column: str) -> Columns:
    total = f"sum(ifNull({column}, 0.))"
    return Columns(f"count({column})", total, f"sum(ifNull({column} * {column}, 0.))")


_FAILED = "countIf(error_type IS NOT NULL)"
CORE: Mapping[str, Columns] = {
    "latency_ms": _always("latency_ms"),
    "ttft_ms": _sometimes("ttft_ms"),
    "input_tokens": _always("toFloat64(input_tokens)"),
    "output_tokens": _always("toFloat64(output_tokens)"),
    "cost_usd": _sometimes("cost_usd"),
    "quality": _sometimes("quality"),
    "error": Columns("count()", _FAILED, _FAILED),
}
"""Any other metric is an outcome, in feedback_events."""
OUTCOME = _always("value")
CALLS, OUTCOMES = "inference_events", "feedback_events"


@dataclass(slots=True)
class AbUnits:
    """Queries over one connection; like it, not for several threads.

    Every method raises Backpressure when ClickHouse does not answer, SinkBroken when it refuses.
    """

    clickhouse: ClickHouse

    def sums(self, org_id: str, ab_test_id: str, metric: str) -> Mapping[str, UnitSums]:
        """By arm, for the mean of a metric. Units without a value of it are left out."""
        columns = CORE.get(metric)
        if columns is not None:
            sql = _sql(CALLS, columns.total, columns.n, columns.total_sq)
        else:
            sql = _sql(OUTCOMES, OUTCOME.total, OUTCOME.n, OUTCOME.total_sq)
        rows = self._rows(sql, org_id, ab_test_id, metric)
        return {arm: UnitSums(*sums) for arm, *sums in rows}

    def ratio(
        self, org_id: str, ab_test_id: str, numerator: str, denominator: str
    ) -> Mapping[str, UnitSums]:
        """By arm, for the ratio of two core metrics' totals, such as cost_usd per quality.

        Raises KeyError for a metric that is not in CORE. Units whose denominator is 0 are counted.
        """
        x, m = CORE[numerator].total, CORE[denominator].total
        rows = self._rows(_sql(CALLS, x, m, x, "1"), org_id, ab_test_id)
        return {arm: replace(UnitSums(*sums), event_sq=None) for arm, *sums in rows}

    def values(
        self, org_id: str, ab_test_id: str, metric: str, arm: str, limit: int
    ) -> Sequence[float]:
        """The mean of a metric of each unit of an arm, at most `limit` of them, always the same
        ones: for calibration. Without their names."""
        columns = CORE.get(metric)
        table = OUTCOMES if columns is None else CALLS
        found = columns or OUTCOME
        sql = _VALUES.format(
            table=table,
            total=found.total,
            n=found.n,
            outcome="AND metric = {metric:String}" if columns is None else "",
        )
        rows = self._rows(sql, org_id, ab_test_id, metric, arm=arm, limit=limit)
        return [value for (value,) in rows]

    def _rows(
        self, sql: str, org_id: str, ab_test_id: str, metric: str = "", **more: str | int
    ) -> list[tuple[Any, ...]]:
        named = {"org_id": org_id, "ab_test_id": ab_test_id, "metric": metric, **more}
        return self.clickhouse.rows(sql, {"database": self.clickhouse.database, **named})


def _sql(table: str, x: str, m: str, event_sq: str, having: str = "m > 0") -> str:
    """(arm, units, sum x, sum x^2, sum m, sum m^2, sum x m, sum of squares of events)."""
    metric = "AND metric = {metric:String}" if table == OUTCOMES else ""
    # One key of 64 bits: two keys, or a slower hash, take up to twice as long.
    return f"""
SELECT side, count(), sum(x), sum(x * x), sum(m), sum(m * m), sum(x * m), sum(event_sq)
FROM (
    SELECT
        any(arm) AS side,
        toFloat64({x}) AS x,
        toFloat64({m}) AS m,
        toFloat64({event_sq}) AS event_sq
    FROM {{database:Identifier}}.{table}
    WHERE org_id = {{org_id:String}} AND ab_test_id = {{ab_test_id:String}} {metric}
    GROUP BY cityHash64(arm, unit_id)
    HAVING {having}
)
GROUP BY side
ORDER BY side
"""


_VALUES = """
SELECT toFloat64({total}) / {n} AS value
FROM {{database:Identifier}}.{table}
WHERE org_id = {{org_id:String}} AND ab_test_id = {{ab_test_id:String}}
    AND arm = {{arm:String}} {outcome}
GROUP BY cityHash64(unit_id)
HAVING {n} > 0
ORDER BY cityHash64(unit_id)
LIMIT {{limit:UInt64}}
"""
