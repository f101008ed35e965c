"""Sums over the units of an A/B test, computed in ClickHouse: no row of a unit leaves it.

What streams.statistics.clusters works with. Calls count by `occurred_at`, whatever the status of
the test was; costs only where the producer sent them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sinks.clickhouse import ClickHouse
from streams.statistics.clusters import UnitSums


@dataclass(frozen=True, slots=True)
class Columns:
    """Where a metric's count, total and total of squares stand in ab_units."""

    n: str
    total: str
    total_sq: str


CORE: Mapping[str, Columns] = {
    "latency_ms": Columns("calls", "latency_ms_total", "latency_ms_total_sq"),
    "ttft_ms": Columns("ttft_ms_n", "ttft_ms_total", "ttft_ms_total_sq"),
    "input_tokens": Columns("calls", "input_tokens_total", "input_tokens_total_sq"),
    "output_tokens": Columns("calls", "output_tokens_total", "output_tokens_total_sq"),
    "cost_usd": Columns("cost_usd_n", "cost_usd_total", "cost_usd_total_sq"),
    "quality": Columns("quality_n", "quality_total", "quality_total_sq"),
    "error": Columns("calls", "errors", "errors"),
}
"""Any other metric is an outcome, in ab_unit_outcomes."""
OUTCOME = Columns("n", "total", "total_sq")


@dataclass(frozen=True, slots=True)
class Crossing:
    """Units of a test, and those that had calls in more than one arm."""

    units: int
    crossed: int


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
            sql = _sql("ab_units", columns.total, columns.n, columns.total_sq)
        else:
            sql = _sql("ab_unit_outcomes", OUTCOME.total, OUTCOME.n, OUTCOME.total_sq)
        rows = self._rows(sql, org_id, ab_test_id, metric)
        return {arm: UnitSums(*sums) for arm, *sums in rows}

    def ratio(
        self, org_id: str, ab_test_id: str, numerator: str, denominator: str
    ) -> Mapping[str, UnitSums]:
        """By arm, for the ratio of two core metrics' totals, such as cost_usd per quality.

        Raises KeyError for a metric that is not in CORE. Units whose denominator is 0 are counted.
        """
        x, m = CORE[numerator].total, CORE[denominator].total
        rows = self._rows(_sql("ab_units", x, m, x, "1"), org_id, ab_test_id)
        return {arm: replace(UnitSums(*sums), event_sq=None) for arm, *sums in rows}

    def crossing(self, org_id: str, ab_test_id: str) -> Crossing:
        """Whether units stayed in their arm."""
        ((units, crossed),) = self._rows(_CROSSING, org_id, ab_test_id)
        return Crossing(units, crossed)

    def _rows(
        self, sql: str, org_id: str, ab_test_id: str, metric: str = ""
    ) -> list[tuple[Any, ...]]:
        named = {"org_id": org_id, "ab_test_id": ab_test_id, "metric": metric}
        return self.clickhouse.rows(sql, {"database": self.clickhouse.database, **named})


def _sql(table: str, x: str, m: str, event_sq: str, having: str = "m > 0") -> str:
    """(arm, units, sum x, sum x^2, sum m, sum m^2, sum x m, sum of squares of events)."""
    metric = "AND metric = {metric:String}" if table == "ab_unit_outcomes" else ""
    return f"""
SELECT arm, count(), sum(x), sum(x * x), sum(m), sum(m * m), sum(x * m), sum(event_sq)
FROM (
    SELECT
        arm,
        toFloat64(sum({x})) AS x,
        toFloat64(sum({m})) AS m,
        toFloat64(sum({event_sq})) AS event_sq
    FROM {{database:Identifier}}.{table}
    WHERE org_id = {{org_id:String}} AND ab_test_id = {{ab_test_id:String}} {metric}
    GROUP BY arm, unit
    HAVING {having}
)
GROUP BY arm
ORDER BY arm
"""


_CROSSING = """
SELECT count(), countIf(arms > 1)
FROM (
    SELECT uniqExact(arm) AS arms
    FROM {database:Identifier}.ab_units
    WHERE org_id = {org_id:String} AND ab_test_id = {ab_test_id:String}
    GROUP BY unit
)
"""
