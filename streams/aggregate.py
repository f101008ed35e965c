"""Valid records to partials: one pass that groups, then sums over the groups' runs.

Rows are put in group order once; every sum, minimum and sketch is then a pass over contiguous
runs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from streams import sketch
from streams.columns import Floats, Integers, Mask, Numbers, Records
from streams.groups import Groups, Source, group
from streams.partials import PANE_MS, SKETCHED, TIDY
from streams.price import NANO_PER_USD, ModelKey, PriceTable, to_nanos
from streams.runs import cells, lists, pair_order
from streams.scores import quality


def wide(records: Records, valid: Mask, source: Source, prices: PriceTable) -> pl.DataFrame:
    """One row a group with the state of every core metric (see streams.partials).

    Rows of an organisation stand together. Sketches have the narrowest integers that hold them.
    """
    groups = group(records, valid, source)
    columns = dict(groups.keys.to_dict())
    for metric in ("latency_ms", "ttft_ms", "input_tokens", "output_tokens", "quality"):
        columns |= _state(metric, *_ordered(groups, _numbers(records, metric)))
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


def _numbers(records: Records, metric: str) -> Numbers:
    """A metric's values; the quality of a case of an evaluation is its score."""
    absent = _absent(len(records))
    if metric != "quality" or records.record != "CaseResult":
        return records.numbers.get(metric, absent)
    return Numbers(records.numbers.get("score", absent).values, quality(records))


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
    present = None if declared.present is None else declared.present[groups.order]
    if present is None:
        nanos = to_nanos(declared.values[groups.order].astype(np.float64))
    elif not present.any():
        nanos, present = _priced(groups, records, prices)
    else:
        priced, found = _priced(groups, records, prices)
        own = to_nanos(declared.values[groups.order].astype(np.float64))
        nanos, present = np.where(present, own, priced), present | found
    runs, nanos = _only(groups, present, nanos)
    exact = pl.Series(runs.reduced(np.add, nanos))
    return {**_state("cost_usd", runs, nanos / NANO_PER_USD), "cost_usd.total_nanos": exact}


def _priced(groups: Groups, records: Records, prices: PriceTable) -> tuple[Integers, Mask]:
    """(nano-dollars by the registry, whether there is a price) in group order.

    A group has one model and ten seconds: where a price holds at both ends, it holds in between.
    """
    slots = _slots(groups, prices)
    pane_ms = groups.keys["pane"].cast(pl.Int64).to_numpy()
    rows, last = (prices.rows(slots, pane_ms + later) for later in (0, PANE_MS - 1))
    if (rows == last).all():
        rows = np.repeat(rows, groups.size)
    else:
        time_ms = _integers(records, "occurred_at", groups)
        rows = prices.rows(np.repeat(slots, groups.size), time_ms)
    kinds = ("input_tokens", "output_tokens", "cached_input_tokens")
    inputs, outputs, cached = (_integers(records, kind, groups) for kind in kinds)
    return prices.cost_nanos(rows, (inputs, outputs, cached)), rows >= 0


def _slots(groups: Groups, prices: PriceTable) -> Integers:
    """The place of each group's model in the price table; neighbours mostly have the same."""
    dimensions = groups.keys.select("org_id", "model_id", "model_version")
    runs = dimensions.to_struct().rle().struct.unnest()
    slots = [prices.slot.get(_key(model.values()), -1) for model in runs["value"]]
    return np.repeat(np.array(slots, np.int64), runs["len"].to_numpy())


def _integers(records: Records, name: str, groups: Groups) -> Integers:
    """An integer column in group order."""
    return records.numbers[name].values[groups.order].astype(np.int64, copy=False)


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
    keys = sketch.keys(values)
    lowest = int(keys.min(initial=0))
    size = len(runs.n)
    _, joint, bits = pair_order(runs.code, size, (keys - lowest).astype(np.int64))
    first, offsets, distinct = cells(joint, bits, size)
    counts = np.diff(first, append=len(joint))
    return lists(offsets, _narrow(distinct + lowest)), lists(offsets, _narrow(counts))


def _narrow(values: Integers) -> Any:
    """The values in the narrowest type in use that holds all of them."""
    fits = len(values) == 0 or (values.min() >= 0 and values.max() < 1 << 16)
    return values.astype(np.uint16 if fits else np.int32)
