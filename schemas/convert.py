"""Between the values of records.py and the plain mappings that Avro takes."""

import dataclasses
from collections.abc import Hashable, Mapping
from functools import cache
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from schemas.entities import AbTest, Model, SelectionPolicy
from schemas.errors import MalformedMessage
from schemas.records import ControlRecord, RegistryFact

T = TypeVar("T", bound=ControlRecord)


@cache
def _adapter(cls: Any) -> TypeAdapter[Any]:
    return TypeAdapter(cls)


def to_record(value: ControlRecord) -> dict[str, Any]:
    """The mapping that the codec encodes. A union's branch is named, as Avro needs it."""
    record = dataclasses.asdict(value)
    if isinstance(value, RegistryFact):
        name = type(value.entity).__name__
        record["entity"] = (f"rheostat.{name}", record["entity"])
    return record


def from_record(cls: type[T], record: Mapping[str, Any]) -> T:
    """The value of a decoded mapping. Raises MalformedMessage with the field that is wrong."""
    try:
        if cls is RegistryFact:
            record = {**record, "entity": _entity(record["entity"])}
        value: T = _adapter(cast(Hashable, cls)).validate_python(record)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise MalformedMessage(f"{cls.__name__}.{where}: {first['msg']}") from error
    return value


def _entity(record: Mapping[str, Any]) -> Any:
    """Which entity a decoded union holds: told by the one field only it has."""
    cls = Model if "model_id" in record else AbTest if "ab_test_id" in record else SelectionPolicy
    return _adapter(cls).validate_python(record)
