"""The wire codec: Avro in the Confluent format (0x00, 4-byte big-endian schema id, body)."""

import io
import json
import struct
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any, NamedTuple, Protocol

import fastavro

from rheostat_client.errors import MalformedMessage, UnknownSchema

HEADER = struct.Struct(">bI")
SHOWN_BYTES = 16


class WriterSchema(NamedTuple):
    """One version of a record's schema under its id on this Kafka."""

    schema_id: int
    record: str
    version: int
    source: Mapping[str, Any]
    parsed: Any


class Schemas(Protocol):
    """Where schemas come from: this package, or a schema registry."""

    def by_id(self, schema_id: int) -> WriterSchema:
        """Raises UnknownSchema, RegistryUnavailable."""
        ...

    def newest(self, record: str) -> WriterSchema:
        """The version that we write. Raises UnknownSchema, RegistryUnavailable."""
        ...


class PackagedSchemas:
    """The schemas that came with this package, under the ids of Rheostat without a registry."""

    def __init__(self, schemas: Mapping[int, WriterSchema]) -> None:
        self._by_id = schemas

    def by_id(self, schema_id: int) -> WriterSchema:
        found = self._by_id.get(schema_id)
        if found is None:
            raise UnknownSchema(
                f"schema id {schema_id} is not known to this version of rheostat-client: update it"
            )
        return found

    def newest(self, record: str) -> WriterSchema:
        versions = [s for s in self._by_id.values() if s.record == record]
        if not versions:
            raise UnknownSchema(f"this package has no schema for {record}")
        return max(versions, key=lambda s: s.version)


def writer_schema(schema_id: int, version: int, source: Mapping[str, Any]) -> WriterSchema:
    """Parses `source` in a namespace of its own, so that versions do not see each other."""
    parsed = fastavro.parse_schema(dict(source), named_schemas={})
    return WriterSchema(schema_id, source["name"], version, source, parsed)


@cache
def packaged() -> PackagedSchemas:
    """The schemas of this package."""
    folder = resources.files("rheostat_client") / "schemas"
    ids = json.loads((folder / "ids.json").read_text())
    return PackagedSchemas(
        {
            int(key): writer_schema(
                int(key), entry["version"], json.loads((folder / entry["file"]).read_text())
            )
            for key, entry in ids.items()
        }
    )


def encode(schema: WriterSchema, value: Mapping[str, Any]) -> bytes:
    """The message. Raises MalformedMessage when the value does not fit the schema."""
    out = io.BytesIO()
    out.write(HEADER.pack(0, schema.schema_id))
    try:
        fastavro.schemaless_writer(out, schema.parsed, value)
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise MalformedMessage(f"the value does not fit {schema.record}: {error!r}") from error
    return out.getvalue()


def decode(payload: bytes, record: str, schemas: Schemas) -> dict[str, Any]:
    """The value as its writer wrote it; newer versions may hold fields that we do not know.

    Raises UnknownSchema, MalformedMessage, RegistryUnavailable.
    """
    if len(payload) < HEADER.size or payload[0] != 0:
        raise MalformedMessage(f"not in the wire format: {payload[:SHOWN_BYTES]!r}")
    writer = schemas.by_id(HEADER.unpack_from(payload)[1])
    if writer.record != record:
        raise MalformedMessage(f"expected {record}, found {writer.record}")
    body = io.BytesIO(payload)
    body.seek(HEADER.size)
    try:
        value = fastavro.schemaless_reader(body, writer.parsed, None)
    except (ValueError, TypeError, IndexError, EOFError, OverflowError, StopIteration) as error:
        raise MalformedMessage(f"the body is not {record}: {error!r}") from error
    if body.tell() != len(payload) or not isinstance(value, dict):
        raise MalformedMessage(f"the body is longer than its {record}")
    return value
