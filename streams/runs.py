"""Integers sorted into runs, and lists of them between numpy and Polars. Pure."""

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

Integers = npt.NDArray[np.int64]
RADIX_MAX = 1 << 16
"""numpy sorts 16-bit integers by radix, wider ones by comparing: four times slower here."""


def stable_order(values: Integers, limit: int) -> Integers:
    """What sorts values from 0 to below `limit`; equal ones keep their order."""
    narrow: Any = values.astype(np.uint16) if limit <= RADIX_MAX else values
    return np.argsort(narrow, kind="stable")


def pair_order(code: Integers, size: int, bins: Integers) -> tuple[Integers, Integers, int]:
    """(what sorts by code and then by bin, the sorted pairs, bits of a bin in a pair).

    A pair is one integer: code << bits | bin. Codes are below `size`, bins not negative.
    """
    bits = int(bins.max(initial=0)).bit_length()
    joint = (code << bits) | bins
    if size <= RADIX_MAX and 1 << bits <= RADIX_MAX:
        by_bin = stable_order(bins, 1 << bits)
        order = by_bin[stable_order(code[by_bin], size)]
    else:
        order = np.argsort(joint, kind="stable")
    return order, joint[order], bits


def cells(joint: Integers, bits: int, size: int) -> tuple[Integers, Any, Integers]:
    """(first place of each distinct pair, offsets of each code's bins, the bins) of sorted pairs.

    Codes are below `size`.
    """
    first = np.flatnonzero(np.diff(joint, prepend=-1))
    owner = joint[first] >> bits
    offsets = offsets_of(np.bincount(owner, minlength=size))
    return first, offsets, joint[first] - (owner << bits)


def offsets_of(lengths: Integers) -> npt.NDArray[np.int32]:
    """Where each of some lists begins, and where the last one ends."""
    offsets = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def lists(offsets: npt.NDArray[np.int32], values: npt.NDArray[Any]) -> pl.Series:
    """List i is values[offsets[i] : offsets[i + 1]]; the memory is shared."""
    return pl.Series(pa.ListArray.from_arrays(arrow(offsets), arrow(values)))


def flat(column: pl.Series) -> tuple[Integers, Integers]:
    """(lengths, values one after another) of lists of integers."""
    lengths = column.list.len().to_numpy().astype(np.int64)
    return lengths, column.explode(empty_as_null=False).to_numpy().astype(np.int64)


def arrow(values: npt.NDArray[Any]) -> pa.Array:
    """The same memory as Arrow. `pa.array` would import pandas first: 1.2 s and 40 MB."""
    kind = pa.from_numpy_dtype(values.dtype)
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(values)])
