"""Rows of evaluation runs: of each run in a batch its newest state, since only that one is kept."""

from collections.abc import Mapping
from typing import Any

import polars as pl
import pyarrow as pa

from sinks.rows import UTC_MS, Messages, decoded, table_of


def run_rows(messages: Messages) -> pa.Table:
    """One row a run."""
    newest: dict[str, dict[str, Any]] = {}
    for i, run in decoded(messages, "EvaluationRun"):
        if run is not None:
            source = {"src_partition": messages.partition, "src_offset": messages.offsets[i]}
            newest[f"{run['org_id']}/{run['run_id']}"] = {**_row(run), **source}
    if not newest:
        return pa.table({})
    return table_of(pl.DataFrame(list(newest.values()), schema=_COLUMNS))


def _row(run: Mapping[str, Any]) -> dict[str, Any]:
    spec = run["spec"]
    return {
        **{name: run[name] for name in _OF_RUN},
        **{name: spec[name] for name in _OF_SPEC},
        **{name: spec[name] or "" for name in ("ab_test_id", "rescore_of")},
        "failed": run["errors"],
        **{f"models.{name}": [m[name] for m in run["models"]] for name in _OF_MODEL},
    }


_COUNTS = ("planned", "released", "finished", "passed")
_TIMES = ("requested_at", "updated_at", "started_at", "finished_at")
_OF_RUN = (
    "org_id",
    "run_id",
    "state",
    "requested_by",
    *_TIMES,
    "reason",
    *_COUNTS,
    "cost_nanos",
    "rate_per_s",
)
_OF_SPEC = ("suite_id", "suite_version", "priority", "budget_usd")
_OF_MODEL: Mapping[str, Any] = {
    **dict.fromkeys(("model_id", "model_version"), pl.String),
    **dict.fromkeys(("finished", "passed", "errors", "unpriced"), pl.UInt64),
    "cost_nanos": pl.Int64,
}
_COLUMNS: dict[str, Any] = {
    **dict.fromkeys(
        (
            *("org_id", "run_id", "state", "suite_id", "suite_version"),
            *("ab_test_id", "rescore_of", "requested_by", "reason"),
        ),
        pl.String,
    ),
    "priority": pl.UInt8,
    "budget_usd": pl.Float64,
    **dict.fromkeys(_TIMES, UTC_MS),
    **dict.fromkeys((*_COUNTS, "failed"), pl.UInt64),
    "cost_nanos": pl.Int64,
    "rate_per_s": pl.Float64,
    **{f"models.{name}": pl.List(kind) for name, kind in _OF_MODEL.items()},
    "src_partition": pl.UInt32,
    "src_offset": pl.UInt64,
}
