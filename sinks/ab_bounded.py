"""Sums over the units of an A/B test up to named records: the same question, the same answer.

sinks.ab_units reads what there is now. A verdict that may have to be computed again asks here:
first `bounds`, the last record of the test in each partition, then sums of the records up to there.
Rows arrive in the order of their partition, so nothing is added below a bound later; what is lost
by TTL is lost.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from schemas.topics import Topic
from sinks.clickhouse import ClickHouse
from streams.statistics.clusters import UnitSums

SECONDS_MAX = 20
"""ClickHouse ends a query that takes longer."""
DAYS_BEFORE = 14.0
"""Of history before a test, where the test does not say."""

VALUES: Mapping[str, str] = {
    "latency_ms": "latency_ms",
    "ttft_ms": "ttft_ms",
    "input_tokens": "toFloat64(input_tokens)",
    "output_tokens": "toFloat64(output_tokens)",
    "cost_usd": "cost_usd",
    "quality": "quality",
    "error": "toFloat64(error_type IS NOT NULL)",
}
"""A metric's value of a call; any other metric is an outcome, in feedback_events."""
TABLES: Mapping[str, Topic] = {
    "inference_events": Topic.INFERENCE_EVENTS,
    "feedback_events": Topic.FEEDBACK_EVENTS,
}


