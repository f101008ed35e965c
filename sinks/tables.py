"""Which topic feeds which table, as data."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from schemas.topics import Topic
from sinks.dataset_rows import dataset_rows
from sinks.registry_rows import command_rows, registry_rows
from sinks.rows import Rows, control_rows, event_rows, partial_rows
from sinks.run_rows import run_rows

_ARMS = {
    **dict.fromkeys(("arm", "model_id"), pl.String),
    **dict.fromkeys(("events", "units"), pl.UInt64),
    "weight": pl.Float64,
}
_COMPARISONS: dict[str, Any] = {
    **dict.fromkeys(("metric", "role", "direction", "arm", "baseline"), pl.String),
    **dict.fromkeys(("n_arm", "n_baseline"), pl.UInt64),
    **dict.fromkeys(
        (
            "mean_arm",
            "mean_baseline",
            "difference",
            "relative_difference",
            "fixed_p_value",
            "fixed_lower",
            "fixed_upper",
            "anytime_p_value",
            "anytime_lower",
            "anytime_upper",
        ),
        pl.Float64,
    ),
    **dict.fromkeys(("verdict", "note"), pl.String),
    **dict.fromkeys(("log_e_value", "adjusted_p_value", "margin", "min_effect"), pl.Float64),
    **dict.fromkeys(("worth", "guard"), pl.String),
    **dict.fromkeys(("design_effect", "variance_left"), pl.Float64),
}
_PAIRS: dict[str, Any] = {
    **dict.fromkeys(("metric", "arm", "other"), pl.String),
    **dict.fromkeys(
        ("difference", "anytime_p_value", "anytime_lower", "anytime_upper"), pl.Float64
    ),
    "verdict": pl.String,
}
_BELIEFS: dict[str, Any] = {
    **dict.fromkeys(("metric", "arm"), pl.String),
    **dict.fromkeys(("mean", "lower", "upper", "probability_best", "expected_loss"), pl.Float64),
}
_STRETCHES: dict[str, Any] = {
    "topic": pl.String,
    "partition": pl.UInt32,
    **dict.fromkeys(("first_offset", "last_offset", "test_version"), pl.UInt64),
    "resumed": pl.Boolean,
}
_VERDICT: dict[str, dict[str, Any]] = {
    "arms": _ARMS,
    "comparisons": _COMPARISONS,
    "pairs": _PAIRS,
    "beliefs": _BELIEFS,
    "sources": _STRETCHES,
    "decision_sources": _STRETCHES,
}
_CANDIDATES: dict[str, Any] = {
    **dict.fromkeys(("model_id", "model_version"), pl.String),
    "rank": pl.UInt32,
    "weight": pl.Float64,
    "eligible": pl.Boolean,
    **dict.fromkeys(("score", "score_lower"), pl.Float64),
    "samples": pl.UInt64,
    **dict.fromkeys(("quality", "error_rate", "latency_p95_ms", "cost_usd_mean"), pl.Float64),
    "reasons": pl.List(pl.String),
}


@dataclass(frozen=True, slots=True)
class TableSpec:
    """A topic's table, and when a batch for it is full."""

    topic: Topic
    table: str
    rows: Rows
    messages_max: int = 100_000
    bytes_max: int = 64 * 1024 * 1024
    linger_s: float = 1.0


TABLES: Mapping[Topic, TableSpec] = {
    spec.topic: spec
    for spec in (
        TableSpec(
            Topic.INFERENCE_EVENTS,
            "inference_events",
            event_rows("InferenceEvent", ["occurred_at"]),
        ),
        TableSpec(
            Topic.FEEDBACK_EVENTS,
            "feedback_events",
            event_rows("FeedbackEvent", ["occurred_at", "observed_at"]),
        ),
        TableSpec(Topic.CASE_RESULTS, "case_results", event_rows("CaseResult", ["occurred_at"])),
        TableSpec(Topic.METRIC_PARTIALS, "metric_panes", partial_rows, 2_000, linger_s=0.5),
        TableSpec(
            Topic.AB_VERDICTS,
            "ab_verdicts",
            control_rows("AbVerdict", _VERDICT),
        ),
        TableSpec(
            Topic.SELECTION_UPDATES,
            "selection_updates",
            control_rows("SelectionUpdate", {"candidates": _CANDIDATES}),
        ),
        TableSpec(Topic.ALERTS, "alerts", control_rows("Alert", {})),
        TableSpec(
            Topic.EVALUATION_DATASETS, "evaluation_datasets", dataset_rows, 100, linger_s=0.2
        ),
        TableSpec(Topic.EVALUATION_RUNS, "evaluation_runs", run_rows),
        TableSpec(Topic.REGISTRY, "registry", registry_rows),
        TableSpec(Topic.REGISTRY_COMMANDS, "registry_commands", command_rows),
        TableSpec(Topic.DEAD_LETTERS, "dead_letters", control_rows("DeadLetter", {})),
    )
}
