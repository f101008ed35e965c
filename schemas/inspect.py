"""Looking into bytes that could not be decoded: field by field, as far as they go. Pure."""

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import fastavro

from schemas.catalog import SchemaCatalog
from schemas.errors import MalformedMessage
from schemas.wire import HEADER_BYTES, NOT_AVRO, schema_id_of


@dataclass(frozen=True, slots=True)
class Inspected:
    """What bytes say. `whole`: they are exactly one value of a schema that is known, whatever its
    fields hold; else `fields` are those before the place where it breaks, which may be nonsense.

    `broken_at`: the field that does not fit; None when nothing is wrong with the bytes, or nothing
    could be tried. `left_bytes`: how many follow what was decoded.
    """

    schema_id: int | None = None
    record: str | None = None
    fields: Mapping[str, Any] | None = None
    whole: bool = False
    broken_at: str | None = None
    left_bytes: int = 0

    @property
    def org_id(self) -> str | None:
        """The organisation they name, if they can be trusted to say so: as a whole."""
        found = self.fields.get("org_id") if self.whole and self.fields else None
        return found if isinstance(found, str) and found else None


def inspect(payload: bytes, catalog: SchemaCatalog) -> Inspected:
    """As its writer's schema says. Raises RegistryUnavailable."""
    try:
        schema_id = schema_id_of(payload)
    except MalformedMessage:
        return Inspected(left_bytes=len(payload))
    writer = catalog.by_id(schema_id)
    if writer is None:
        return Inspected(schema_id, left_bytes=len(payload) - HEADER_BYTES)
    body = io.BytesIO(payload)
    body.seek(HEADER_BYTES)
    fields: dict[str, Any] = {}
    broken_at = None
    for name, schema in _fields(writer.parsed):
        begin = body.tell()
        try:
            fields[name] = fastavro.schemaless_reader(body, schema, None)
        except NOT_AVRO:
            broken_at = name
            body.seek(begin)
            break
    left = len(payload) - body.tell()
    whole = broken_at is None and left == 0
    return Inspected(schema_id, writer.record, fields, whole, broken_at, left)


def _fields(parsed: Any) -> Iterator[tuple[str, Any]]:
    """Each field's name and a schema that stands alone: names that it refers to are put in."""
    named: dict[str, Any] = {}
    for field in parsed["fields"]:
        yield field["name"], _alone(field["type"], named, set())


def _alone(schema: Any, named: dict[str, Any], inside: set[str]) -> Any:
    if isinstance(schema, list):
        return [_alone(branch, named, inside) for branch in schema]
    if isinstance(schema, str):
        return named[schema] if schema in named and schema not in inside else schema
    if schema["type"] == "array":
        return {**schema, "items": _alone(schema["items"], named, inside)}
    if schema["type"] == "map":
        return {**schema, "values": _alone(schema["values"], named, inside)}
    if schema["type"] in ("record", "enum", "fixed"):
        named[schema["name"]] = schema
    return schema
