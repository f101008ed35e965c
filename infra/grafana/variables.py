"""The choices at the top of a dashboard."""

from typing import Any

from grafana_foundation_sdk.builders.dashboard import (
    CustomVariable,
    DatasourceVariable,
    QueryVariable,
)
from grafana_foundation_sdk.models.dashboard import (
    VariableOption,
    VariableRefresh,
    VariableSort,
)

from infra.grafana.query import (
    CLICKHOUSE,
    CLICKHOUSE_PLUGIN,
    CLICKHOUSE_UID,
    PROMETHEUS_UID,
)
from infra.grafana.sql import ORGANISATION, chosen

ALL = VariableOption(text="All", value="$__all")
CALL_METRICS = "'latency_ms', 'ttft_ms', 'input_tokens', 'output_tokens', 'cost_usd', 'error'"
"""Metrics of the call itself, which say nothing of how good the answer was."""

IN_HOURS = "hour >= toStartOfHour($__fromTime) AND hour <= $__toTime"
"""The roll-up's rows that the range touches: few, and quick to search for names."""


def clickhouse() -> Any:
    """Which ClickHouse."""
    return _source("clickhouse", "ClickHouse", CLICKHOUSE_PLUGIN, CLICKHOUSE_UID)


def prometheus() -> Any:
    """Which Prometheus."""
    return _source("prometheus", "Prometheus", "prometheus", PROMETHEUS_UID)


def organisation() -> Any:
    """One organisation; there is no All: nobody reads two at once by accident."""
    sql = f"SELECT DISTINCT org_id FROM metric_hours WHERE {IN_HOURS} ORDER BY org_id"
    return _query("organisation", "Organisation", sql, "Whose events. Panels show no one else's.")


def capability() -> Any:
    """Some capabilities of the organisation."""
    sql = (
        f"SELECT DISTINCT capability FROM metric_hours WHERE {IN_HOURS} AND {ORGANISATION} "
        "ORDER BY capability"
    )
    return _several(_query("capability", "Capability", sql, "What the models are called for."))


def model() -> Any:
    """Some models of the chosen capabilities."""
    sql = (
        f"SELECT DISTINCT model_id FROM metric_hours WHERE {IN_HOURS} AND {ORGANISATION} "
        f"AND {chosen('capability', 'capability')} ORDER BY model_id"
    )
    return _several(_query("model", "Model", sql, "Which models to compare."))


def source() -> Any:
    """Production traffic or evaluation runs."""
    options = [VariableOption(text=s, value=s) for s in ("production", "evaluation")]
    return (
        CustomVariable("source")
        .label("Source")
        .description("Live traffic, or the cases of evaluation runs.")
        .values("production,evaluation")
        .options(options)
        .current(options[0])
    )


def custom_metric() -> Any:
    """Metrics from feedback and scorers, beyond those that every call has."""
    sql = (
        f"SELECT DISTINCT metric FROM metric_hours WHERE {IN_HOURS} AND {ORGANISATION} "
        f"AND metric NOT IN ({CALL_METRICS}) ORDER BY metric"
    )
    about = "Quality, feedback and scorer metrics; each is drawn as its mean."
    return _several(_query("metric", "Quality metric", sql, about))


def ab_test() -> Any:
    """One A/B test of the organisation, the one that was heard of last first."""
    sql = (
        f"SELECT ab_test_id FROM ab_verdicts WHERE {ORGANISATION} AND as_of <= $__toTime "
        "GROUP BY ab_test_id ORDER BY max(as_of) DESC"
    )
    about = "Tests that a verdict was published for."
    return _query("ab_test", "A/B test", sql, about).sort(VariableSort.DISABLED)


def ab_metric() -> Any:
    """One metric that the test compares, primary metrics first."""
    sql = (
        "SELECT metric FROM ab_verdicts "
        "ARRAY JOIN comparisons.metric AS metric, comparisons.role AS role "
        f"WHERE {ORGANISATION} AND ab_test_id = ${{ab_test:singlequote}} AND as_of <= $__toTime "
        "GROUP BY metric ORDER BY min(indexOf(['primary', 'guardrail', 'secondary'], role)), metric"
    )
    about = "A metric that the test compares; its primary ones come first."
    return _query("metric", "Metric", sql, about).sort(VariableSort.DISABLED)


def _source(name: str, label: str, plugin: str, uid: str) -> Any:
    return (
        DatasourceVariable(name)
        .label(label)
        .description(f"The {label} that panels ask.")
        .type(plugin)
        .current(VariableOption(text=label, value=uid))
    )


def _query(name: str, label: str, sql: str, description: str) -> Any:
    return (
        QueryVariable(name)
        .label(label)
        .description(description)
        .datasource(CLICKHOUSE)
        .query({"refId": "variable", "queryType": "sql", "editorType": "sql", "rawSql": sql})
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
    )


def _several(variable: Any) -> Any:
    return variable.multi(True).include_all(True).current(ALL)
