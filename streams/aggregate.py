"""Valid records to partials: one pass that groups, then sums over the groups' runs.

Rows are put in group order once; every sum, minimum and sketch is then a pass over contiguous
runs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from streams import sketch
from streams.columns import Floats, Integers, Mask, Numbers, Records
from streams.groups import RADIX_MAX, Groups, Source, group, stable_order
from streams.partials import SKETCHED, TIDY
from streams.price import NANO_PER_USD, ModelKey, PriceTable, to_nanos


def wide(records: Records, valid: Mask, source: Source, prices: PriceTable) -> pl.DataFrame:
    """One row a group with the state of every core metric (see streams.partials).

    Rows of an organisation stand together. Sketches have the narrowest integers that hold them.
    """
    groups = group(records, valid, source)
    columns = dict(groups.keys.to_dict())
    for metric in ("latency_ms", "ttft_ms", "input_tokens", "output_tokens", "quality"):
        numbers = records.numbers.get(metric, _absent(len(records)))
        columns |= _state(metric, *_ordered(groups, numbers))
    columns |= _cost(groups, records, prices)
    failed = records.texts["error_type"].present
    errors = np.zeros(len(records), np.int64) if failed is None else failed.astype(np.int64)
    columns |= _state("error", *_ordered(groups, Numbers(errors)))
    return pl.DataFrame(columns)


def tidy(records: Records, valid: Mask, source: Source) -> pl.DataFrame:
    """One row a group and custom metric, from records that name their metric and its value."""
    groups = group(records, valid, source, metric="metric")
    state = _state("", *_ordered(groups, records.numbers["value"]), sketched=True)
    zeros = pl.zeros(len(groups), pl.Int64, eager=True)
    named = {name.removeprefix("."): column for name, column in state.items()}
    rows = pl.DataFrame({**groups.keys.to_dict(), **named, "total_nanos": zeros})
    return rows.select(pl.col(name).cast(kind) for name, kind in TIDY.items())


def _absent(size: int) -> Numbers:
    """A metric that this kind of record does not have."""
    return Numbers(np.zeros(size), np.zeros(size, np.bool_))


@dataclass(frozen=True, slots=True)
class _Runs:
    """Which group each of some values in group order belongs to. n: how many each group has."""

    n: Integers

    @property
    def code(self) -> Integers:
        """The group of each value."""
        return np.repeat(np.arange(len(self.n)), self.n)

    def reduced(self, reduce: np.ufunc, values: Any) -> Any:
        """The reduction of each group's values; 0 where it has none."""
        some = np.flatnonzero(self.n)
        begin = np.cumsum(self.n) - self.n
        if len(some) == len(self.n):
            return reduce.reduceat(values, begin)
        result = np.zeros(len(self.n), values.dtype)
        if len(some):
            result[some] = reduce.reduceat(values, begin[some])
        return result


def _ordered(groups: Groups, column: Numbers) -> tuple[_Runs, Floats]:
    """The present values in group order."""
    present = None if column.present is None else column.present[groups.order]
    values = column.values[groups.order].astype(np.float64, copy=False)
    return _only(groups, present, values)


def _only(groups: Groups, present: Mask | None, values: Any) -> tuple[_Runs, Any]:
    """Values in group order without those that are not present."""
    if present is None or present.all():
        return _Runs(groups.size), values
    return _Runs(np.add.reduceat(present, groups.start, dtype=np.int64)), values[present]


