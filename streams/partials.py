"""Mergeable partials: their columns, how they merge, and their form on the wire.

Wide on the wire (one row a dimension group and pane, the core metrics side by side), tidy
everywhere else (one row a metric). Merging is associative and commutative; the zero is the empty
frame.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from streams.runs import Integers, cells, flat, lists, pair_order
from streams.types import OffsetSpan, Partials

DIMENSIONS = (
    "org_id",
    "capability",
    "model_id",
    "model_version",
    "ab_test_id",
    "arm",
    "source",
)
"""Text columns; no A/B test or arm is ''. `source` is 'production' or 'evaluation'."""

PANE_MS = 10_000
CORE_METRICS = (
    "latency_ms",
    "ttft_ms",
    "input_tokens",
    "output_tokens",
    "cost_usd",
    "quality",
    "error",
)
SKETCHED = tuple(m for m in CORE_METRICS if m != "error")
"""Core metrics with a sketch; quantiles of a 0/1 metric mean nothing."""

PANE = pl.Datetime("ms", "UTC")
STATE: dict[str, pl.DataType | type[pl.DataType]] = {
    "n": pl.Int64,
    "total": pl.Float64,
    "total_sq": pl.Float64,
    "minimum": pl.Float64,
    "maximum": pl.Float64,
    "total_nanos": pl.Int64,  # exact sum of cost_usd in nano-dollars; 0 for every other metric
    "bins": pl.List(pl.Int32),
    "counts": pl.List(pl.Int64),
}
"""The mergeable state. `bins` are sorted keys of streams.sketch, `counts` their numbers."""

KEY = (*DIMENSIONS, "metric", "pane")
TIDY = pl.Schema(
    [*((name, pl.String) for name in (*DIMENSIONS, "metric")), ("pane", PANE), *STATE.items()]
)


def zero() -> pl.DataFrame:
    """The partials of no events."""
    return pl.DataFrame(schema=TIDY)


def merge(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """One tidy frame with one row a key, sorted by key: the sum of all."""
    rows = pl.concat([zero(), *frames])
    moments = (
        rows.drop("bins", "counts")
        .with_row_index("row")
        .group_by(KEY)
        .agg(
            pl.col("n", "total", "total_sq", "total_nanos").sum(),
            pl.col("minimum").min(),
            pl.col("maximum").max(),
            pl.col("row"),
        )
        .sort(KEY)
    )
    sizes = moments["row"].list.len().to_numpy()
    group = np.empty(rows.height, np.int64)
    group[moments["row"].explode().to_numpy()] = np.repeat(np.arange(moments.height), sizes)
    bins, counts = _merged_sketches(rows, group, moments.height)
    return moments.with_columns(bins=bins, counts=counts).select(
        pl.col(name).cast(kind) for name, kind in TIDY.items()
    )


def _merged_sketches(
    rows: pl.DataFrame, group: Integers, groups: int
) -> tuple[pl.Series, pl.Series]:
    """(bins, counts) of every group, from the sketches of the rows that belong to it."""
    lengths, bins = flat(rows["bins"])
    _, counts = flat(rows["counts"])
    lowest = int(bins.min(initial=0))
    order, joint, bits = pair_order(np.repeat(group, lengths), groups, bins - lowest)
    first, offsets, distinct = cells(joint, bits, groups)
    sums = np.add.reduceat(counts[order], first) if len(first) else counts
    return lists(offsets, distinct + lowest), lists(offsets, sums)


def wide_to_tidy(wide: pl.DataFrame) -> pl.DataFrame:
    """Rows of the metrics that a group has, in the columns of TIDY."""
    rows = wide.lazy()
    # One plan for all metrics: most of the time of seven small ones went into planning.
    return pl.concat([_metric_rows(rows, metric) for metric in CORE_METRICS]).collect()


def _wide_schema() -> dict[str, Any]:
    """Columns of a wide frame; every metric's state except what it does not have."""
    state = {
        f"{metric}.{name}": kind
        for metric in CORE_METRICS
        for name, kind in STATE.items()
        if (name != "total_nanos" or metric == "cost_usd")
        and (name not in ("bins", "counts") or metric in SKETCHED)
    }
    return {**dict.fromkeys(DIMENSIONS, pl.String), "pane": PANE, **state}


WIDE: Mapping[str, Any] = _wide_schema()
"""On the wire, integers in the lists may be narrower."""
_ABSENT = {
    "total_nanos": pl.lit(0, dtype=pl.Int64),
    "bins": pl.lit([], dtype=pl.List(pl.Int32)),
    "counts": pl.lit([], dtype=pl.List(pl.Int64)),
}


def _metric_rows(wide: pl.LazyFrame, metric: str) -> pl.LazyFrame:
    names = {name: f"{metric}.{name}" for name in STATE}
    state = {name: pl.col(full).cast(STATE[name]) for name, full in names.items() if full in WIDE}
    columns = {**_ABSENT, **state, "metric": pl.lit(metric)}
    return wide.filter(pl.col(f"{metric}.n") > 0).select(
        columns.get(name, pl.col(name)).alias(name) for name in TIDY
    )


def to_ipc(frame: pl.DataFrame) -> bytes:
    """Arrow IPC stream; the wire compresses, so the columns are not compressed here."""
    out = io.BytesIO()
    frame.write_ipc_stream(out, compression="uncompressed")
    return out.getvalue()


def from_record(record: Mapping[str, Any]) -> Partials:
    """A decoded MetricPartials message (schemas.wire.Codec.decode) as a value."""
    return Partials(
        batch_id=record["batch_id"],
        produced_at=record["produced_at"],
        spans=tuple(
            OffsetSpan(s["topic"], s["partition"], s["first_offset"], s["last_offset"])
            for s in record["spans"]
        ),
        events=record["events"],
        frame=tidy_rows([columns_of(record)]),
    )


@dataclass(frozen=True, slots=True)
class Columns:
    """What one message carries, as it was written; None: nothing of that form."""

    wide: pl.DataFrame | None
    tidy: pl.DataFrame | None


def columns_of(record: Mapping[str, Any]) -> Columns:
    """The columns of a decoded message. Raises PolarsError when they are not ours."""
    wide, tidy = record["wide"], record["tidy"]
    return Columns(
        None if wide is None else _typed(wide, WIDE),
        None if tidy is None else _typed(tidy, TIDY),
    )


def tidy_rows(messages: Sequence[Columns]) -> pl.DataFrame:
    """The tidy rows of several messages, not merged: faster than each message's by itself."""
    wide = [columns.wide for columns in messages if columns.wide is not None]
    tidy = [columns.tidy for columns in messages if columns.tidy is not None]
    return pl.concat([zero(), *([wide_to_tidy(pl.concat(wide))] if wide else []), *tidy])


def _typed(stream: bytes, schema: Mapping[str, Any]) -> pl.DataFrame:
    frame = pl.read_ipc_stream(io.BytesIO(stream))
    return frame.select(
        pl.col(name) if frame.schema.get(name) == kind else pl.col(name).cast(kind)
        for name, kind in schema.items()
    )
