"""Valid records to partials: one pass that groups, then sums over the groups' runs.

Rows are put in group order once; every sum, minimum and sketch is then a pass over contiguous
runs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import polars as pl
import pyarrow as pa

from streams import sketch
from streams.columns import Floats, Integers, Mask, Numbers, Records
from streams.partials import DIMENSIONS, PANE, PANE_MS, SKETCHED, TIDY
from streams.price import NANO_PER_USD, ModelKey, PriceTable, to_nanos

Source = Literal["production", "evaluation"]
_TEXT_DIMENSIONS = tuple(d for d in DIMENSIONS if d != "source")


@dataclass(frozen=True, slots=True)
class Groups:
    """Which records belong together.

    order: records in group order. start: where each group's run begins in it. code: the group of
    each ordered record. keys: dimensions and pane of each group, `source` included.
    """

    order: Integers
    start: Integers
    code: Integers
    keys: pl.DataFrame

    def __len__(self) -> int:
        return len(self.start)


def group(records: Records, valid: Mask, source: Source, metric: str | None = None) -> Groups:
    """Groups by all dimensions and the pane, and by the text field `metric` if one is given."""
    rows = np.flatnonzero(valid)
    pane = records.numbers["occurred_at"].values[rows] // PANE_MS * PANE_MS
    names = (*_TEXT_DIMENSIONS, metric) if metric else _TEXT_DIMENSIONS
    slices = [
        records.slices(start[rows], (end - start)[rows], rows).alias(f"{i}")
        for i, (start, end) in enumerate(_pieces(records, names))
    ]
    grouped = (
        pl.DataFrame([*slices, pl.Series("pane", pane), pl.Series("row", rows)])
        .group_by([s.name for s in slices] + ["pane"])
        .agg("row", pl.len().alias("n"))
    )
    size = grouped["n"].to_numpy().astype(np.int64)
    order = grouped["row"].explode().to_numpy()
    start = np.cumsum(size) - size
    keys = _keys(records, order[start], names, grouped["pane"], source)
    return Groups(order, start, np.repeat(np.arange(len(size)), size), keys)


def _pieces(records: Records, names: Sequence[str]) -> list[tuple[Integers, Integers]]:
    """(start, end) of the bytes that tell the fields' values, adjacent fields in one piece.

    Between adjacent fields stand their lengths and union branches: equal bytes are equal fields.
    """
    runs = {name: i for i, run in enumerate(records.text_runs) for name in run}
    place = {name: j for run in records.text_runs for j, name in enumerate(run)}
    ordered = sorted((n for n in names if n in runs), key=lambda name: (runs[name], place[name]))
    cuts = [
        i
        for i, (a, b) in enumerate(pairwise(ordered), 1)
        if runs[a] != runs[b] or place[b] != place[a] + 1
    ]
    ends = [*cuts, len(ordered)]
    return [
        (records.texts[ordered[first]].begin, records.texts[ordered[last - 1]].end)
        for first, last in zip([0, *cuts], ends, strict=True)
    ]


def _keys(
    records: Records, first: Integers, names: Sequence[str], pane: pl.Series, source: Source
) -> pl.DataFrame:
    """The groups' dimensions as text, read from the first record of each."""
    texts = [records.text(name, first).fill_null("").alias(name) for name in names]
    return pl.DataFrame([*texts, pane.cast(pl.Int64).cast(PANE)]).with_columns(
        source=pl.lit(source)
    )


def wide(records: Records, valid: Mask, source: Source, prices: PriceTable) -> pl.DataFrame:
    """One row a group with the state of every core metric (see streams.partials)."""
    groups = group(records, valid, source)
    columns = dict(groups.keys.to_dict())
    for metric in ("latency_ms", "ttft_ms", "input_tokens", "output_tokens", "quality"):
        numbers = records.numbers.get(metric, _absent(len(records)))
        columns |= _state(groups, metric, *_ordered(groups, numbers))
    columns |= _cost(groups, records, prices)
    failed = records.texts["error_type"].present
    errors = np.zeros(len(records), np.int64) if failed is None else failed.astype(np.int64)
    columns |= _state(groups, "error", *_ordered(groups, Numbers(errors)))
    return pl.DataFrame(columns)


def tidy(records: Records, valid: Mask, source: Source) -> pl.DataFrame:
    """One row a group and custom metric, from records that name their metric and its value."""
    groups = group(records, valid, source, metric="metric")
    state = _state(groups, "", *_ordered(groups, records.numbers["value"]), sketched=True)
    zeros = pl.zeros(len(groups), pl.Int64, eager=True)
    named = {name.removeprefix("."): column for name, column in state.items()}
    rows = pl.DataFrame({**groups.keys.to_dict(), **named, "total_nanos": zeros})
    return rows.select(TIDY.names())


