"""Mergeable partials: their columns, how they merge, and their form on the wire.

Wide on the wire (one row a dimension group and pane, the core metrics side by side), tidy
everywhere else (one row a metric). Merging is associative and commutative; the zero is the empty
frame.
"""

import io
from collections.abc import Mapping, Sequence
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
    return pl.concat([zero(), *(_metric_rows(wide, metric) for metric in CORE_METRICS)])


def _metric_rows(wide: pl.DataFrame, metric: str) -> pl.DataFrame:
    columns = {name: pl.col(f"{metric}.{name}") for name in STATE if f"{metric}.{name}" in wide}
    absent = {
        "total_nanos": pl.lit(0, dtype=pl.Int64),
        "bins": pl.lit([], dtype=pl.List(pl.Int32)),
        "counts": pl.lit([], dtype=pl.List(pl.Int64)),
    }
    return (
        wide.lazy()
        .filter(pl.col(f"{metric}.n") > 0)
        .select(*DIMENSIONS, "pane", metric=pl.lit(metric), **{**absent, **columns})
        .select(pl.col(name).cast(dtype) for name, dtype in TIDY.items())
        .collect()
    )


def to_ipc(frame: pl.DataFrame) -> bytes:
    """Arrow IPC stream; the wire compresses, so the columns are not compressed here."""
    out = io.BytesIO()
    frame.write_ipc_stream(out, compression="uncompressed")
    return out.getvalue()


def from_record(record: Mapping[str, Any]) -> Partials:
    """A decoded MetricPartials message (schemas.wire.Codec.decode) as a value."""
    frames = []
    if record["wide"] is not None:
        frames.append(wide_to_tidy(pl.read_ipc_stream(io.BytesIO(record["wide"]))))
    if record["tidy"] is not None:
        frames.append(pl.read_ipc_stream(io.BytesIO(record["tidy"])).select(TIDY.names()))
    return Partials(
        batch_id=record["batch_id"],
        produced_at=record["produced_at"],
        spans=tuple(
            OffsetSpan(s["topic"], s["partition"], s["first_offset"], s["last_offset"])
            for s in record["spans"]
        ),
        events=record["events"],
        frame=pl.concat([zero(), *frames]),
    )