def _cost(groups: Groups, records: Records, prices: PriceTable) -> Mapping[str, pl.Series]:
    """Cost in USD with its exact total in nano-dollars; null costs take the registry's price."""
    declared = records.numbers["cost_usd"]
    nanos = to_nanos(declared.values[groups.order].astype(np.float64))
    present: Mask | None = None
    if declared.present is not None:
        present = declared.present[groups.order]
        # Mostly all or none have a price of their own: none is a slice, not a copy.
        open_: Any = np.flatnonzero(~present) if present.any() else slice(None)
        at = groups.order[open_]
        tokens = tuple(
            _integers(records, f"{kind}_tokens", at) for kind in ("input", "output", "cached_input")
        )
        nanos[open_], present[open_] = prices.cost_nanos(
            np.repeat(_slots(groups, prices), groups.size)[open_],
            _integers(records, "occurred_at", at),
            (tokens[0], tokens[1], tokens[2]),
        )
    runs, nanos = _only(groups, present, nanos)
    exact = pl.Series(runs.reduced(np.add, nanos))
    return {**_state("cost_usd", runs, nanos / NANO_PER_USD), "cost_usd.total_nanos": exact}


def _slots(groups: Groups, prices: PriceTable) -> Integers:
    """The place of each group's model in the price table; neighbours mostly have the same."""
    dimensions = groups.keys.select("org_id", "model_id", "model_version")
    runs = dimensions.to_struct().rle().struct.unnest()
    slots = [prices.slot.get(_key(model.values()), -1) for model in runs["value"]]
    return np.repeat(np.array(slots, np.int64), runs["len"].to_numpy())


def _integers(records: Records, name: str, at: Integers) -> Integers:
    return records.numbers[name].values[at].astype(np.int64, copy=False)


def _key(row: Any) -> ModelKey:
    org_id, model_id, model_version = row
    return org_id, model_id, model_version


def _state(
    metric: str, runs: _Runs, values: Floats, sketched: bool = False
) -> dict[str, pl.Series]:
    """The mergeable state of one metric for every group; a group without values has n = 0."""
    columns = {
        "n": runs.n,
        "total": runs.reduced(np.add, values),
        "total_sq": runs.reduced(np.add, values * values),
        "minimum": runs.reduced(np.minimum, values),
        "maximum": runs.reduced(np.maximum, values),
    }
    state = {f"{metric}.{name}": pl.Series(column) for name, column in columns.items()}
    if sketched or metric in SKETCHED:
        bins, counts = _sketch(runs, values)
        state |= {f"{metric}.bins": bins, f"{metric}.counts": counts}
    return state


def _sketch(runs: _Runs, values: Floats) -> tuple[pl.Series, pl.Series]:
    """Sorted bins and their counts, one list a group."""
    size = len(runs.n)
    keys = sketch.keys(values)
    lowest = int(keys.min(initial=0))
    span = int(keys.max(initial=0)) - lowest + 1
    joint = _sorted_pairs(runs.code, size, (keys - lowest).astype(np.int64), span)
    first = np.flatnonzero(np.diff(joint, prepend=-1))
    owner, bins = np.divmod(joint[first], span)
    offsets = np.zeros(size + 1, np.int32)
    np.cumsum(np.bincount(owner, minlength=size), out=offsets[1:])
    counts = np.diff(first, append=len(joint))
    return _lists(offsets, bins + lowest), _lists(offsets, counts)


def _sorted_pairs(code: Integers, size: int, bins: Integers, span: int) -> Integers:
    """code * span + bin of every value, sorted."""
    joint = code * span + bins
    if size <= RADIX_MAX and span <= RADIX_MAX:
        by_bin = stable_order(bins, span)
        return joint[by_bin[stable_order(code[by_bin], size)]]
    joint.sort()
    return joint


def _lists(offsets: np.ndarray[tuple[int], np.dtype[np.int32]], values: Integers) -> pl.Series:
    """One list a group, of the narrowest of the integer types in use that holds all values."""
    fits = len(values) == 0 or (values.min() >= 0 and values.max() < 1 << 16)
    narrow = values.astype(np.uint16 if fits else np.int32)
    return pl.Series(pa.ListArray.from_arrays(_arrow(offsets), _arrow(narrow)))


def _arrow(values: np.ndarray[Any, Any]) -> pa.Array:
    """The same memory as Arrow. `pa.array` would import pandas first: 1.2 s and 40 MB."""
    kind = pa.from_numpy_dtype(values.dtype)
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(values)])
