"""Which records belong together: equal dimensions, then equal panes. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import polars as pl

from streams.columns import Integers, Mask, Records
from streams.partials import DIMENSIONS, PANE, PANE_MS
from streams.runs import stable_order

Source = Literal["production", "evaluation"]
_TEXT_DIMENSIONS = tuple(d for d in DIMENSIONS if d != "source")


@dataclass(frozen=True, slots=True)
class Groups:
    """Records in group order, and the groups as runs in it.

    order: records in group order. start: where each group's run begins in it. size: its length.
    keys: dimensions and pane of each group, `source` included; those of an organisation stand
    together.
    """

    order: Integers
    start: Integers
    size: Integers
    keys: pl.DataFrame

    def __len__(self) -> int:
        return len(self.start)


def group(records: Records, valid: Mask, source: Source, metric: str | None = None) -> Groups:
    """Groups by all dimensions and the pane, and by the text field `metric` if one is given.

    Dimensions come first and alone: a batch has fewer of them than of dimensions and panes, and
    only they have to be read as text.
    """
    names = (*_TEXT_DIMENSIONS, metric) if metric else _TEXT_DIMENSIONS
    order, size = _by_bytes(records, np.flatnonzero(valid), names)
    texts = _texts(records, order[np.cumsum(size) - size], names)
    by_org = texts["org_id"].arg_sort().to_numpy()
    rank = np.empty(len(size), np.int64)
    rank[by_org] = np.arange(len(size))
    time_ms = records.numbers["occurred_at"].values[order].astype(np.int64, copy=False)
    panes, pane = _numbered(time_ms // PANE_MS)
    joint = np.repeat(rank, size) * len(panes) + pane
    by = stable_order(joint, len(size) * len(panes))
    joint = joint[by]
    start = np.flatnonzero(np.diff(joint, prepend=-1))
    dimensions, at_pane = np.divmod(joint[start], len(panes))
    keys = texts[by_org[dimensions]].with_columns(
        pl.Series("pane", panes[at_pane] * PANE_MS).cast(PANE), source=pl.lit(source)
    )
    return Groups(order[by], start, np.diff(start, append=len(joint)), keys)


def _by_bytes(records: Records, rows: Integers, names: Sequence[str]) -> tuple[Integers, Integers]:
    """(rows in the order of their groups, sizes of the groups): equal bytes, equal fields."""
    slices = [
        records.slices(start[rows], (end - start)[rows], rows).alias(f"{i}")
        for i, (start, end) in enumerate(_pieces(records, names))
    ]
    grouped = (
        pl.DataFrame([*slices, pl.Series("row", rows)])
        .group_by([s.name for s in slices])
        .agg("row", pl.len().alias("n"))
    )
    return grouped["row"].explode().to_numpy(), grouped["n"].to_numpy().astype(np.int64)


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


def _texts(records: Records, first: Integers, names: Sequence[str]) -> pl.DataFrame:
    """The groups' dimensions as text, read from the first record of each."""
    return pl.DataFrame([records.text(name, first).fill_null("").alias(name) for name in names])


def _numbered(values: Integers) -> tuple[Integers, Integers]:
    """(distinct values, sorted; which of them each value is)."""
    low = int(values.min())
    span = int(values.max()) - low + 1
    if span > len(values):
        return np.unique(values, return_inverse=True)
    found = np.flatnonzero(np.bincount(values - low, minlength=span))
    number = np.zeros(span, np.int64)
    number[found] = np.arange(len(found))
    return found + low, number[values - low]
