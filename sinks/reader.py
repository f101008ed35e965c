"""The query side: what the tables say, as values. One organisation at a time.

Panes are parts of a whole, so every query aggregates. Money comes from integer nano-dollars. None
means no estimate: nothing was measured.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from schemas.records import AbVerdict, SelectionUpdate
from sinks import stored
from sinks.clickhouse import ClickHouse


@dataclass(frozen=True, slots=True)
class Span:
    """Event time from `since` to before `until`, both aware; right to a pane (10 s)."""

    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class ModelMetrics:
    """One version of a model over a span. Costs are means over the calls that have one."""

    model_id: str
    model_version: str
    calls: int
    error_rate: float | None
    quality: float | None
    latency_p50_ms: float | None
    latency_p95_ms: float | None
    cost_usd_mean: float | None
    cost_usd_total: float | None


@dataclass(frozen=True, slots=True)
class Coordinate:
    """Where a record stood in Kafka."""

    partition: int
    offset: int


@dataclass(slots=True)
class Reader:
    """Queries over one connection; like it, not for several threads.

    Every method raises Backpressure when ClickHouse does not answer, SinkBroken when it refuses.
    """

    clickhouse: ClickHouse

    def model_metrics(
        self, org_id: str, span: Span, capability: str | None = None
    ) -> list[ModelMetrics]:
        """Production traffic by model, the busiest first; of one capability or of all."""
        rows = self._rows(
            _MODEL_METRICS,
            org_id=org_id,
            since=int(span.since.timestamp()),
            until=int(span.until.timestamp()),
            capability=capability or "",
        )
        return [ModelMetrics(*row) for row in rows]

    def latest_verdicts(self, org_id: str) -> list[AbVerdict]:
        """The newest verdict of every A/B test, by name of the test."""
        rows = self._rows(_VERDICTS, org_id=org_id)
        return [stored.VERDICTS.record(row) for row in rows]

    def latest_selections(self, org_id: str) -> list[SelectionUpdate]:
        """The newest selection of every capability, by name of the capability."""
        rows = self._rows(_SELECTIONS, org_id=org_id)
        return [stored.SELECTIONS.record(row) for row in rows]

    def counted(self, org_id: str) -> Mapping[str, int]:
        """Calls in metric_panes by A/B test; '' is traffic outside of tests."""
        return dict(self._rows(_COUNTED, org_id=org_id))

    def stored(self, org_id: str, event_prefix: str = "") -> Mapping[str, int]:
        """Rows of inference_events by A/B test, of events whose id begins with the prefix."""
        return dict(self._rows(_STORED, org_id=org_id, prefix=event_prefix))

    def stored_twice(self, org_id: str, event_prefix: str = "") -> int:
        """Rows beyond one for each record of Kafka: 0, unless something broke."""
        ((rows, records),) = self._rows(_DISTINCT, org_id=org_id, prefix=event_prefix)
        return int(rows) - int(records)

    def dead_letters(self, topic: str, records: Iterable[Coordinate]) -> Mapping[str, int]:
        """How many dead letters these records of a topic have, by reason code.

        Dead letters belong to no organisation: ask only for records that the asker wrote.
        """
        wanted: dict[int, list[int]] = {}
        for at in records:
            wanted.setdefault(at.partition, []).append(at.offset)
        found: dict[str, int] = {}
        for partition, offsets in wanted.items():
            for reason, count in self._rows(
                _DEAD_LETTERS, topic=topic, partition=partition, offsets=offsets
            ):
                found[reason] = found.get(reason, 0) + count
        return found

    def _rows(self, sql: str, **parameters: Any) -> list[tuple[Any, ...]]:
        return self.clickhouse.rows(sql, {"database": self.clickhouse.database, **parameters})


_MODEL_METRICS = """
SELECT
    model_id,
    model_version,
    sumIf(n, metric = 'error') AS calls,
    sumIf(total, metric = 'error') / nullIf(calls, 0),
    sumIf(total, metric = 'quality') / nullIf(sumIf(n, metric = 'quality'), 0),
    rheostat_quantile(sumMapIf(sketch, metric = 'latency_ms') AS latency, 0.5),
    rheostat_quantile(latency, 0.95),
    cost_usd / nullIf(sumIf(n, metric = 'cost_usd') AS priced, 0),
    if(priced = 0, NULL, sumIf(total_nanos, metric = 'cost_usd') / 1e9 AS cost_usd)
FROM {database:Identifier}.metric_panes
WHERE org_id = {org_id:String} AND source = 'production'
  AND metric IN ('error', 'quality', 'latency_ms', 'cost_usd')
  AND pane >= toDateTime({since:Int64}, 'UTC') AND pane < toDateTime({until:Int64}, 'UTC')
  AND ({capability:String} = '' OR capability = {capability:String})
GROUP BY model_id, model_version
HAVING calls > 0
ORDER BY calls DESC, model_id, model_version
"""

_VERDICTS = f"""
SELECT {stored.VERDICTS.columns}
FROM {{database:Identifier}}.ab_verdicts
WHERE org_id = {{org_id:String}}
ORDER BY ab_test_id, as_of DESC, src_offset DESC
LIMIT 1 BY ab_test_id
"""

_SELECTIONS = f"""
SELECT {stored.SELECTIONS.columns}
FROM {{database:Identifier}}.selection_updates
WHERE org_id = {{org_id:String}}
ORDER BY capability, issued_at DESC, src_offset DESC
LIMIT 1 BY capability
"""

_COUNTED = """
SELECT ab_test_id, toUInt64(sum(n))
FROM {database:Identifier}.metric_panes
WHERE org_id = {org_id:String} AND metric = 'error' AND source = 'production'
GROUP BY ab_test_id
"""

_STORED = """
SELECT ab_test_id, count()
FROM {database:Identifier}.inference_events
WHERE org_id = {org_id:String} AND startsWith(event_id, {prefix:String})
GROUP BY ab_test_id
"""

_DISTINCT = """
SELECT count(), uniqExact(src_partition, src_offset)
FROM {database:Identifier}.inference_events
WHERE org_id = {org_id:String} AND startsWith(event_id, {prefix:String})
"""

_DEAD_LETTERS = """
SELECT reason_code, count()
FROM {database:Identifier}.dead_letters
WHERE source_topic = {topic:String} AND source_partition = {partition:UInt32}
  AND source_offset IN {offsets:Array(UInt64)}
GROUP BY reason_code
"""
