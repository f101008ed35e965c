"""Dashboard: which model is chosen, why, and whether traffic follows."""

from collections.abc import Iterator
from typing import Any

from infra.grafana import variables
from infra.grafana.page import Page, Row
from infra.grafana.panels import (
    Column,
    Lines,
    Steps,
    Style,
    graph,
    sql,
    sql_series,
    stat,
    table,
    timeline,
)
from infra.grafana.sql import ORGANISATION, N, chosen, metric_state, step

CHOSEN = f"{ORGANISATION} AND {chosen('capability', 'capability')}"
IN_RANGE = f"{CHOSEN} AND $__timeFilter(issued_at)"
LATEST = (
    "SELECT * FROM selection_updates\n"
    f"    WHERE {CHOSEN} AND issued_at <= $__toTime\n"
    "    ORDER BY issued_at DESC\n    LIMIT 1 BY capability"
)
"""The update in force for each capability at the end of the range."""

LEADER = "candidates.model_id[indexOf(candidates.rank, 1)]"
FIRST = "candidates.eligible[indexOf(candidates.rank, 1)]"
ERROR_STEPS: Steps = ((None, "green"), (0.01, "yellow"), (0.05, "red"))
AGE_STEPS: Steps = ((None, "green"), (120, "yellow"), (300, "red"))


def page() -> Page:
    """The dashboard."""
    return Page(
        uid="rheostat-selection",
        file="selection.json",
        title="Rheostat / Selection",
        description="Ranked models, weights and reasons, changes, and the traffic that follows.",
        variables=(
            variables.clickhouse(),
            variables.organisation(),
            variables.capability(),
        ),
        rows=(
            Row("In force", tuple(_now())),
            Row("Over time", tuple(_history())),
            Row("Does traffic follow?", tuple(_traffic())),
            Row("What happened", tuple(_events())),
        ),
    )


def _now() -> Iterator[Any]:
    yield stat(
        "Age of the oldest update",
        "Seconds between the oldest update in force and the end of the range. Updates are "
        "repeated before they expire even when nothing changes, so more than two minutes means "
        "that the selector is behind or down. No data: no policy has published yet.",
        sql(
            "SELECT if(count() = 0, NULL, max(dateDiff('second', issued_at, $__toTime))) AS age\n"
            f"FROM (\n    {LATEST}\n)"
        ),
        Style("s", AGE_STEPS, 0),
        6,
    )
    yield stat(
        "Expired",
        "Capabilities whose last update is past its expiry. Clients then fall back to their own "
        "order; the selector should have spoken.",
        sql(
            "SELECT if(count() = 0, NULL, countIf(expires_at < $__toTime)) AS expired\n"
            f"FROM (\n    {LATEST}\n)"
        ),
        Style("short", ((None, "green"), (1, "red")), 0),
        6,
    )
    yield stat(
        "On fallback",
        "Capabilities that follow the declared order because no candidate has enough samples or "
        "meets the limits: nobody was measured to be eligible.",
        sql(
            "SELECT if(count() = 0, NULL, "
            "countIf(NOT arrayExists(s -> isNotNull(s), `candidates.score`))) AS fallback\n"
            f"FROM (\n    {LATEST}\n)"
        ),
        Style("short", ((None, "green"), (1, "yellow")), 0),
        6,
    )
    yield stat(
        "Changes of leader",
        "How often another model took rank 1 in the range, over all chosen capabilities. Frequent "
        "changes back and forth mean that the dwell time of the policy is too short.",
        sql(
            "SELECT countIf(changed) AS changes\nFROM (\n"
            f"    SELECT {LEADER} AS leader, lagInFrame({LEADER}) OVER earlier AS before,\n"
            "        before != '' AND leader != before AS changed\n"
            f"    FROM selection_updates\n    WHERE {IN_RANGE}\n"
            "    WINDOW earlier AS (PARTITION BY capability ORDER BY issued_at "
            "ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)\n)"
        ),
        Style("short", ((None, "green"), (10, "yellow"), (50, "red")), 0),
        6,
    )
    yield table(
        "Candidates now",
        "Every model that the last update judged. Rank 1 leads; weight is its share of traffic. "
        "The score is at best 1; its lower bound is what ranks, so that a model with few samples "
        "cannot lead by luck. Empty cells were not measured, which is not zero. Reasons say what "
        "spoke for or against it, the weightiest first.",
        sql(_candidates()),
        {
            "model": Column(width_px=200, links=(("Performance", _PERFORMANCE),)),
            "version": Column(width_px=80),
            "weight": Column("percentunit", decimals=0),
            "score": Column("none", decimals=3),
            "lower bound": Column("none", decimals=3),
            "samples": Column("short", decimals=0),
            "quality": Column("percentunit", decimals=1),
            "error rate": Column("percentunit", ERROR_STEPS, 2),
            "p95": Column("ms", decimals=0),
            "cost a call": Column("currencyUSD", decimals=5),
            "reasons": Column(width_px=500),
        },
        height=9,
    )


_PERFORMANCE = (
    "/d/rheostat-models?${organisation:queryparam}&var-model=${__value.raw}&${__url_time_range}"
)


