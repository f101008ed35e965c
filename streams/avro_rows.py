"""Avro bodies to columns one by one: for nested records, which are rare (evaluation results)."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import fastavro
import numpy as np

from schemas.catalog import WriterSchema
from schemas.reasons import Reason
from schemas.wire import HEADER_BYTES, NOT_AVRO
from streams.columns import Integers, Joined, Numbers, Records, Texts, join
from streams.types import InvalidRecord

SHOWN_BYTES = 80


def decode(writer: WriterSchema, reader: WriterSchema, messages: Joined, rows: Integers) -> Records:
    """Columns of the reader's flat fields; the whole records stand in `nested`."""
    plain_writer, plain_reader = (_plain(s.source) for s in (writer, reader))
    nested, faults, malformed = [], {}, []
    for i, raw in enumerate(messages.raw):
        value: dict[str, Any] | None = None
        try:
            value = _one(raw, plain_writer, plain_reader)
        except UnicodeDecodeError as error:
            text = f"a text is not UTF-8: {error.object[:SHOWN_BYTES]!r}"
            faults[i] = InvalidRecord(int(rows[i]), Reason.BAD_UTF8, text)
        malformed.append(value is None)
        nested.append(value or {})
    kinds = {f["name"]: _kind(f["type"]) for f in reader.source["fields"]}
    text_names = [name for name, kind in kinds.items() if kind == "text"]
    joined, texts = _texts(nested, text_names)
    return Records(
        record=reader.record,
        rows=rows,
        raw=joined.raw,
        body=joined.body,
        row_start=joined.start,
        bad=np.array(malformed, np.bool_),
        numbers={
            name: _numbers([value.get(name) for value in nested], kind)
            for name, kind in kinds.items()
            if kind in {"integer", "double"}
        },
        texts=texts,
        text_runs=[(name,) for name in text_names],
        nested=nested,
        faults=faults,
    )


def _plain(source: Any) -> Any:
    """The schema without logical types: timestamps stay integers."""
    if isinstance(source, Mapping):
        kept = {k: _plain(v) for k, v in source.items() if k not in {"logicalType", "doc"}}
        return fastavro.parse_schema(kept, named_schemas={}) if "fields" in kept else kept
    if isinstance(source, list):
        return [_plain(part) for part in source]
    return source


def _one(raw: bytes, writer: Any, reader: Any) -> dict[str, Any] | None:
    """The record, None when the bytes do not fit. Raises UnicodeDecodeError."""
    body = io.BytesIO(raw)
    body.seek(HEADER_BYTES)
    try:
        value = fastavro.schemaless_reader(body, writer, reader)
    except UnicodeDecodeError:
        raise
    except NOT_AVRO:
        return None
    return value if body.tell() == len(raw) and isinstance(value, dict) else None


def _kind(avro_type: Any) -> str:
    if isinstance(avro_type, list):
        kinds = {_kind(branch) for branch in avro_type if branch != "null"}
        return kinds.pop() if len(kinds) == 1 else "nested"
    if isinstance(avro_type, Mapping):
        avro_type = avro_type["type"]
    return {
        "string": "text",
        "int": "integer",
        "long": "integer",
        "boolean": "integer",
        "double": "double",
        "float": "double",
    }.get(avro_type, "nested")


def _numbers(values: Sequence[Any], kind: str) -> Numbers:
    dtype = np.float64 if kind == "double" else np.int64
    present = np.array([value is not None for value in values], np.bool_)
    filled = [0 if value is None else value for value in values]
    column: Any = np.array(filled, dtype)
    return Numbers(column, None if present.all() else present)


def _texts(
    nested: Sequence[Mapping[str, Any]], names: Sequence[str]
) -> tuple[Joined, dict[str, Texts]]:
    """All texts of a record side by side, as if they were its bytes."""
    encoded = [[(value.get(name) or "").encode() for name in names] for value in nested]
    joined = join([b"".join(parts) for parts in encoded])
    length = np.array([[len(p) for p in parts] for parts in encoded], np.int64)
    length = length.reshape(len(nested), len(names))
    before = np.cumsum(length, axis=1) - length
    texts = {}
    for i, name in enumerate(names):
        present = np.array([value.get(name) is not None for value in nested], np.bool_)
        start = joined.start + before[:, i]
        end = start + length[:, i]
        texts[name] = Texts(start, length[:, i], start, end, None if present.all() else present)
    return joined, texts
