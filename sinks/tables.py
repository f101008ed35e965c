"""Which topic feeds which table, and how its messages become rows. Data and pure functions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from schemas.catalog import SchemaCatalog
from schemas.topics import Topic
from schemas.wire import Codec
from sinks.registry_rows import command_rows, registry_rows
from streams.columns import Records
from streams.decode import decode
from streams.partials import from_record, merge
from streams.types import RawBatch
from streams.validate import validate

UTC_MS = pl.Datetime("ms", "UTC")
Rows = Callable[["Messages"], pa.Table]


@dataclass(frozen=True, slots=True)
class Messages:
    """A batch of one partition. `offsets[i]` and `keys[i]` belong to raw.values[i]."""

    raw: RawBatch
    partition: int
    offsets: Sequence[int]
    keys: Sequence[bytes | None]
    catalog: SchemaCatalog
    retention_ms: int


@dataclass(frozen=True, slots=True)
class TableSpec:
    """A topic's table, and when a batch for it is full."""

    topic: Topic
    table: str
    rows: Rows
    messages_max: int = 100_000
    bytes_max: int = 64 * 1024 * 1024
    linger_s: float = 1.0


def event_rows(record: str, times: Sequence[str]) -> Rows:
    """Rows of a hot topic: decoded and validated by the data lane's code, rejects left out."""

    def rows(messages: Messages) -> pa.Table:
        decoded = decode(messages.raw, record, messages.catalog)
        frames = []
        for part in decoded.records:
            valid = validate(part, messages.raw, messages.retention_ms).valid
            at = np.flatnonzero(valid)
            if len(at):
                frames.append(_frame(part, at, messages, times))
        return _arrow(pl.concat(frames)) if frames else pa.table({})

    return rows


def _frame(
    records: Records, at: np.ndarray[Any, Any], messages: Messages, times: Sequence[str]
) -> pl.DataFrame:
    names = [f["name"] for f in messages.catalog.newest(records.record).source["fields"]]
    frame = records.frame(at)
    frame = frame.select(name for name in names if name in frame.columns).with_columns(
        *(pl.col(name).cast(pl.Int64).cast(UTC_MS) for name in times),
        pl.col("ab_test_id", "arm").fill_null(""),
        src_partition=pl.lit(messages.partition, dtype=pl.UInt32),
        src_offset=pl.Series(np.asarray(messages.offsets)[records.rows[at]], dtype=pl.UInt64),
    )
    if records.nested:
        scores = [records.nested[i]["scores"] for i in at.tolist()]
        frame = frame.with_columns(*_nested("scores", scores, _SCORE))
        frame = frame.with_columns(pl.col("passed").cast(pl.Boolean))
    return frame


def partial_rows(messages: Messages) -> pa.Table:
    """All partials of the batch merged: one row a key."""
    codec = Codec(messages.catalog)
    values = [v for v in messages.raw.values if v is not None]
    frame = merge([from_record(codec.decode(v, "MetricPartials")).frame for v in values])
    if not frame.height:
        return pa.table({})
    table = _arrow(frame.drop("bins", "counts").with_columns(pl.col("n").cast(pl.UInt64)))
    lengths = frame["bins"].list.len().to_numpy()
    offsets = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    sketch = pa.MapArray.from_arrays(
        pa.array(offsets),
        frame["bins"].explode(empty_as_null=False).to_arrow(),
        frame["counts"].explode(empty_as_null=False).cast(pl.UInt64).to_arrow(),
    )
    return table.append_column("sketch", sketch)


def control_rows(record: str, nested: Mapping[str, Mapping[str, Any]]) -> Rows:
    """Rows of a control topic: one a message, lists of records as parallel arrays."""

    def rows(messages: Messages) -> pa.Table:
        codec = Codec(messages.catalog)
        values, offsets = [], []
        for value, offset in zip(messages.raw.values, messages.offsets, strict=True):
            if value is None:
                continue  # a tombstone of a compacted topic
            values.append(codec.decode(value, record))
            offsets.append(offset)
        if not values:
            return pa.table({})
        fields = messages.catalog.newest(record).source["fields"]
        columns = {
            f["name"]: pl.Series(f["name"], [v[f["name"]] for v in values], dtype=_dtype(f["type"]))
            for f in fields
            if f["name"] not in nested
        }
        frame = pl.DataFrame(columns).with_columns(
            *(
                s
                for name, kinds in nested.items()
                for s in _nested(name, [v[name] for v in values], kinds)
            ),
            src_partition=pl.lit(messages.partition, dtype=pl.UInt32),
            src_offset=pl.Series(offsets, dtype=pl.UInt64),
        )
        return _arrow(frame)

    return rows


def _nested(name: str, lists: Sequence[Any], kinds: Mapping[str, Any]) -> list[pl.Series]:
    """A list of records as one list a field: ClickHouse's Nested columns."""
    return [
        pl.Series(
            f"{name}.{field}", [[item[field] for item in items] for items in lists], pl.List(kind)
        )
        for field, kind in kinds.items()
    ]


def _dtype(avro_type: Any) -> Any:
    if isinstance(avro_type, list):
        avro_type = next(branch for branch in avro_type if branch != "null")
    if isinstance(avro_type, Mapping):
        avro_type = avro_type.get("logicalType", avro_type["type"])
    return {
        "string": pl.String,
        "enum": pl.String,
        "bytes": pl.Binary,
        "double": pl.Float64,
        "int": pl.Int64,
        "long": pl.Int64,
        "boolean": pl.Boolean,
        "timestamp-millis": UTC_MS,
    }[avro_type]


def _arrow(frame: pl.DataFrame) -> pa.Table:
    # ClickHouse does not read Arrow's string views.
    return frame.to_arrow(compat_level=pl.CompatLevel.oldest())


_SCORE = {
    "metric": pl.String,
    "value": pl.Float64,
    "label": pl.String,
    "explanation": pl.String,
    "scorer": pl.String,
    "scorer_version": pl.String,
}
_ARMS = {"arm": pl.String, "model_id": pl.String, "events": pl.UInt64}
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
            control_rows("AbVerdict", {"arms": _ARMS, "comparisons": _COMPARISONS}),
        ),
        TableSpec(
            Topic.SELECTION_UPDATES,
            "selection_updates",
            control_rows("SelectionUpdate", {"candidates": _CANDIDATES}),
        ),
        TableSpec(Topic.ALERTS, "alerts", control_rows("Alert", {})),
        TableSpec(Topic.REGISTRY, "registry", registry_rows),
        TableSpec(Topic.REGISTRY_COMMANDS, "registry_commands", command_rows),
        TableSpec(Topic.DEAD_LETTERS, "dead_letters", control_rows("DeadLetter", {})),
    )
}
