"""How messages become rows of a table. Pure functions."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from schemas.catalog import SchemaCatalog
from schemas.errors import MalformedMessage, UnknownSchema
from schemas.wire import Codec, schema_id_of
from sinks.errors import SinkBroken
from streams.avro import step
from streams.columns import Records
from streams.decode import decode
from streams.partials import Columns, columns_of, merge, tidy_rows
from streams.runs import arrow, flat, offsets_of
from streams.types import RawBatch
from streams.validate import validate

UTC_MS = pl.Datetime("ms", "UTC")
Rows = Callable[["Messages"], pa.Table]


@dataclass(frozen=True, slots=True)
class Messages:
    """A batch of one partition. `offsets[i]` and `keys[i]` belong to raw.values[i].

    `skip` is told the offset of every message that becomes no row because it is none of ours, and
    why.
    """

    raw: RawBatch
    partition: int
    offsets: Sequence[int]
    keys: Sequence[bytes | None]
    catalog: SchemaCatalog
    retention_ms: int
    skip: Callable[[int, str], None]


def event_rows(record: str, times: Sequence[str]) -> Rows:
    """Rows of a hot topic: decoded and validated by the data lane's code, rejects left out."""

    def rows(messages: Messages) -> pa.Table:
        decoded = decode(messages.raw, record, messages.catalog)
        frames = []
        for part in decoded.records:
            valid = validate(part, messages.raw, messages.retention_ms).valid
            at = np.flatnonzero(valid)
            if len(at):
                frames.append(_frame(part, at, messages, times))
        return table_of(pl.concat(frames)) if frames else pa.table({})

    return rows


def _frame(
    records: Records, at: np.ndarray[Any, Any], messages: Messages, times: Sequence[str]
) -> pl.DataFrame:
    kinds = {
        f["name"]: _COLUMN[kind.kind]
        for f in messages.catalog.newest(records.record).source["fields"]
        if (kind := step(f["name"], f["type"])) is not None
    }
    frame = records.frame(at)
    # Writers of other versions may have narrower numbers.
    frame = frame.select(pl.col(name).cast(kind) for name, kind in kinds.items()).with_columns(
        *(pl.col(name).cast(pl.Int64).cast(UTC_MS) for name in times),
        pl.col("ab_test_id", "arm").fill_null(""),
        src_partition=pl.lit(messages.partition, dtype=pl.UInt32),
        src_offset=pl.Series(np.asarray(messages.offsets)[records.rows[at]], dtype=pl.UInt64),
    )
    if records.record == "CaseResult":
        scores = [records.nested[i]["scores"] for i in at.tolist()]
        frame = frame.with_columns(*_nested("scores", scores, _SCORE))
        # Written before they had tags, results have none.
        tags = [records.nested[i].get("tags", []) for i in at.tolist()]
        frame = frame.with_columns(
            pl.col("passed", "cached", "rescored").cast(pl.Boolean),
            tags=pl.Series(tags, dtype=pl.List(pl.String)),
        )
    return frame


def partial_rows(messages: Messages) -> pa.Table:
    """All partials of the batch merged: one row a key."""
    frame = merge([tidy_rows(list(_partials(messages)))])
    if not frame.height:
        return pa.table({})
    table = table_of(frame.drop("bins", "counts").with_columns(pl.col("n").cast(pl.UInt64)))
    lengths, bins = flat(frame["bins"])
    _, counts = flat(frame["counts"])
    sketch = pa.MapArray.from_arrays(
        arrow(offsets_of(lengths)), arrow(bins.astype(np.int32)), arrow(counts.astype(np.uint64))
    )
    return table.append_column("sketch", sketch)


