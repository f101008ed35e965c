"""Metrics of models over time: mergeable state by step, from which means and quantiles follow.

Short spans are read from panes (10 s), long ones from hours: a month of a model is 720 rows a
metric there instead of 259,200. Whole days within them are read from days, 30 rows a month. What
comes back is state, not numbers: sums and sketches, so that whoever asks can merge what belongs
together before anything is estimated.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from sinks.clickhouse import ClickHouse
from streams.statistics.quantiles import Sketch
from streams.statistics.sums import Sums

Source = Literal["production", "evaluation"]
Resolution = Literal["pane", "hour"]
PANE_S = 10
HOUR_S = 3_600
DAY_S = 86_400
FINE_S = DAY_S
"""Spans up to this long are read from panes where the step allows both."""
NEVER_S = 2**32 - 1
"""Beyond every instant that ClickHouse's DateTime knows."""
TIMEOUT_S = 20
ROWS_MAX = 20_000


@dataclass(frozen=True, slots=True)
class PointsQuestion:
    """Of one organisation, from `since` to before `until` (seconds since 1970, multiples of the
    resolution), cut into steps from `since` on; `step_s` 0: not cut.

    `metrics` empty: every metric. `capability` or `model_version` '': all together, versions apart.
    """

    org_id: str
    model_ids: tuple[str, ...]
    metrics: tuple[str, ...]
    since_s: int
    until_s: int
    step_s: int
    resolution: Resolution
    source: Source = "production"
    capability: str = ""
    model_version: str = ""


@dataclass(frozen=True, slots=True)
class Point:
    """One metric of one version of a model in one step. `total_nanos`: of money, else 0."""

    at: datetime
    model_id: str
    model_version: str
    metric: str
    sums: Sums
    total_nanos: int
    sketch: Sketch


@dataclass(frozen=True, slots=True)
class Points:
    """`watermark`: the end of the newest pane with a call of these models, whatever the span.

    `cut`: there are more than ROWS_MAX points, and some are missing.
    """

    points: tuple[Point, ...]
    watermark: datetime | None
    cut: bool


def resolution(span_s: int, step_s: int) -> Resolution:
    """What a span in steps of this length is read from; step 0: not cut."""
    return "hour" if span_s > FINE_S and step_s % HOUR_S == 0 else "pane"


def points(clickhouse: ClickHouse, asked: PointsQuestion) -> Points:
    """In order of time, model, version and metric. Raises Backpressure, SinkBroken."""
    parameters = {
        "database": clickhouse.database,
        "org_id": asked.org_id,
        "source": asked.source,
        "models": list(asked.model_ids),
        "metrics": list(asked.metrics),
        "capability": asked.capability,
        "model_version": asked.model_version,
        "since": asked.since_s,
        "until": asked.until_s,
        "step": asked.step_s,
        "limit": ROWS_MAX + 1,
    }
    ((newest_s, days_since_s),) = clickhouse.rows(_WATERMARK, parameters)
    days = whole_days(asked, days_since_s)
    rows = clickhouse.rows(_points_sql(asked, days), parameters | _bounds(days))
    watermark = datetime.fromtimestamp(newest_s + PANE_S, UTC) if newest_s else None
    return Points(tuple(map(_point, rows[:ROWS_MAX])), watermark, len(rows) > ROWS_MAX)


