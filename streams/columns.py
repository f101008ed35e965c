"""Decoded records as columns over the bytes they came in; copied only when asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute

from streams.types import InvalidRecord

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]

PADDING = bytes(32)
"""More than one decoding step may read beyond the last message before the overrun is noticed."""


HIGH_BITS = np.uint64(0x8080808080808080)
"""The highest bit of each of eight bytes."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """A numeric column. `present` is None when no value is null; where null, `values` holds 0."""

    values: Floats | Integers
    present: Mask | None = None


@dataclass(frozen=True, slots=True)
class Texts:
    """A text column: value i is body[start[i] : start[i] + length[i]]; null has length 0.

    Its field, with length and union branch, is body[begin[i] : end[i]]. `present` is None when no
    value is null.
    """

    start: Integers
    length: Integers
    begin: Integers
    end: Integers
    present: Mask | None = None


@dataclass(frozen=True, slots=True)
class Joined:
    """Messages side by side: message i is body[start[i] : end[i]] and raw[i]. `body` is padded."""

    raw: pl.Series
    body: Bytes
    start: Integers
    end: Integers

    def pick(self, at: Integers) -> "Joined":
        """Only these messages, over the same bytes."""
        return Joined(self.raw.gather(at), self.body, self.start[at], self.end[at])


def window(body: Bytes, dtype: str) -> Any:
    """What stands at each position of the bytes, read as one number: window(body, "<f8")[i]."""
    size = np.dtype(dtype).itemsize
    return np.ndarray((max(0, body.size - size + 1),), dtype, body.data, strides=(1,))


def join(messages: Sequence[bytes]) -> Joined:
    """Raises TypeError when a message is None."""
    body = np.frombuffer(b"".join([*messages, PADDING]), np.uint8)
    return side_by_side(body, np.fromiter(map(len, messages), np.int64, len(messages)))


def side_by_side(body: Bytes, length: Integers) -> Joined:
    """Messages of these lengths that fill the padded bytes from their beginning."""
    edges = np.zeros(len(length) + 1, np.int64)
    np.cumsum(length, out=edges[1:])
    buffers = [None, pa.py_buffer(edges), pa.py_buffer(body)]
    raw = pa.Array.from_buffers(pa.large_binary(), len(length), buffers)
    return Joined(pl.Series(raw), body, edges[:-1], edges[1:])


def utf8(values: pl.Series) -> pl.Series:
    """Binary as String, null where it is not UTF-8."""
    try:
        return values.cast(pl.String)
    except pl.exceptions.ComputeError:
        # Polars only says that some value is wrong; which one takes a look at each.
        return pl.Series([_utf8(value) for value in values], dtype=pl.String)


def _utf8(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None


@dataclass(frozen=True, slots=True)
class Records:
    """Records of one writer schema, all columns of one length.

    `body` holds the bytes of all records, padded; record i began at row_start[i] and its bytes are
    raw[i]. `rows[i]` is the record's place in its RawBatch. `bad` marks records whose bytes do not
    fit the schema; their columns mean nothing. `text_runs` are groups of text fields that stand
    next to each other in the bytes. `nested` keeps what does not fit columns, a mapping a record.
    `faults` says why record i is bad where that is known better than "malformed".
    """

    record: str
    rows: Integers
    raw: pl.Series
    body: Bytes
    row_start: Integers
    bad: Mask
    numbers: Mapping[str, Numbers]
    texts: Mapping[str, Texts]
    text_runs: Sequence[Sequence[str]]
    nested: Sequence[Mapping[str, Any]] = field(default=())
    faults: Mapping[int, InvalidRecord] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)

    def slices(self, start: Integers, length: Integers, at: Integers | None = None) -> pl.Series:
        """Pieces of the records' bytes as Binary; `start` is a position in `body`.

        `at`: only these records (start and length have its length then).
        """
        raw = self.raw if at is None else self.raw.gather(at)
        origin = self.row_start if at is None else self.row_start[at]
        return pl.select(
            pl.lit(raw).bin.slice(pl.lit(pl.Series(start - origin)), pl.lit(pl.Series(length)))
        ).to_series()

    def text(self, name: str, at: Integers | None = None) -> pl.Series:
        """A text column as String, null where absent or not UTF-8. `at`: only these records."""
        column = self.texts[name]
        pick = slice(None) if at is None else at
        values = self.slices(column.start[pick], column.length[pick], at)
        values = utf8(values)
        if column.present is None:
            return values
        return pl.select(
            pl.when(pl.lit(pl.Series(column.present[pick]))).then(pl.lit(values))
        ).to_series()

    def number(self, name: str, at: Integers | None = None) -> pl.Series:
        """A numeric column, null where absent. `at`: only these records."""
        column = self.numbers[name]
        pick = slice(None) if at is None else at
        values = pl.Series(column.values[pick])
        if column.present is None:
            return values
        return pl.select(
            pl.when(pl.lit(pl.Series(column.present[pick]))).then(pl.lit(values))
        ).to_series()

    def frame(self, at: Integers | None = None) -> pl.DataFrame:
        """Every column, in the fields' order. `at`: only these records."""
        columns = {name: self.text(name, at) for name in self.texts}
        columns |= {name: self.number(name, at) for name in self.numbers}
        return pl.DataFrame(columns)
