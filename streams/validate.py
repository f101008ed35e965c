"""Which decoded records may be counted. Pure; the time a record is held against is the broker's.

Both lanes run this over the same bytes and must agree whenever they run, so no clock is asked: a
record's time is compared with the timestamp of its message.
"""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from schemas.reasons import MAX_AHEAD_MS, MAX_TEXT_BYTES, Reason
from streams.columns import HIGH_BITS, Bytes, Integers, Mask, Records, utf8, window
from streams.rules import CUSTOM_METRIC, CUSTOM_VALUE, RESERVED_METRICS, RULES, Range, Rules
from streams.types import InvalidRecord, RawBatch

Finding = tuple[Mask, Reason, str, Callable[[int], str]]
"""Records at fault, why, the field, and the text for one of them."""
SHOWN_CHARACTERS = 80
LENGTH_ASCII = 64
"""Avro writes lengths below this as one byte below 128."""
PIECE_MAX = 128
"""Longer pieces are rare and go through the general check."""


@dataclass(frozen=True, slots=True)
class Validity:
    """`valid` marks the records that count; what the decoder rejected is not rejected again."""

    valid: Mask
    rejects: list[InvalidRecord]


def validate(records: Records, batch: RawBatch, retention_ms: int) -> Validity:
    """Every record with its first fault, in the order of the rules."""
    rules = RULES[records.record]
    wrong = records.bad.copy()
    rejects: list[InvalidRecord] = []
    for mask, reason, field, describe in _findings(records, rules, batch, retention_ms):
        if not mask.any():
            continue
        for i in np.flatnonzero(mask & ~wrong).tolist():
            row = int(records.rows[i])
            rejects.append(InvalidRecord(row, reason, f"{field} {describe(i)}", field))
        wrong |= mask
    return Validity(~wrong, rejects)


def _findings(
    records: Records, rules: Rules, batch: RawBatch, retention_ms: int
) -> Iterator[Finding]:
    for field in (*rules.required, *rules.optional):
        yield from _text_findings(records, field, field in rules.required)
    yield from _utf8_findings(records)
    for field, limits in rules.ranges.items():
        yield from _range_findings(records, field, limits)
    for field in rules.times:
        yield from _time_findings(records, field, batch, retention_ms)
    if rules.metric is not None:
        yield _metric_finding(records, rules.metric)
    if records.nested:
        yield from _score_findings(records)


def _text_findings(records: Records, field: str, required: bool) -> Iterator[Finding]:
    column = records.texts[field]
    empty: Mask = column.length == 0
    if column.present is not None and not required:
        empty &= column.present
    yield empty, Reason.MISSING_TEXT, field, lambda _: "is empty"
    long: Mask = column.length > MAX_TEXT_BYTES
    yield (
        long,
        Reason.TEXT_TOO_LONG,
        field,
        lambda i: f"has {column.length[i]} bytes; at most {MAX_TEXT_BYTES} are taken",
    )


def _utf8_findings(records: Records) -> Iterator[Finding]:
    """Texts that stand side by side are checked in one piece, and apart only where that fails.

    Most pieces are ASCII, which is the quickest to see.

    The piece holds the lengths and union branches between the texts too. A length below
    LENGTH_ASCII is one ASCII character and hides nothing; records with a longer text are looked at
    field by field.
    """
    for run in records.text_runs:
        known = [name for name in run if name in records.texts]
        suspects = _suspects(records, known)
        if not len(suspects):
            continue
        for field in known:
            text = records.text(field, suspects)
            present = records.texts[field].present
            absent = np.zeros(len(suspects), np.bool_) if present is None else ~present[suspects]
            broken = np.zeros(len(records), np.bool_)
            broken[suspects] = text.is_null().to_numpy() & ~absent
            yield broken, Reason.BAD_UTF8, field, lambda _: "is not UTF-8"


def _suspects(records: Records, names: list[str]) -> Integers:
    """Records whose texts, taken in one piece, are not UTF-8; bad records are left out."""
    columns = [records.texts[name] for name in names]
    good = ~records.bad
    if all(c.present is not None for c in columns):
        good &= np.logical_or.reduce([c.present for c in columns if c.present is not None])
    at = np.flatnonzero(good)
    begin, end = columns[0].begin[at], columns[-1].end[at]
    suspect = np.logical_or.reduce([c.length[at] >= LENGTH_ASCII for c in columns])
    other = np.flatnonzero(~_ascii(records.body, begin, end))
    if len(other):
        pieces = utf8(records.slices(begin[other], (end - begin)[other], at[other]))
        suspect[other] |= pieces.is_null().to_numpy()
    return at[suspect]


