"""Other versions of InferenceEvent: what older, newer and foreign writers send."""

import io
from collections.abc import Mapping
from typing import Any

import fastavro

from schemas.catalog import FileCatalog, WriterSchema, committed, writer_schema

SOURCE: Mapping[str, Any] = committed().newest("InferenceEvent").source
FIELDS: list[dict[str, Any]] = SOURCE["fields"]


def version(schema_id: int, fields: list[dict[str, Any]], number: int = 0) -> WriterSchema:
    """A schema of InferenceEvent with these fields; `number` above 1: readers take it as newest."""
    return writer_schema(schema_id, number, {**SOURCE, "fields": fields})


def _typed(field: Mapping[str, Any], kind: str) -> dict[str, Any]:
    return {"name": field["name"], "type": kind}


OLDER = version(200, [f for f in FIELDS if f["name"] not in {"quality", "arm", "cost_usd"}])
NEWER = version(
    201,
    [
        *FIELDS,
        {"name": "region", "type": ["null", "string"], "default": None},
        {"name": "retries", "type": "int", "default": 0},
    ],
)
NARROW = {"latency_ms": "float", "quality": "int"}
NARROWER = version(
    202, [_typed(f, NARROW[f["name"]]) if f["name"] in NARROW else f for f in reversed(FIELDS)]
)
NESTED = version(203, [{"name": "tags", "type": {"type": "array", "items": "string"}}, *FIELDS])
FOREIGN = version(204, [_typed(f, "string") for f in FIELDS])
CATALOG = FileCatalog(
    {
        **committed().schemas,
        **{s.schema_id: s for s in (OLDER, NEWER, NARROWER, NESTED, FOREIGN)},
    }
)


def encode(schema: WriterSchema, value: Mapping[str, Any]) -> bytes:
    """The message of a value under this writer schema."""
    out = io.BytesIO()
    out.write(b"\x00" + schema.schema_id.to_bytes(4, "big"))
    fastavro.schemaless_writer(out, schema.parsed, dict(value))
    return out.getvalue()