@dataclass(frozen=True, slots=True)
class Bounds:
    """By table, the last offset of each partition that counts."""

    last: Mapping[str, Mapping[int, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class History:
    """The mean of `covariate` by unit, of the capability's calls from `since` to before `until`."""

    covariate: str
    capability: str
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Crossing:
    """Units of a test, and those that had calls in more than one arm."""

    units: int
    crossed: int


@dataclass(frozen=True, slots=True)
class UnitCounts:
    """Units by arm, and how many were in several."""

    by_arm: Mapping[str, int]
    crossing: Crossing


@dataclass(slots=True)
class BoundedUnits:
    """Questions about one test over one connection; like it, not for several threads.

    Every method raises Backpressure when ClickHouse does not answer, SinkBroken when it refuses.
    """

    clickhouse: ClickHouse
    org_id: str
    ab_test_id: str

    def bounds(self) -> Bounds:
        """Up to the last stored record of the test."""
        return Bounds({table: dict(self._rows(_BOUNDS, {"table": table})) for table in TABLES})

    def sums(self, metric: str, upto: Bounds) -> Mapping[str, UnitSums]:
        """By arm, for the mean of a metric. Units without a value of it are left out."""
        table, value = place(metric)
        sql = _SUMS.replace("VALUE", value).replace("ONLY", only(table, "metric"))
        rows = self._rows(sql, {"table": table, "metric": metric, **_limits(upto, table)})
        return {arm: UnitSums(*sums) for arm, *sums in rows}

    def adjusted(self, metric: str, history: History, upto: Bounds) -> Mapping[str, UnitSums]:
        """By arm, sums of one pair a unit: its mean of the metric as total, of the covariate as
        size. Units without history get the mean of those that have; empty when none has.
        """
        table, value = place(metric)
        past, covariate = place(history.covariate)
        sql = (
            _ADJUSTED.replace("VALUE", value)
            .replace("ONLY", only(table, "metric"))
            .replace("COVARIATE", covariate)
            .replace("PAST", only(past, "covariate"))
        )
        named = {
            "table": table,
            "past": past,
            "metric": metric,
            "covariate": history.covariate,
            "capability": history.capability,
            "since": int(history.since.timestamp() * 1000),
            "until": int(history.until.timestamp() * 1000),
            **_limits(upto, table),
        }
        return {
            arm: replace(UnitSums(*sums), event_sq=None)
            for arm, *sums in self._rows(sql, named)
            if None not in sums
        }

    def units(self, upto: Bounds) -> UnitCounts:
        """How many units there are."""
        table = "inference_events"
        rows = self._rows(_UNITS, {"table": table, **_limits(upto, table)})
        by_arm: dict[str, int] = {}
        for arms, count in rows:
            for arm in arms:
                by_arm[arm] = by_arm.get(arm, 0) + count
        crossed = sum(count for arms, count in rows if len(arms) > 1)
        return UnitCounts(by_arm, Crossing(sum(count for _, count in rows), crossed))

    def _rows(self, sql: str, named: Mapping[str, Any]) -> Sequence[tuple[Any, ...]]:
        every = {
            "database": self.clickhouse.database,
            "org_id": self.org_id,
            "ab_test_id": self.ab_test_id,
            **named,
        }
        return self.clickhouse.rows(f"{sql}SETTINGS max_execution_time = {SECONDS_MAX}", every)


def place(metric: str) -> tuple[str, str]:
    """(table, value of a row of it, null where it has none) of a metric."""
    value = VALUES.get(metric)
    return ("feedback_events", "value") if value is None else ("inference_events", value)


def only(table: str, parameter: str) -> str:
    """The condition that outcomes are of the metric which this parameter names."""
    return f"AND metric = {{{parameter}:String}}" if table == "feedback_events" else ""


def _limits(upto: Bounds, table: str) -> Mapping[str, Sequence[int]]:
    last = upto.last.get(table, {})
    return {"partitions": list(last), "offsets": list(last.values())}


_BOUNDS = """
SELECT src_partition, max(src_offset)
FROM {database:Identifier}.{table:Identifier}
WHERE org_id = {org_id:String} AND ab_test_id = {ab_test_id:String}
GROUP BY src_partition
"""
_COUNTED = """FROM {database:Identifier}.{table:Identifier}
    WHERE org_id = {org_id:String} AND ab_test_id = {ab_test_id:String}
      AND has({partitions:Array(UInt32)}, src_partition)
      AND src_offset <= transform(
          src_partition, {partitions:Array(UInt32)}, {offsets:Array(UInt64)}, toUInt64(0)
      )"""
_SUMS = f"""
SELECT arm, count(), sum(x), sum(x * x), sum(m), sum(m * m), sum(x * m), sum(squares)
FROM (
    SELECT
        arm,
        sum(ifNull(VALUE, 0.)) AS x,
        toFloat64(count(VALUE)) AS m,
        sum(ifNull(VALUE * VALUE, 0.)) AS squares
    {_COUNTED} ONLY
    GROUP BY arm, sipHash64(unit_id)
    HAVING m > 0
)
GROUP BY arm
ORDER BY arm
"""
_ADJUSTED = f"""
SELECT arm, count(), sum(y), sum(y * y), sum(x), sum(x * x), sum(y * x)
FROM (
    SELECT arm, y, if(known, history.mean, avgIf(history.mean, known) OVER ()) AS x
    FROM (
        SELECT arm, sipHash64(unit_id) AS unit, avg(VALUE) AS y
        {_COUNTED} ONLY
        GROUP BY arm, unit
        HAVING count(VALUE) > 0
    ) AS now
    LEFT JOIN (
        SELECT sipHash64(unit_id) AS unit, ifNull(avg(COVARIATE), 0.) AS mean, true AS known
        FROM {{database:Identifier}}.{{past:Identifier}}
        WHERE org_id = {{org_id:String}} AND capability = {{capability:String}}
          AND occurred_at >= fromUnixTimestamp64Milli({{since:Int64}}, 'UTC')
          AND occurred_at < fromUnixTimestamp64Milli({{until:Int64}}, 'UTC') PAST
        GROUP BY unit
        HAVING count(COVARIATE) > 0
    ) AS history USING (unit)
)
GROUP BY arm
HAVING isFinite(sum(x))
ORDER BY arm
"""
_UNITS = f"""
SELECT arms, count()
FROM (
    SELECT arraySort(groupUniqArray(arm)) AS arms
    {_COUNTED}
    GROUP BY sipHash64(unit_id)
)
GROUP BY arms
ORDER BY arms
"""