def _ascii(body: Bytes, begin: Integers, end: Integers) -> Mask:
    """Pieces of 8 to PIECE_MAX bytes that are all below 128; eight bytes at a time.

    The last eight overlap those before, so that nothing outside of a piece is looked at.
    """
    size = end - begin
    fits: Mask = (size >= 8) & (size <= PIECE_MAX)
    if not fits.any():
        return fits
    first, last = np.where(fits, begin, 0), np.where(fits, end - 8, 0)
    eight = window(body, "<u8")
    high = eight[last]
    for shift in range(0, int(size[fits].max()) - 8, 8):
        high |= eight[np.minimum(first + shift, last)]
    low: Mask = (high & HIGH_BITS) == 0
    return fits & low


def _range_findings(records: Records, field: str, limits: Range) -> Iterator[Finding]:
    column = records.numbers[field]
    values = column.values
    present = True if column.present is None else column.present
    if values.dtype == np.float64:
        finite = np.isfinite(values)
        yield ~finite & present, Reason.NOT_FINITE, field, lambda i: f"is {values[i]}"
    low = values <= limits.low if limits.above else values < limits.low
    outside: Mask = (low | (values > limits.high)) & present
    opening = "above" if limits.above else "from"
    yield (
        outside,
        Reason.OUT_OF_RANGE,
        field,
        lambda i: f"is {values[i]:g}; it must be {opening} {limits.low:g} to {limits.high:g}",
    )


def _time_findings(
    records: Records, field: str, batch: RawBatch, retention_ms: int
) -> Iterator[Finding]:
    times = records.numbers[field].values
    # Only a record outside the narrowest bounds needs the timestamp of its own message.
    near = (times <= batch.oldest_ms + MAX_AHEAD_MS) & (times >= batch.newest_ms - retention_ms)
    future, old = np.zeros((2, len(times)), np.bool_)
    arrived = times.copy()
    for i in np.flatnonzero(~near & ~records.bad):
        arrived[i] = batch.locate(int(records.rows[i])).timestamp_ms
        future[i] = times[i] > arrived[i] + MAX_AHEAD_MS
        old[i] = times[i] < arrived[i] - retention_ms
    yield (
        future,
        Reason.FUTURE_TIME,
        field,
        lambda i: (
            f"is {int(times[i]) - int(arrived[i])} ms ahead of its arrival; at most {MAX_AHEAD_MS}"
        ),
    )
    yield (
        old,
        Reason.TOO_OLD,
        field,
        lambda i: (
            f"is {int(arrived[i]) - int(times[i])} ms before its arrival; at most {retention_ms}"
        ),
    )


def _metric_finding(records: Records, field: str) -> Finding:
    names = records.text(field)
    taken = names.str.contains(CUSTOM_METRIC) & ~names.is_in(list(RESERVED_METRICS))
    wrong: Mask = ~taken.fill_null(False).to_numpy()
    return (
        wrong,
        Reason.BAD_METRIC,
        field,
        lambda i: (
            f"is {str(names[i])[:SHOWN_CHARACTERS]!r}; a name matches {CUSTOM_METRIC} and is none "
            f"of {', '.join(RESERVED_METRICS)}"
        ),
    )


def _score_findings(records: Records) -> Iterator[Finding]:
    """The scores inside evaluation results: what holds for feedback holds for them."""
    named, finite, inside = np.ones((3, len(records)), np.bool_)
    for i, value in enumerate(records.nested):
        for score in value.get("scores", ()):
            name, number = score["metric"], score["value"]
            named[i] &= bool(re.fullmatch(CUSTOM_METRIC, name)) and name not in RESERVED_METRICS
            finite[i] &= number is None or math.isfinite(number)
            inside[i] &= number is None or CUSTOM_VALUE.low <= number <= CUSTOM_VALUE.high
    yield ~named, Reason.BAD_METRIC, "scores", lambda _: f"names a metric not like {CUSTOM_METRIC}"
    yield ~finite, Reason.NOT_FINITE, "scores", lambda _: "holds a value that is no finite number"
    limits = f"{CUSTOM_VALUE.low:g} to {CUSTOM_VALUE.high:g}"
    yield ~inside, Reason.OUT_OF_RANGE, "scores", lambda _: f"holds a value not from {limits}"
