"""What differs between two entities of a kind, such as two versions of a model. Pure."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from agents.registry.validity import Path, shown
from schemas.entities import Entity


@dataclass(frozen=True, slots=True)
class Difference:
    """One field, by its path. None stands for what is not there on that side."""

    field: str
    before: Any
    after: Any


def diff(before: Entity, after: Entity) -> tuple[Difference, ...]:
    """Every field that differs, in the order of fields. Lists are compared place by place.

    Raises TypeError when the two are not of one kind.
    """
    if type(before) is not type(after):
        raise TypeError(f"a {before.kind} and a {after.kind} have no fields in common")
    return tuple(_differences((), before, after))


def _differences(path: Path, before: Any, after: Any) -> Iterator[Difference]:
    if before == after:
        return
    if dataclasses.is_dataclass(before) and type(before) is type(after):
        for field in dataclasses.fields(before):
            inner = getattr(before, field.name), getattr(after, field.name)
            yield from _differences((*path, field.name), *inner)
    elif isinstance(before, tuple) and isinstance(after, tuple):
        for i in range(max(len(before), len(after))):
            yield from _differences((*path, i), _at(before, i), _at(after, i))
    else:
        yield Difference(shown(path), before, after)


def _at(values: tuple[Any, ...], i: int) -> Any:
    return values[i] if i < len(values) else None