def _absent(size: int) -> Numbers:
    """A metric that this kind of record does not have."""
    return Numbers(np.zeros(size), np.zeros(size, np.bool_))


def _cost(groups: Groups, records: Records, prices: PriceTable) -> Mapping[str, pl.Series]:
    """Cost in USD with its exact total in nano-dollars; null costs take the registry's price."""
    declared = records.numbers["cost_usd"]
    nanos = to_nanos(declared.values[groups.order].astype(np.float64))
    present: Mask | None = None
    if declared.present is not None:
        present = declared.present[groups.order]
        dimensions = groups.keys.select("org_id", "model_id", "model_version")
        slots = np.array([prices.slot.get(_key(row), -1) for row in dimensions.rows()], np.int64)
        open_ = np.flatnonzero(~present)
        at = groups.order[open_]
        tokens = tuple(
            _integers(records, f"{kind}_tokens", at) for kind in ("input", "output", "cached_input")
        )
        time_ms = _integers(records, "occurred_at", at)
        priced, found = prices.cost_nanos(
            slots[groups.code[open_]], time_ms, (tokens[0], tokens[1], tokens[2])
        )
        nanos[open_] = priced
        present[open_] = found
    columns = _state(groups, "cost_usd", nanos / NANO_PER_USD, present)
    code, nanos = (
        (groups.code, nanos) if present is None else (groups.code[present], nanos[present])
    )
    exact = np.zeros(len(groups), np.int64)
    np.add.at(exact, code, nanos)
    return {**columns, "cost_usd.total_nanos": pl.Series(exact)}


def _integers(records: Records, name: str, at: Integers) -> Integers:
    return records.numbers[name].values[at].astype(np.int64)


def _key(row: tuple[str, ...]) -> ModelKey:
    return row[0], row[1], row[2]


def _ordered(groups: Groups, column: Numbers) -> tuple[Floats, Mask | None]:
    values = column.values[groups.order].astype(np.float64)
    return values, None if column.present is None else column.present[groups.order]


def _state(
    groups: Groups, metric: str, values: Floats, present: Mask | None, sketched: bool = False
) -> dict[str, pl.Series]:
    """The mergeable state of one metric for every group; a group without values has n = 0.

    `values` and `present` are in group order.
    """
    code, size = groups.code, len(groups)
    if present is not None and not present.all():
        values, code = values[present], code[present]
    n = np.bincount(code, minlength=size)
    some = np.flatnonzero(n)
    low, high = np.zeros((2, size))
    if len(some):
        begin = (np.cumsum(n) - n)[some]
        low[some] = np.minimum.reduceat(values, begin)
        high[some] = np.maximum.reduceat(values, begin)
    columns = {
        "n": n.astype(np.int64),
        "total": _sums(code, values, size),
        "total_sq": _sums(code, values * values, size),
        "minimum": low,
        "maximum": high,
    }
    state = {f"{metric}.{name}": pl.Series(column) for name, column in columns.items()}
    if sketched or metric in SKETCHED:
        bins, counts = _sketch(code, values, size)
        state |= {f"{metric}.bins": bins, f"{metric}.counts": counts}
    return state


def _sums(code: Integers, values: Floats, size: int) -> Floats:
    """The sum of each group. Of no values at all numpy makes integers."""
    return np.bincount(code, weights=values, minlength=size).astype(np.float64, copy=False)


def _sketch(code: Integers, values: Floats, size: int) -> tuple[pl.Series, pl.Series]:
    """Sorted bins and their counts, one list a group."""
    keys = sketch.keys(values)
    lowest = int(keys.min(initial=0))
    bits = (int(keys.max(initial=0)) - lowest + 1).bit_length()
    # Group and bin stand in one integer, the narrower the faster to sort.
    width = np.int32 if size.bit_length() + bits < 32 else np.int64
    place: Any = code.astype(width)
    joint = (place << bits) + (keys - lowest).astype(width)
    joint.sort()
    first = np.flatnonzero(np.diff(joint, prepend=width(-1)))
    counts = np.diff(first, append=len(joint))
    distinct: Any = joint[first]
    owner: Any = distinct >> bits
    bins = (distinct - (owner << bits)).astype(np.int32) + np.int32(lowest)
    offsets = np.zeros(size + 1, np.int32)
    np.cumsum(np.bincount(owner, minlength=size), out=offsets[1:])
    return _lists(offsets, bins), _lists(offsets, counts)


def _lists(offsets: np.ndarray[tuple[int], np.dtype[np.int32]], values: Integers) -> pl.Series:
    return pl.Series(pa.ListArray.from_arrays(pa.array(offsets), pa.array(values)))
