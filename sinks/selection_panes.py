"""What the selector's windows hold, from metric_panes: one capability of one organisation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from sinks.clickhouse import ClickHouse
from sinks.metric_points import PANE_S

TIMEOUT_S = 10


class Population(NamedTuple):
    """The calls of a capability that are added up: production and evaluations do not mix."""

    org_id: str
    capability: str
    source: Literal["production", "evaluation"]


@dataclass(frozen=True, slots=True)
class Mark:
    """How far the panes of a population stand: the same mark, the same panes.

    `newest_s`: the end of the newest pane with a call; 0: none. `values`: how many values the panes
    from `since_s` on hold, which late calls change too.
    """

    newest_s: int
    since_s: int
    values: int


@dataclass(frozen=True, slots=True)
class WindowRow:
    """One metric of one version of a model; cost is in `total_nanos`."""

    model_id: str
    model_version: str
    metric: str
    n: int
    total: float
    total_sq: float
    total_nanos: int
    bins: Sequence[int]
    counts: Sequence[int]


def newest(clickhouse: ClickHouse, of: Population) -> int:
    """The end of the newest pane with a call, in seconds since 1970; 0: none.

    Raises Backpressure, SinkBroken.
    """
    ((found,),) = clickhouse.rows(_NEWEST, _parameters(clickhouse, of))
    return int(found) + PANE_S if found else 0


def mark(clickhouse: ClickHouse, of: Population, newest_s: int, since_s: int) -> Mark:
    """Of the panes from `since_s` on. Raises Backpressure, SinkBroken."""
    parameters = {**_parameters(clickhouse, of), "since": since_s}
    ((values,),) = clickhouse.rows(_VALUES, parameters)
    return Mark(newest_s, since_s, int(values))


def window(clickhouse: ClickHouse, of: Population, since_s: int) -> list[WindowRow]:
    """What selection looks at, of panes from `since_s` on. Raises Backpressure, SinkBroken."""
    parameters = {**_parameters(clickhouse, of), "since": since_s}
    return [WindowRow(*row) for row in clickhouse.rows(_WINDOW, parameters)]


def _parameters(clickhouse: ClickHouse, of: Population) -> dict[str, Any]:
    return {"database": clickhouse.database, **of._asdict()}


_PLACE = """org_id = {org_id:String} AND source = {source:String}
    AND capability = {capability:String}"""
_METRICS = "('error', 'latency_ms', 'cost_usd', 'quality')"

# The hours say in which hour to look: they are far fewer.
_NEWEST = f"""
SELECT toUnixTimestamp(max(pane)) FROM {{database:Identifier}}.metric_panes
WHERE metric = 'error' AND {_PLACE} AND pane >= (
    SELECT max(hour) FROM {{database:Identifier}}.metric_hours WHERE metric = 'error' AND {_PLACE}
)
SETTINGS max_execution_time = {TIMEOUT_S}
"""

_VALUES = f"""
SELECT sum(n) FROM {{database:Identifier}}.metric_panes
WHERE metric IN {_METRICS} AND {_PLACE} AND pane >= toDateTime({{since:Int64}}, 'UTC')
SETTINGS max_execution_time = {TIMEOUT_S}
"""

_WINDOW = f"""
SELECT model_id, model_version, metric,
    sum(t.n), sum(t.total), sum(t.total_sq), sum(t.total_nanos),
    mapKeys(sumMap(t.sketch) AS bins), mapValues(bins)
FROM {{database:Identifier}}.metric_panes AS t
WHERE metric IN {_METRICS} AND {_PLACE} AND pane >= toDateTime({{since:Int64}}, 'UTC')
GROUP BY model_id, model_version, metric
SETTINGS max_execution_time = {TIMEOUT_S}
"""