def _partials(messages: Messages) -> Iterator[Columns]:
    """What can be none of ours is skipped. What may be ours and cannot be read stops the sink:

    skipping it would lose counts without a trace.
    """
    codec = Codec(messages.catalog)
    for offset, value in zip(messages.offsets, messages.raw.values, strict=True):
        foreign = _foreign(value, "MetricPartials", messages.catalog)
        if value is None or foreign is not None:
            messages.skip(offset, foreign or "the value is null")
            continue
        try:
            yield columns_of(codec.decode(value, "MetricPartials"))
        except (MalformedMessage, UnknownSchema, pl.exceptions.PolarsError) as error:
            raise SinkBroken(
                f"{messages.raw.topic}[{messages.partition}] offset {offset} cannot be read: "
                f"{error}. A newer worker may have written it: upgrade the sinks first. If nothing "
                f"of ours did, stop the sinks and move their group to offset {offset + 1}."
            ) from error


def _foreign(value: bytes | None, record: str, catalog: SchemaCatalog) -> str | None:
    """Why no version of ours can have written this value, None when one may have."""
    try:
        writer = catalog.by_id(schema_id_of(value or b""))
    except MalformedMessage as error:
        return str(error)
    if writer is not None and writer.record != record:
        return f"it is {writer.record}, not {record}"
    return None


def decoded(messages: Messages, record: str) -> Iterator[tuple[int, Mapping[str, Any] | None]]:
    """(place in the batch, value) of what can be read; None for a tombstone. The rest is skipped:

    it stays in its topic, no count depends on it, and whoever may write there must not stop us.
    """
    codec = Codec(messages.catalog)
    for i, value in enumerate(messages.raw.values):
        try:
            yield i, None if value is None else codec.decode(value, record)
        except (MalformedMessage, UnknownSchema) as error:
            messages.skip(messages.offsets[i], str(error))


def control_rows(record: str, nested: Mapping[str, Mapping[str, Any]]) -> Rows:
    """Rows of a control topic: one a message, lists of records as parallel arrays."""

    def rows(messages: Messages) -> pa.Table:
        found = [(i, value) for i, value in decoded(messages, record) if value is not None]
        if not found:
            return pa.table({})
        values = [value for _, value in found]
        offsets = [messages.offsets[i] for i, _ in found]
        fields = messages.catalog.newest(record).source["fields"]
        columns = {
            f["name"]: pl.Series(f["name"], [v[f["name"]] for v in values], dtype=_dtype(f["type"]))
            for f in fields
            if f["name"] not in nested
        }
        frame = pl.DataFrame(columns).with_columns(
            *(
                s
                for name, kinds in nested.items()
                for s in _nested(name, [v[name] for v in values], kinds)
            ),
            src_partition=pl.lit(messages.partition, dtype=pl.UInt32),
            src_offset=pl.Series(offsets, dtype=pl.UInt64),
        )
        return table_of(frame)

    return rows


def _nested(name: str, lists: Sequence[Any], kinds: Mapping[str, Any]) -> list[pl.Series]:
    """A list of records as one list a field: ClickHouse's Nested columns."""
    return [
        pl.Series(
            f"{name}.{field}", [[item[field] for item in items] for items in lists], pl.List(kind)
        )
        for field, kind in kinds.items()
    ]


def _dtype(avro_type: Any) -> Any:
    if isinstance(avro_type, list):
        avro_type = next(branch for branch in avro_type if branch != "null")
    if isinstance(avro_type, Mapping):
        avro_type = avro_type.get("logicalType", avro_type["type"])
    return {
        "string": pl.String,
        "enum": pl.String,
        "bytes": pl.Binary,
        "double": pl.Float64,
        "int": pl.Int64,
        "long": pl.Int64,
        "boolean": pl.Boolean,
        "timestamp-millis": UTC_MS,
    }[avro_type]


def table_of(frame: pl.DataFrame) -> pa.Table:
    # ClickHouse does not read Arrow's string views.
    return frame.to_arrow(compat_level=pl.CompatLevel.oldest())


_COLUMN = {
    "text": pl.String,
    "int": pl.Int64,
    "long": pl.Int64,
    "double": pl.Float64,
    "float": pl.Float64,
    "boolean": pl.Int64,
}
"""Columns of flat fields before ClickHouse takes them, by how they are read."""
_SCORE = {
    "metric": pl.String,
    "value": pl.Float64,
    "label": pl.String,
    "explanation": pl.String,
    "scorer": pl.String,
    "scorer_version": pl.String,
}
