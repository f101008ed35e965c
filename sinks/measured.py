"""What models were measured to do, capability by capability: to stand beside what they declare."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sinks.clickhouse import ClickHouse
from sinks.metric_points import FINE_S


@dataclass(frozen=True, slots=True)
class MeasuredMetric:
    """One metric in its own unit. None: no estimate (a deviation takes two different digits)."""

    metric: str
    n: int
    mean: float
    deviation: float | None
    p50: float | None
    p95: float | None


@dataclass(frozen=True, slots=True)
class Measured:
    """One version of a model at one capability, in production or in evaluations.

    `latest`: the newest pane or hour with a value. A metric that was never measured is absent.
    """

    model_id: str
    model_version: str
    capability: str
    source: str
    latest: datetime
    metrics: tuple[MeasuredMetric, ...]


@dataclass(frozen=True, slots=True)
class MeasuredQuestion:
    """Of one organisation, in event time from `since` (aware, to the hour in long spans) to before
    `until`; '' asks for every model or version."""

    org_id: str
    since: datetime
    until: datetime
    model_id: str = ""
    model_version: str = ""


def measured(clickhouse: ClickHouse, asked: MeasuredQuestion) -> list[Measured]:
    """In order of model, version, capability and source. Raises Backpressure, SinkBroken."""
    fine = (asked.until - asked.since).total_seconds() <= FINE_S
    rows = clickhouse.rows(
        _MEASURED,
        {
            "database": clickhouse.database,
            "table": "metric_panes" if fine else "metric_hours",
            "time": "pane" if fine else "hour",
            "org_id": asked.org_id,
            "since": int(asked.since.timestamp()),
            "until": int(asked.until.timestamp()),
            "model_id": asked.model_id,
            "model_version": asked.model_version,
        },
    )
    return [_measured(row) for row in rows]


def _measured(row: Sequence[Any]) -> Measured:
    model_id, model_version, capability, source, latest, metrics = row
    return Measured(
        model_id=model_id,
        model_version=model_version,
        capability=capability,
        source=source,
        latest=datetime.fromtimestamp(latest, UTC),
        metrics=tuple(MeasuredMetric(*metric) for metric in metrics),
    )


# Money is summed in integer nano-dollars. A variance without digits left is NULL, not 0.
_MEASURED = """
SELECT model_id, model_version, capability, source, max(latest),
    arraySort(m -> m.1, groupArray(
        (metric, n, if(metric = 'cost_usd', nanos / 1e9, total) / n, sqrt(variance), p50, p95)
    ))
FROM (
    SELECT model_id, model_version, capability, source, metric,
        toUnixTimestamp(max({time:Identifier})) AS latest,
        sum(t.n) AS n,
        sum(t.total) AS total,
        sum(t.total_nanos) AS nanos,
        rheostat_variance(n, total, sum(t.total_sq), min(t.minimum), max(t.maximum)) AS variance,
        sumMap(t.sketch) AS bins,
        rheostat_quantile(bins, 0.5) AS p50,
        rheostat_quantile(bins, 0.95) AS p95
    FROM {database:Identifier}.{table:Identifier} AS t
    WHERE org_id = {org_id:String}
        AND {time:Identifier} >= toDateTime({since:Int64}, 'UTC')
        AND {time:Identifier} < toDateTime({until:Int64}, 'UTC')
        AND ({model_id:String} = '' OR model_id = {model_id:String})
        AND ({model_version:String} = '' OR model_version = {model_version:String})
    GROUP BY model_id, model_version, capability, source, metric
    HAVING n > 0
)
GROUP BY model_id, model_version, capability, source
ORDER BY model_id, model_version, capability, source
"""
