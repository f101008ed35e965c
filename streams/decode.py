"""The one crossing from messages to columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from schemas.catalog import SchemaCatalog, WriterSchema
from schemas.compatibility import obstacle
from schemas.reasons import MAX_VALUE_BYTES, Reason
from schemas.wire import HEADER_BYTES, MAGIC
from streams import avro, avro_rows
from streams.columns import Integers, Joined, Mask, Numbers, Records, Texts, join, window
from streams.packed import Packed
from streams.types import InvalidRecord, RawBatch


@dataclass(frozen=True, slots=True)
class Decoded:
    """Columns by writer schema, and the records that could not be read."""

    records: Sequence[Records]
    rejects: Sequence[InvalidRecord]


def decode(batch: RawBatch, record: str, catalog: SchemaCatalog) -> Decoded:
    """Every message of the batch, whatever known writer schemas it mixes.

    `record`: what belongs on this topic. Raises RegistryUnavailable when a schema registry has to
    be asked and does not answer.
    """
    rejects: list[InvalidRecord] = []
    rows, messages = _with_value(batch, rejects)
    if not len(rows):
        return Decoded((), rejects)
    ids, known = _schema_ids(messages)
    for i in np.flatnonzero(~known):
        start = messages.raw[int(i)][:8].hex(" ")
        text = f"the value starts with {start}, not with byte 00 and a schema id"
        rejects.append(InvalidRecord(int(rows[i]), Reason.NOT_WIRE_FORMAT, text))
    records, reader = [], catalog.newest(record)
    for schema_id in _distinct(ids[known]):
        at = np.flatnonzero(known & (ids == schema_id))
        writer = catalog.by_id(schema_id)
        wrong = _wrong_schema(schema_id, writer, reader)
        if writer is None or wrong is not None:
            rejects += [replace(wrong, row=int(r)) for r in rows[at] if wrong is not None]
            continue
        part = messages if len(at) == len(rows) else messages.pick(at)
        records.append(_columns(writer, reader, part, rows[at]))
    for part_records in records:
        rejects += _malformed(part_records)
    return Decoded(records, rejects)


def _schema_ids(messages: Joined) -> tuple[Integers, Mask]:
    """(schema id of every message, whether it has one): magic byte, then four bytes, big-endian."""
    head = window(messages.body, "<u8")[messages.start]
    ids = (head >> np.uint64(8)).astype(np.uint32).byteswap()
    known: Mask = (head & np.uint64(0xFF)) == MAGIC
    known &= messages.end - messages.start >= HEADER_BYTES
    return ids.astype(np.int64), known


def _distinct(ids: Integers) -> list[int]:
    if len(ids) and (ids == ids[0]).all():
        return [int(ids[0])]
    return [int(i) for i in np.unique(ids)]


def _with_value(batch: RawBatch, rejects: list[InvalidRecord]) -> tuple[Integers, Joined]:
    """The messages that hold something of a size we take, and their places in the batch."""
    rows = np.arange(len(batch.values))
    if isinstance(batch.values, Packed):
        messages = batch.values.joined
    else:
        messages = join([value or b"" for value in batch.values])
    length = messages.end - messages.start
    taken = (length > 0) & (length <= MAX_VALUE_BYTES)
    if taken.all():
        return rows, messages
    for i in np.flatnonzero(~taken).tolist():
        if length[i]:
            text = f"the value has {length[i]} bytes; at most {MAX_VALUE_BYTES} are taken"
            rejects.append(InvalidRecord(i, Reason.OVERSIZED, text))
        else:
            text = "the value is null" if batch.values[i] is None else "the value has no bytes"
            rejects.append(InvalidRecord(i, Reason.EMPTY_VALUE, text))
    at = np.flatnonzero(taken)
    return rows[at], messages.pick(at)


def _wrong_schema(
    schema_id: int, writer: WriterSchema | None, reader: WriterSchema
) -> InvalidRecord | None:
    if writer is None:
        return InvalidRecord(-1, Reason.UNKNOWN_SCHEMA, f"schema id {schema_id} is not known")
    if writer.record != reader.record:
        text = f"schema id {schema_id} is {writer.record}; this topic holds {reader.record}"
        return InvalidRecord(-1, Reason.WRONG_RECORD, text)
    why = obstacle(writer.source, reader.source)
    if why is not None:
        text = f"schema id {schema_id} of {writer.record} cannot be read with ours {why}"
        return InvalidRecord(-1, Reason.INCOMPATIBLE_SCHEMA, text)
    return None


def _columns(
    writer: WriterSchema, reader: WriterSchema, messages: Joined, rows: Integers
) -> Records:
    steps = avro.plan(writer)
    if steps is None:
        return avro_rows.decode(writer, reader, messages, rows)
    wrote = {step.name for step in steps}
    absent = [f for f in reader.source["fields"] if f["name"] not in wrote]
    if any(isinstance(f["default"], str) and f["default"] for f in absent):
        # A text stands in the record's bytes, and these bytes do not hold it.
        return avro_rows.decode(writer, reader, messages, rows)
    return _with_defaults(avro.decode(writer, steps, messages, rows), absent)


def _with_defaults(records: Records, absent: Sequence[Mapping[str, Any]]) -> Records:
    """Adds the reader's fields that the writer did not know: each holds its default."""
    if not absent:
        return records
    size = len(records)
    zeros, nothing = np.zeros(size, np.int64), np.zeros(size, np.bool_)
    texts, numbers = dict(records.texts), dict(records.numbers)
    for field in absent:
        step, default = avro.step(field["name"], field["type"]), field["default"]
        present = nothing if default is None else None
        if step is not None and step.kind == "text":
            texts[step.name] = Texts(zeros, zeros, zeros, zeros, present)
        elif step is not None:
            filled: Any = np.full(size, default or 0, np.float64 if step.real else np.int64)
            numbers[step.name] = Numbers(filled, present)
    return replace(records, texts=texts, numbers=numbers)


def _malformed(records: Records) -> list[InvalidRecord]:
    text = f"the body is not {records.record}: cut short, with bytes left over, or a wrong branch"
    return [
        records.faults.get(i) or InvalidRecord(int(records.rows[i]), Reason.MALFORMED_BODY, text)
        for i in np.flatnonzero(records.bad).tolist()
    ]
