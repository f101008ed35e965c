"""Dashboard: how models perform, from the merged panes of every call."""

from collections.abc import Iterator
from typing import Any

from infra.grafana import variables
from infra.grafana.page import Page, Row
from infra.grafana.panels import Column, Lines, Steps, Style, graph, sql, sql_series, stat, table
from infra.grafana.sql import (
    COST_MEAN,
    COST_TOTAL,
    MEAN,
    ORGANISATION,
    STANDARD_ERROR,
    STEP_S,
    N,
    chosen,
    metric_state,
    over_time,
    quantile,
)

CHOSEN = (
    ORGANISATION,
    chosen("capability", "capability"),
    chosen("model_id", "model"),
    "source = ${source:singlequote}",
)
BY_MODEL = Lines("${__field.labels.model_id}")
ERROR_STEPS: Steps = ((None, "green"), (0.01, "yellow"), (0.05, "red"))
LATENCY_STEPS: Steps = ((None, "green"), (2_000, "yellow"), (10_000, "red"))
QUALITY_STEPS: Steps = ((None, "red"), (0.5, "yellow"), (0.8, "green"))


def page() -> Page:
    """The dashboard."""
    return Page(
        uid="rheostat-models",
        file="model_performance.json",
        title="Rheostat / Model performance",
        description="Latency, errors, quality, tokens and cost of models, by event time.",
        variables=(
            variables.clickhouse(),
            variables.organisation(),
            variables.capability(),
            variables.model(),
            variables.source(),
            variables.custom_metric(),
        ),
        rows=(
            Row("In this range", tuple(_totals())),
            Row("Traffic and errors", tuple(_traffic())),
            Row("Latency", tuple(_latency())),
            Row("Quality", tuple(_quality())),
            Row("Tokens and cost", tuple(_cost())),
        ),
    )


def _one(column: str, metric: str) -> Any:
    of_metric = f"metric = '{metric}'"
    return sql(f"SELECT {column}\nFROM {metric_state(*CHOSEN, of_metric)}")


def _totals() -> Iterator[Any]:
    yield stat(
        "Calls",
        "Calls counted in the range, each exactly once, failed ones too. Late events raise the "
        "count of the time they happened.",
        _one(f"{N} AS calls", "error"),
        Style("short", decimals=0),
    )
    yield stat(
        "Error rate",
        "Failed calls over all calls. Yellow from 1 %, red from 5 %. Without a call there is no "
        "rate: that is shown as no data, not as 0.",
        _one(f"{MEAN} AS error_rate", "error"),
        Style("percentunit", ERROR_STEPS, 2),
    )
    yield stat(
        "Latency p95",
        "95 of 100 calls were at least this fast; within 1 % of the exact value, since it is read "
        "from a sketch. Yellow from 2 s, red from 10 s.",
        _one(f"{quantile(0.95)} AS p95", "latency_ms"),
        Style("ms", LATENCY_STEPS, 0),
    )
    yield stat(
        "Quality, mean",
        "Mean of the quality that events reported, between 0 and 1. Only calls that carry a "
        "quality count: one that was never judged is missing, not zero.",
        _one(f"{MEAN} AS quality", "quality"),
        Style("percentunit", QUALITY_STEPS, 1, 0, 1),
    )
    yield stat(
        "Cost",
        "Sum of the cost of all calls that have one, exact to a nano-dollar. Calls without a "
        "price in the registry are missing here; compare with 'Priced calls'.",
        _one(f"{COST_TOTAL} AS cost", "cost_usd"),
        Style("currencyUSD", decimals=2),
    )
    both = "metric IN ('error', 'cost_usd')"
    priced = (
        "SELECT if(sumIf(n, metric = 'error') = 0, NULL, "
        "sumIf(n, metric = 'cost_usd') / sumIf(n, metric = 'error')) AS priced\n"
        f"FROM {metric_state(*CHOSEN, both)}"
    )
    yield stat(
        "Priced calls",
        "Share of calls with a cost: sent with the event, or priced by the registry. Below 100 % "
        "the cost figures leave calls out; add prices with `rheostat registry apply`.",
        sql(priced),
        Style("percentunit", ((None, "red"), (0.99, "yellow"), (1, "green")), 1, 0, 1),
    )
    yield table(
        "Models side by side",
        "One line a model and version over the whole range. 'Quality ±' is half of the 95 % "
        "interval of the mean (1.96 standard errors): differences within it are noise. An empty "
        "cell has no measurement; it is not zero.",
        sql(_side_by_side()),
        {
            "model": Column(width_px=200, links=(("Selection", _SELECTION),)),
            "version": Column(width_px=90),
            "calls": Column("short", decimals=0),
            "error rate": Column("percentunit", ERROR_STEPS, 2),
            "p50": Column("ms", decimals=0),
            "p95": Column("ms", LATENCY_STEPS, 0),
            "p99": Column("ms", decimals=0),
            "quality": Column("percentunit", decimals=2),
            "quality ±": Column("percentunit", decimals=2),
            "cost a call": Column("currencyUSD", decimals=5),
            "cost": Column("currencyUSD", decimals=2),
            "input tokens": Column("short", decimals=0),
            "output tokens": Column("short", decimals=0),
        },
    )


_SELECTION = "/d/rheostat-selection?${organisation:queryparam}&${__url_time_range}"


