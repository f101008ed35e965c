"""Between the values of records.py and the plain mappings that Avro takes."""

import dataclasses
from collections.abc import Hashable, Mapping
from functools import cache
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from schemas.commands import RegistryCommand
from schemas.entities import ENTITIES, Entity
from schemas.errors import MalformedMessage
from schemas.records import ControlRecord, RegistryFact

T = TypeVar("T", bound=ControlRecord)
_BY_NAME = {cls.__name__: cls for cls in ENTITIES.values()}


@cache
def _adapter(cls: Any) -> TypeAdapter[Any]:
    return TypeAdapter(cls)


def to_record(value: ControlRecord) -> dict[str, Any]:
    """The mapping that the codec encodes. A union's branch is named, as Avro needs it."""
    record: dict[str, Any] = _plain(value)
    if isinstance(value, RegistryFact):
        record["entity"] = _branch(value.entity)
    elif isinstance(value, RegistryCommand):
        for change, plain in zip(value.changes, record["changes"], strict=True):
            plain["entity"] = None if change.entity is None else _branch(change.entity)
    return record


def from_record(cls: type[T], record: Mapping[str, Any]) -> T:
    """The value of a decoded mapping. Raises MalformedMessage with the field that is wrong."""
    try:
        if cls is RegistryFact:
            record = {**record, "entity": _entity(record["entity"])}
        elif cls is RegistryCommand:
            changes = [{**c, "entity": _entity_or_none(c["entity"])} for c in record["changes"]]
            record = {**record, "changes": changes}
        value: T = _adapter(cast(Hashable, cls)).validate_python(record)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise MalformedMessage(f"{error.title}.{where}: {first['msg']}") from error
    return value


@cache
def _fields(cls: Any) -> tuple[str, ...] | None:
    """None for what is no dataclass."""
    if not dataclasses.is_dataclass(cls):
        return None
    return tuple(field.name for field in dataclasses.fields(cls))


def _plain(value: Any) -> Any:
    """As dataclasses.asdict, which copies every single value and takes three times as long."""
    names = _fields(cast(Hashable, type(value)))
    if names is not None:
        return {name: _plain(getattr(value, name)) for name in names}
    if type(value) is tuple:
        return tuple([_plain(item) for item in value])
    if type(value) is dict:
        return {key: _plain(item) for key, item in value.items()}
    return value


def _branch(entity: Entity) -> tuple[str, dict[str, Any]]:
    return f"rheostat.{type(entity).__name__}", dataclasses.asdict(entity)


def _entity(branch: tuple[str, Mapping[str, Any]]) -> Entity:
    name, record = branch
    cls = _BY_NAME[name.rpartition(".")[2]]
    entity: Entity = _adapter(cast(Hashable, cls)).validate_python(record)
    return entity


def _entity_or_none(branch: tuple[str, Mapping[str, Any]] | None) -> Entity | None:
    return None if branch is None else _entity(branch)
