"""Queries of panels and variables: what they ask, and of which data source."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models.dashboard import DataSourceRef

CLICKHOUSE_PLUGIN = "grafana-clickhouse-datasource"
CLICKHOUSE_PLUGIN_VERSION = "4.20.0"
CLICKHOUSE_UID = "rheostat-clickhouse"
PROMETHEUS_UID = "rheostat-prometheus"
"""Identities that provisioning gives the data sources."""

CLICKHOUSE = DataSourceRef(type_val=CLICKHOUSE_PLUGIN, uid="${clickhouse}")
PROMETHEUS = DataSourceRef(type_val="prometheus", uid="${prometheus}")
"""Dashboards choose their data sources by variables, so that they work in any Grafana."""


class Format(IntEnum):
    """How the plugin shapes rows. TIME_SERIES: a column `time`, text columns are labels."""

    TIME_SERIES = 0
    TABLE = 1


@dataclass(frozen=True, slots=True)
class ClickHouseQuery(Dataquery):
    """A query of the ClickHouse data source, in its own JSON."""

    sql: str
    format: Format
    ref_id: str = "A"

    def to_json(self) -> dict[str, object]:
        return {
            "refId": self.ref_id,
            "datasource": CLICKHOUSE,
            "pluginVersion": CLICKHOUSE_PLUGIN_VERSION,
            "editorType": "sql",
            "queryType": "timeseries" if self.format is Format.TIME_SERIES else "table",
            "format": int(self.format),
            "rawSql": self.sql,
        }


@dataclass(frozen=True, slots=True)
class PrometheusQuery(Dataquery):
    """A query of Prometheus. `legend` in Grafana's form: {{label}}."""

    expr: str
    legend: str
    ref_id: str = "A"
    instant: bool = False

    def to_json(self) -> dict[str, object]:
        return {
            "refId": self.ref_id,
            "datasource": PROMETHEUS,
            "editorMode": "code",
            "expr": self.expr,
            "legendFormat": self.legend,
            "range": not self.instant,
            "instant": self.instant,
        }


@dataclass(frozen=True, slots=True)
class Target(Builder[Any]):
    """A query as the SDK's panel builders take it."""

    query: ClickHouseQuery | PrometheusQuery

    def build(self) -> Any:
        return self.query
