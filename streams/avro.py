"""Avro bodies to columns, a whole batch at a time: one step a field, not one step a record.

Every record keeps its own read position, and all positions advance together. A record cannot bleed
into its neighbour: a position beyond the record's end marks the record as bad, and a record is good
only when its position ends exactly at its end.

Avro 1.12 specification, "Binary encoding": int and long are zigzag varints, strings a length and
bytes, a union its branch and value.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from schemas.catalog import WriterSchema
from schemas.wire import HEADER_BYTES
from streams.columns import (
    HIGH_BITS,
    Bytes,
    Integers,
    Joined,
    Mask,
    Numbers,
    Records,
    Texts,
    window,
)

Kind = Literal["text", "int", "long", "double", "float", "boolean"]
_KINDS: Mapping[str, Kind] = {
    "string": "text",
    "bytes": "text",
    "int": "int",
    "long": "long",
    "double": "double",
    "float": "float",
    "boolean": "boolean",
}
VARINT_BYTES_MAX = 10
Unsigned = npt.NDArray[np.uint64]
_CLOSING = tuple(
    (np.uint64(low), np.uint64(bits))
    for low, bits in (
        (0x007F007F007F007F, 1),
        (0x00003FFF00003FFF, 2),
        (0x000000000FFFFFFF, 4),
    )
)


@dataclass(frozen=True, slots=True)
class Step:
    """How one field is read. `null_branch` is the union's index of null; None: not a union."""

    name: str
    kind: Kind
    null_branch: int | None

    @property
    def real(self) -> bool:
        """Whether its values are real numbers, not integers."""
        return self.kind in ("double", "float")


def plan(schema: WriterSchema) -> tuple[Step, ...] | None:
    """The steps for a flat record, None when a field is nested (then records go one by one)."""
    steps = tuple(step(f["name"], f["type"]) for f in schema.source["fields"])
    return None if None in steps else tuple(s for s in steps if s is not None)


def step(name: str, avro_type: Any) -> Step | None:
    """How a field of this type is read, None when it is nested."""
    null_branch = None
    if isinstance(avro_type, list):
        if len(avro_type) != 2 or "null" not in avro_type:
            return None
        null_branch = avro_type.index("null")
        avro_type = avro_type[1 - null_branch]
    if isinstance(avro_type, Mapping):
        avro_type = avro_type["type"]
    if not isinstance(avro_type, str) or avro_type not in _KINDS:
        return None
    return Step(name, _KINDS[avro_type], null_branch)


class _Cursor:
    """Where every record of the batch is being read."""

    def __init__(self, messages: Joined) -> None:
        self.body: Bytes = messages.body
        self.end: Integers = messages.end
        self.at: Integers = messages.start + HEADER_BYTES
        self.bad: Mask = self.at > self.end

    def fail(self, rows: Mask) -> None:
        """Marks records as bad and parks them at their end, where reading is harmless."""
        self.bad |= rows
        np.copyto(self.at, self.end, where=rows)

    def check(self) -> None:
        """Marks the records that were read beyond their end."""
        beyond = self.at > self.end
        if beyond.any():
            self.fail(beyond)

    def varint(self, at: Integers) -> tuple[Integers, Integers]:
        """(values, positions behind them). More than ten bytes: the position runs to the end."""
        byte = self.body[at]
        after = at + 1
        more = np.flatnonzero(byte > 127)
        if not more.size:
            narrow = byte.astype(np.int64)
            return (narrow >> 1) ^ -(narrow & 1), after
        raw = byte.astype(np.uint64)
        raw[more], size = self._long(at[more])
        after[more] += size - 1
        half = (raw >> np.uint64(1)).astype(np.int64)
        return half ^ -(raw & np.uint64(1)).astype(np.int64), after

    def _long(self, at: Integers) -> tuple[Unsigned, Integers]:
        """(raw varints of several bytes, their sizes): eight bytes at a time, seven bits of each.

        The first byte below 128 ends a varint. Neighbouring groups of bits are then closed up
        pairwise: 7 bits in 8, 14 in 16, 28 in 32.
        """
        word = window(self.body, "<u8")[at]
        stop = ~word & HIGH_BITS
        lowest = stop & (~stop + np.uint64(1))
        size = (np.bitwise_count(lowest - np.uint64(1)) >> 3).astype(np.int64) + 1
        word &= (lowest << np.uint64(1)) - np.uint64(1)
        word &= ~HIGH_BITS
        for low, bits in _CLOSING:
            word = (word & low) | ((word & ~low) >> bits)
        endless = np.flatnonzero(stop == 0)
        if endless.size:
            word[endless], size[endless] = self._longest(at[endless])
        return word, size

    def _longest(self, at: Integers) -> tuple[Unsigned, Integers]:
        """The same for more than eight bytes, byte by byte; without an end: beyond every record."""
        byte = self.body[at]
        raw = (byte & 127).astype(np.uint64)
        after = at + 1
        more, shift = np.arange(len(at)), 7
        while more.size and shift < 7 * VARINT_BYTES_MAX:
            byte = self.body[after[more]]
            raw[more] |= (byte & 127).astype(np.uint64) << np.uint64(shift)
            after[more] += 1
            more = more[byte > 127]
            shift += 7
        after[more] = self.body.size
        return raw, after - at

    def fixed(self, at: Integers, dtype: str, width: int) -> tuple[Any, Integers]:
        """Little-endian numbers of `width` bytes."""
        return window(self.body, dtype)[at], at + width