def _candidates() -> str:
    columns = {
        "rank": "rank",
        "model_id": "model",
        "model_version": "version",
        "weight": "weight",
        "eligible": "eligible",
        "score": "score",
        "score_lower": "lower bound",
        "samples": "samples",
        "quality": "quality",
        "error_rate": "error rate",
        "latency_p95_ms": "p95",
        "cost_usd_mean": "cost a call",
    }
    joined = ", ".join(f"candidates.{field} AS `{name}`" for field, name in columns.items())
    listed = ", ".join(f"`{name}`" for name in columns.values() if name != "eligible")
    return (
        f"SELECT capability, {listed}, if(eligible, 'yes', 'no') AS eligible_now,\n"
        "    arrayStringConcat(texts, '; ') AS reasons\n"
        f"FROM (\n    {LATEST}\n)\n"
        f"ARRAY JOIN {joined}, candidates.reasons AS texts\nORDER BY capability, rank"
    )


def _candidate_series(field: str, name: str) -> Any:
    # In a tuple, since argMax passes over NULL, and a score that is gone must stay gone.
    return sql_series(
        f"SELECT $__timeInterval(issued_at) AS time, capability, model_id, "
        f"argMax(tuple(number), issued_at).1 AS `{name}`\nFROM selection_updates\n"
        f"ARRAY JOIN candidates.model_id AS model_id, candidates.{field} AS number\n"
        f"WHERE {IN_RANGE}\nGROUP BY time, capability, model_id\nORDER BY time"
    )


_BY_CANDIDATE = "${__field.labels.capability} / ${__field.labels.model_id}"


def _history() -> Iterator[Any]:
    yield timeline(
        "Leader",
        "Which model held rank 1, a band for each capability. 'nobody' is a time without an "
        "eligible model.",
        sql(
            f"SELECT issued_at AS time, capability, if({FIRST}, {LEADER}, 'nobody') AS leader\n"
            f"FROM selection_updates\nWHERE {IN_RANGE}\nORDER BY time"
        ),
        "capability",
    )
    yield graph(
        "Weights",
        "The share of traffic that each model is meant to get. Shares of the eligible models of a "
        "capability add up to 100 %.",
        _candidate_series("weight", "weight"),
        Style("percentunit", low=0, high=1),
        Lines(_BY_CANDIDATE, stairs=True, min_interval="1s"),
    )
    yield graph(
        "Lower bound of the score",
        "What ranks the models. Lines that cross without a change of leader are held back by the "
        "policy's dwell time and margin. A gap: too few samples for a score.",
        _candidate_series("score_lower", "lower bound"),
        Style("none"),
        Lines(_BY_CANDIDATE, stairs=True, min_interval="1s"),
    )


def _traffic() -> Iterator[Any]:
    rows = metric_state(
        ORGANISATION,
        chosen("capability", "capability"),
        "metric = 'error'",
        "source = 'production'",
    )
    yield graph(
        "Share of calls by model",
        "What really happened. Compare with the weights: clients should follow within seconds of "
        "an update, and A/B tests take the share that they were given.",
        sql_series(
            f"SELECT {step('t')} AS time, capability, model_id,\n"
            f"    {N} / sum({N}) OVER (PARTITION BY time, capability) AS share\n"
            f"FROM {rows}\nGROUP BY time, capability, model_id\nORDER BY time"
        ),
        Style("percentunit", low=0, high=1),
        Lines(_BY_CANDIDATE),
    )
    yield graph(
        "Calls that followed a selection",
        "Share of calls that carry the identity of the update that chose their model. Calls "
        "without one were routed by something else, an A/B test or a fallback.",
        sql_series(
            f"SELECT {step('occurred_at')} AS time, capability,\n"
            "    countIf(isNotNull(selection_id)) / count() AS followed\n"
            f"FROM inference_events\nWHERE {CHOSEN} AND $__timeFilter(occurred_at)\n"
            "GROUP BY time, capability\nORDER BY time"
        ),
        Style("percentunit", low=0, high=1),
        Lines("${__field.labels.capability}"),
    )


def _events() -> Iterator[Any]:
    yield table(
        "Updates",
        "The updates of the range, the latest first. One that repeats an earlier one keeps it "
        "from expiring; the reason says what changed.",
        sql(
            f"SELECT issued_at AS issued, capability, {LEADER} AS leader, reason, "
            "policy_version AS policy, selection_id AS selection\n"
            f"FROM selection_updates\nWHERE {IN_RANGE}\n"
            "ORDER BY issued_at DESC\nLIMIT 1 BY selection_id\nLIMIT 200"
        ),
        {"reason": Column(width_px=400)},
        span=12,
    )
    yield table(
        "Alerts",
        "What the agents raised for the organisation in the range. An alert that was sent again "
        "after a restart is listed once.",
        sql(
            "SELECT raised_at AS raised, severity, kind, capability, model_id AS model, "
            "ab_test_id AS `A/B test`, message, p_value AS p\nFROM alerts\n"
            f"WHERE {ORGANISATION} AND $__timeFilter(raised_at)\n"
            "ORDER BY raised_at DESC\nLIMIT 1 BY alert_id\nLIMIT 200"
        ),
        {"message": Column(width_px=400), "p": Column("none", decimals=6)},
        span=12,
    )
