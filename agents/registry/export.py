"""The registry as a file that `rheostat registry apply` takes: exporting and applying it again
changes nothing. API keys are left out: a file is no place for them, hashed or not. So are datasets,
which are exported with their cases."""

import dataclasses
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson
import yaml

from agents.registry.file import LISTS
from schemas.entities import Entity
from streams.registry_view import RegistrySnapshot

Document = Mapping[str, list[dict[str, Any]]]


def export(registry: RegistrySnapshot, org_id: str | None = None) -> Document:
    """The lists of a registry file, each in order of keys; None: of all organisations.

    Fields that have their default value are left out.
    """
    document = {}
    for name, cls in LISTS.items():
        found = sorted(registry.entities(cls), key=lambda e: e.key)
        rows = [plain(e) for e in found if org_id is None or e.org_id == org_id]
        if rows:
            document[name] = rows
    return document


def to_yaml(document: Document) -> str:
    """YAML that people can read and change."""
    if not document:
        return "{}\n"
    text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)
    return text


def to_json(document: Document) -> str:
    """JSON with times in ISO 8601. `apply` reads it too: JSON is YAML."""
    options = orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE
    return orjson.dumps(document, option=options).decode()


def plain(entity: Entity) -> dict[str, Any]:
    """An entity as lists, mappings, texts, numbers and times, without defaults."""
    fields: dict[str, Any] = _plain(entity)
    return fields


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {
            f.name: _plain(found)
            for f in dataclasses.fields(value)
            if (found := getattr(value, f.name)) != f.default or f.default is dataclasses.MISSING
        }
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    assert value is None or isinstance(value, str | int | float | bool | datetime)
    return value