def decode(
    schema: WriterSchema, steps: Sequence[Step], messages: Joined, rows: Integers
) -> Records:
    """Columns of messages that all have this flat writer schema; `rows` are their places."""
    cursor = _Cursor(messages)
    numbers: dict[str, Numbers] = {}
    texts: dict[str, Texts] = {}
    for step in steps:
        begin = cursor.at
        if step.null_branch is None:
            present, which, at = None, None, cursor.at
        else:
            present = _union(cursor, step.null_branch)
            which = np.flatnonzero(present)
            at = cursor.at[which]
        if step.kind == "text":
            start, length = _text(cursor, at, which)
            after = start + length
        else:
            values, after = _number(cursor, step.kind, at, which)
        if which is None:
            cursor.at = after
        else:
            cursor.at[which] = after
        cursor.check()
        if step.kind == "text":
            start, length = _spread(start, present, which), _spread(length, present, which)
            texts[step.name] = Texts(start, length, begin, cursor.at, present)
        else:
            numbers[step.name] = Numbers(_spread(values, present, which), present)
    cursor.fail(cursor.at != cursor.end)
    if cursor.bad.any():
        texts = {name: _emptied(column, cursor) for name, column in texts.items()}
    return Records(
        record=schema.record,
        rows=rows,
        raw=messages.raw,
        body=cursor.body,
        row_start=messages.start,
        bad=cursor.bad,
        numbers=numbers,
        texts=texts,
        text_runs=text_runs(tuple(steps)),
    )


def _emptied(column: Texts, cursor: _Cursor) -> Texts:
    """The column with empty texts where the record is bad: positions there may point anywhere."""
    start, length, begin, end = (
        np.where(cursor.bad, nowhere, found)
        for found, nowhere in (
            (column.start, cursor.end),
            (column.length, 0),
            (column.begin, cursor.end),
            (column.end, cursor.end),
        )
    )
    return Texts(start, length, begin, end, column.present)


def _union(cursor: _Cursor, null_branch: int) -> Mask:
    """Reads the branches; a branch other than 0 and 1 marks the record as bad."""
    tag = cursor.body[cursor.at]
    cursor.at = cursor.at + 1
    present: Mask = tag == (2 if null_branch == 0 else 0)
    wrong = ~present & (tag != 2 * null_branch)
    if wrong.any():
        cursor.fail(wrong)
    # A record that already stands at its end has no tag of its own.
    cursor.check()
    return present & ~cursor.bad


def _text(cursor: _Cursor, at: Integers, which: Integers | None) -> tuple[Integers, Integers]:
    """(start, length) of the text behind its length."""
    length, start = cursor.varint(at)
    limit = cursor.end if which is None else cursor.end[which]
    # The length is compared, never added first: a hostile one would overflow.
    wrong = (length < 0) | (length > limit - start)
    if wrong.any():
        _fail_some(cursor, wrong, which)
        length = np.where(wrong, 0, length)
        start = np.where(wrong, limit, start)
    return start, length


def _number(
    cursor: _Cursor, kind: Kind, at: Integers, which: Integers | None
) -> tuple[Any, Integers]:
    if kind == "double":
        return cursor.fixed(at, "<f8", 8)
    if kind == "float":
        values, after = cursor.fixed(at, "<f4", 4)
        return values.astype(np.float64), after
    if kind == "boolean":
        values, after = cursor.body[at].astype(np.int64), at + 1
        wrong = values > 1
    else:
        values, after = cursor.varint(at)
        wrong = (
            (values != values.astype(np.int32))
            if kind == "int"
            else np.zeros(len(values), np.bool_)
        )
    if wrong.any():
        _fail_some(cursor, wrong, which)
    return values, after


def _fail_some(cursor: _Cursor, wrong: Mask, which: Integers | None) -> None:
    rows = wrong
    if which is not None:
        rows = np.zeros(len(cursor.bad), np.bool_)
        rows[which[wrong]] = True
    cursor.bad |= rows


def _spread(values: Any, present: Mask | None, which: Integers | None) -> Any:
    """Values of the present ones in their places, 0 elsewhere."""
    if present is None:
        return values
    spread = np.zeros(len(present), values.dtype)
    spread[which] = values
    return spread


@cache
def text_runs(steps: tuple[Step, ...]) -> tuple[tuple[str, ...], ...]:
    """Names of text fields that stand next to each other, in the writer's order."""
    return tuple(_runs(steps))


def _runs(steps: tuple[Step, ...]) -> Iterator[tuple[str, ...]]:
    run: list[str] = []
    for step in steps:
        if step.kind == "text":
            run.append(step.name)
        elif run:
            yield tuple(run)
            run = []
    if run:
        yield tuple(run)
