"""Which schemas exist, by id and by record: the committed list, or a schema registry's."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any, Protocol

import fastavro

from schemas.errors import UnknownSchema


@dataclass(frozen=True, slots=True)
class WriterSchema:
    """One version of a record's schema. `source` is the JSON, `parsed` fastavro's form of it."""

    schema_id: int
    record: str
    version: int
    source: Mapping[str, Any]
    parsed: Any = field(repr=False, compare=False)


class SchemaCatalog(Protocol):
    """Where schemas come from. Both lookups are cached; `by_id` may ask a registry once an id."""

    def by_id(self, schema_id: int) -> WriterSchema | None:
        """The schema, or None when nobody registered it.

        Raises RegistryUnavailable when a registry could not be asked.
        """
        ...

    def newest(self, record: str) -> WriterSchema:
        """The version that we write. Raises UnknownSchema."""
        ...


@dataclass(frozen=True, slots=True)
class FileCatalog:
    """The committed schemas: schemas/ids.json, which only grows."""

    schemas: Mapping[int, WriterSchema]

    def by_id(self, schema_id: int) -> WriterSchema | None:
        return self.schemas.get(schema_id)

    def newest(self, record: str) -> WriterSchema:
        versions = self.versions(record)
        if not versions:
            raise UnknownSchema(f"no schema for a record named {record}")
        return versions[-1]

    def versions(self, record: str) -> list[WriterSchema]:
        """Every version of a record, oldest first."""
        found = [s for s in self.schemas.values() if s.record == record]
        return sorted(found, key=lambda s: s.version)


def writer_schema(schema_id: int, version: int, source: Mapping[str, Any]) -> WriterSchema:
    """Parses `source` in a namespace of its own, so that versions do not see each other."""
    parsed = fastavro.parse_schema(dict(source), named_schemas={})
    record = str(source["name"]).rpartition(".")[2]
    return WriterSchema(schema_id, record, version, source, parsed)


@cache
def committed() -> FileCatalog:
    """The catalogue of this checkout."""
    folder = resources.files("schemas")
    ids = json.loads((folder / "ids.json").read_text())
    return FileCatalog(
        {
            int(key): writer_schema(
                int(key), entry["version"], json.loads((folder / entry["file"]).read_text())
            )
            for key, entry in ids.items()
        }
    )