def whole_days(asked: PointsQuestion, days_since_s: int) -> range:
    """The whole days (UTC) of the span that may be read from days; empty where none may.

    `days_since_s`: from when on days hold everything. Steps that begin within a day need hours.
    """
    if asked.resolution == "pane" or (
        asked.step_s and (asked.step_s % DAY_S or asked.since_s % DAY_S)
    ):
        return range(0)
    first = -(-max(asked.since_s, days_since_s) // DAY_S) * DAY_S
    return range(first, asked.until_s // DAY_S * DAY_S, DAY_S)


def _bounds(days: range) -> dict[str, int]:
    return {"days_since": days.start, "days_until": max(days.start, days.stop)}


def _point(row: Sequence[Any]) -> Point:
    at, model_id, version, metric, n, total, total_sq, low, high, nanos, bins, counts = row
    money = metric == "cost_usd"
    return Point(
        at=datetime.fromtimestamp(at, UTC),
        model_id=model_id,
        model_version=version,
        metric=metric,
        sums=Sums.of_row(n, nanos / 1e9 if money else total, total_sq, low, high),
        total_nanos=nanos if money else 0,
        sketch=Sketch(bins, counts),
    )


_MODELS = """org_id = {org_id:String} AND source = {source:String}
    AND model_id IN {models:Array(String)}"""
_ONLY = {
    "metrics": "metric IN {metrics:Array(String)}",
    "capability": "capability = {capability:String}",
    "model_version": "model_version = {model_version:String}",
}
"""Conditions that stand only where something is asked: the engine checks them row by row."""
_STEP = """{since:Int64} + intDiv(toInt64(toUnixTimestamp(at)) - {since:Int64},
        {step:Int64}) * {step:Int64}"""
_STATE = "n, total, total_sq, minimum, maximum, total_nanos, sketch"
_WITHIN = "TIME >= toDateTime({since:Int64}, 'UTC') AND TIME < toDateTime({until:Int64}, 'UTC')"
_DAYS = """TIME >= toDateTime({days_since:Int64}, 'UTC')
    AND TIME < toDateTime({days_until:Int64}, 'UTC')"""

_ROWS = f"""SELECT TIME AS at, model_id, model_version, metric, {_STATE}
    FROM {{database:Identifier}}.TABLE
    WHERE ONLY"""

# Sketches come as they are: quantiles of sorted bins are cheaper where they are asked for.
_POINTS = """
SELECT STEP AS step_at,
    model_id, model_version, metric,
    sum(t.n), sum(t.total), sum(t.total_sq), min(t.minimum), max(t.maximum), sum(t.total_nanos),
    mapKeys(sumMap(t.sketch) AS bins), mapValues(bins)
FROM (
    ROWS
) AS t
GROUP BY step_at, model_id, model_version, metric
HAVING sum(t.n) > 0
ORDER BY step_at, model_id, model_version, metric
LIMIT {limit:UInt64}
SETTINGS max_execution_time = TIMEOUT
"""

# Every call and every case has one value of `error`, so it tells how far everything is counted.
_WATERMARK = f"""
SELECT toUnixTimestamp(max(pane)),
    (SELECT if(count() = 0, {NEVER_S}, toUnixTimestamp(max(since)))
     FROM {{database:Identifier}}.metric_days_begin)
FROM {{database:Identifier}}.metric_panes
WHERE metric = 'error' AND {_MODELS}
SETTINGS max_execution_time = {TIMEOUT_S}
"""


def _points_sql(asked: PointsQuestion, days: range) -> str:
    """Made of the texts above only; every value is a bound parameter."""
    only = [_MODELS, *(text for name, text in _ONLY.items() if getattr(asked, name))]
    if asked.resolution == "pane":
        parts = [_rows("metric_panes", "pane", [*only, _WITHIN])]
    elif not days:
        parts = [_rows("metric_hours", "hour", [*only, _WITHIN])]
    else:
        edges = _rows("metric_hours", "hour", [*only, _WITHIN, f"NOT ({_DAYS})"])
        parts = [_rows("metric_days", "day", [*only, _DAYS]), edges]
    return (
        _POINTS.replace("STEP", _STEP if asked.step_s else "{since:Int64}")
        .replace("ROWS", "\n    UNION ALL\n    ".join(parts))
        .replace("TIMEOUT", str(TIMEOUT_S))
    )


def _rows(table: str, time: str, conditions: Sequence[str]) -> str:
    only = " AND ".join(conditions)
    return _ROWS.replace("TABLE", table).replace("ONLY", only).replace("TIME", time)