def _side_by_side() -> str:
    # Merge per metric first, then lay the metrics side by side.
    merged = (
        f"SELECT model_id, model_version, metric, toNullable({N}) AS events, {MEAN} AS mean, "
        f"{STANDARD_ERROR} AS error_of_mean, {COST_MEAN} AS cost_mean, {COST_TOTAL} AS cost_sum, "
        f"{quantile(0.5)} AS p50, {quantile(0.95)} AS p95, {quantile(0.99)} AS p99\n"
        f"FROM {metric_state(*CHOSEN)}\nGROUP BY model_id, model_version, metric"
    )

    def of(metric: str, column: str, name: str) -> str:
        return f"anyIf({column}, metric = '{metric}') AS `{name}`"

    columns = [
        of("error", "events", "calls"),
        of("error", "mean", "error rate"),
        of("latency_ms", "p50", "p50"),
        of("latency_ms", "p95", "p95"),
        of("latency_ms", "p99", "p99"),
        of("quality", "mean", "quality"),
        of("quality", "1.96 * error_of_mean", "quality ±"),
        of("cost_usd", "cost_mean", "cost a call"),
        of("cost_usd", "cost_sum", "cost"),
        of("input_tokens", "mean", "input tokens"),
        of("output_tokens", "mean", "output tokens"),
    ]
    listed = ",\n    ".join(columns)
    return (
        f"SELECT model_id AS model, model_version AS version,\n    {listed}\n"
        f"FROM ({merged})\nGROUP BY model, version\nORDER BY calls DESC"
    )


def _by_model(column: str, metric: str) -> Any:
    return sql_series(over_time(column, "model_id", *CHOSEN, f"metric = '{metric}'"))


def _traffic() -> Iterator[Any]:
    yield graph(
        "Calls a second",
        "Calls by the time they happened, stacked by model. The last point is still filling, and "
        "late events lift earlier ones.",
        _by_model(f"{N} / ({STEP_S}) AS calls", "error"),
        Style("reqps"),
        Lines(BY_MODEL.name, stacked=True),
    )
    yield graph(
        "Error rate by model",
        "Failed calls over all calls of each model. The dashed lines are 1 % and 5 %. A gap means "
        "that there were no calls.",
        _by_model(f"{MEAN} AS error_rate", "error"),
        Style("percentunit", ERROR_STEPS, low=0),
        Lines(BY_MODEL.name, threshold=True),
    )


def _latency() -> Iterator[Any]:
    yield graph(
        "Latency p50 by model",
        "Half of the calls of each model were at least this fast. Merged from sketches: within "
        "1 % of the exact quantile of each interval.",
        _by_model(f"{quantile(0.5)} AS p50", "latency_ms"),
        Style("ms", low=0),
        BY_MODEL,
        8,
    )
    yield graph(
        "Latency p95 by model",
        "95 of 100 calls were at least this fast. The selector's latency limit is checked "
        "against this figure. The dashed lines are 2 s and 10 s.",
        _by_model(f"{quantile(0.95)} AS p95", "latency_ms"),
        Style("ms", LATENCY_STEPS, low=0),
        Lines(BY_MODEL.name, threshold=True),
        8,
    )
    yield graph(
        "Time to first token, p95",
        "95 of 100 streamed answers began at least this soon. Calls that were not streamed carry "
        "no such time and are left out.",
        _by_model(f"{quantile(0.95)} AS ttft", "ttft_ms"),
        Style("ms", low=0),
        BY_MODEL,
        8,
    )


def _quality() -> Iterator[Any]:
    judged = (*CHOSEN, chosen("metric", "metric"), f"metric NOT IN ({variables.CALL_METRICS})")
    name = "${__field.labels.model_id} ${__field.labels.metric}"
    yield graph(
        "Mean of quality metrics",
        "The mean of each chosen metric: quality of events, feedback, scores of evaluation runs. "
        "Feedback counts at the time of the call it judges, so recent intervals fill up later.",
        sql_series(over_time(f"{MEAN} AS mean", "model_id, metric", *judged)),
        Style("short"),
        Lines(name),
    )
    yield graph(
        "How many were judged",
        "Values behind each mean: with few of them the means swing by chance alone.",
        sql_series(over_time(f"{N} AS judged", "model_id, metric", *judged)),
        Style("short", decimals=0, low=0),
        Lines(name),
    )


def _cost() -> Iterator[Any]:
    yield graph(
        "Cost a call",
        "Mean cost of the priced calls of each model. A gap means that none had a price.",
        _by_model(f"{COST_MEAN} AS cost", "cost_usd"),
        Style("currencyUSD", low=0),
        BY_MODEL,
        8,
    )
    yield graph(
        "Cost an hour",
        "What the present rate of spending comes to in an hour, stacked by model.",
        _by_model(f"{COST_TOTAL} * 3600 / ({STEP_S}) AS cost", "cost_usd"),
        Style("currencyUSD", low=0),
        Lines(BY_MODEL.name, stacked=True),
        8,
    )
    tokens = over_time(
        f"{MEAN} AS mean",
        "model_id, metric",
        *CHOSEN,
        "metric IN ('input_tokens', 'output_tokens')",
    )
    yield graph(
        "Tokens a call",
        "Mean number of input and output tokens. A shift here explains a shift in cost or latency.",
        sql_series(tokens),
        Style("short", low=0),
        Lines("${__field.labels.model_id} ${__field.labels.metric}"),
        8,
    )
