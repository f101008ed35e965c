"""Lists of entities: filters made from the fields, free text, order and pages."""

import dataclasses
import typing
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from api.pages import DEFAULT_LIMIT, cursor, place
from api.problems import invalid
from schemas.entities import Entity, Model
from schemas.records import RegistryFact
from schemas.types import Name

Value = str | int | float | bool | None
TEXT = 200
"""Letters that a search may have."""
UNSEARCHED = ("secret_ref", "secret_sha256")
"""Not everybody who finds an entity may see these."""


class Wanted(BaseModel):
    """What a list is asked for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    org_id: Name | None = Field(None, description="Only of this organisation.")
    q: str | None = Field(
        None, max_length=TEXT, description="Text that any field holds, in any case of letters."
    )
    deleted: bool = Field(False, description="What was deleted and can be restored, instead.")
    order: str = Field("key")
    limit: int = Field(DEFAULT_LIMIT, ge=1, le=1000, description="Items a page.")
    cursor: str | None = Field(
        None, max_length=4096, description="`next_cursor` of the page before."
    )


def wanted_model(cls: type[Entity], without: Sequence[str] = ()) -> type[Wanted]:
    """The parameters of a kind's list: a filter for each field that is one value or a list of
    texts."""
    hints = typing.get_type_hints(cls, include_extras=True)
    fields: dict[str, Any] = {}
    orders = ["key", "accepted_at", "version"]
    for f in dataclasses.fields(cls):
        if f.name in without:
            continue
        kind = _filter(hints[f.name])
        if kind is not None:
            orders += [f.name] if _sortable(hints[f.name]) else []
            if f.name != "org_id":
                text = f"Only where {f.name} is this, or holds it."
                fields[f.name] = (kind | None, Field(None, description=text))
    ordered = tuple(word for name in orders for word in (name, f"-{name}"))
    fields["order"] = (
        Literal[ordered],
        Field("key", description="A field; with a minus: the largest first."),
    )
    return create_model(f"{cls.__name__}Wanted", __base__=Wanted, **fields)


def page(
    facts: Iterable[RegistryFact], wanted: Wanted, of: str, now: datetime
) -> tuple[list[RegistryFact], str | None]:
    """One page in order, and the cursor of the next. Raises Problem for a foreign cursor."""
    given = wanted.model_dump(exclude={"limit", "cursor"}, exclude_none=True, mode="json")
    name, descending = wanted.order.removeprefix("-"), wanted.order.startswith("-")
    listed = f"{of} {sorted(given.items())}"
    found = [f for f in facts if _fits(f.entity, given, now)]
    found.sort(key=lambda f: _place(f, name), reverse=descending)
    after = place(listed, wanted.cursor)
    if after is not None:
        found = _after(found, after, name, descending)
    shown = found[: wanted.limit]
    more = len(found) > wanted.limit
    return shown, cursor(listed, _flat(_place(shown[-1], name))) if more else None


def _after(
    found: list[RegistryFact], after: tuple[Any, ...], name: str, descending: bool
) -> list[RegistryFact]:
    try:
        given, value, key = after
        last = (bool(given), value, key)
        if descending:
            return [f for f in found if _place(f, name) < last]
        return [f for f in found if _place(f, name) > last]
    except (TypeError, ValueError) as error:
        raise invalid("cursor", "is not a cursor of this list: begin at the first page") from error


def _place(fact: RegistryFact, name: str) -> tuple[bool, Any, str]:
    """Where a fact stands in the order; what has no value comes first."""
    value: Any
    if name == "key":
        value = None
    elif name == "version":
        value = fact.version
    elif name == "accepted_at":
        value = fact.accepted_at.timestamp()
    else:
        value = getattr(fact.entity, name)
        value = value.timestamp() if isinstance(value, datetime) else value
    return value is not None, 0 if value is None else value, fact.entity.key


def _flat(placed: tuple[bool, Any, str]) -> list[Value]:
    return list(placed)


def _fits(entity: Entity, given: dict[str, Any], now: datetime) -> bool:
    for name, value in given.items():
        match name:
            case "order" | "deleted" | "org_id" | "all_versions":
                continue
            case "q":
                if value.casefold() not in text_of(entity):
                    return False
            case _:
                found = value_of(entity, name, now)
                fits = value in found if isinstance(found, tuple) else value == found
                if not fits:
                    return False
    return True


def value_of(entity: Entity, name: str, now: datetime) -> Any:
    """A field as filters see it: the status is the one that counts now."""
    if name == "status" and isinstance(entity, Model):
        return entity.status_at(now)
    return getattr(entity, name)


def text_of(value: Any) -> str:
    """Every text in an entity that may be searched, in lower case."""
    return "\n".join(_texts(value)).casefold()


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif dataclasses.is_dataclass(value):
        for f in dataclasses.fields(value):
            if f.name not in UNSEARCHED:
                yield from _texts(getattr(value, f.name))
    elif isinstance(value, tuple):
        for item in value:
            yield from _texts(item)


def _bare(hint: Any) -> Any:
    """A type without its constraints, and without None."""
    origin = typing.get_origin(hint)
    if origin is typing.Annotated:
        return _bare(typing.get_args(hint)[0])
    args = [a for a in typing.get_args(hint) if a is not type(None)]
    if len(args) == 1 and origin is not tuple and len(typing.get_args(hint)) == 2:
        return _bare(args[0])
    return hint


def _filter(hint: Any) -> Any:
    """The type of the parameter that filters by a field; None: it is no filter."""
    bare = _bare(hint)
    if bare in (str, bool, int) or typing.get_origin(bare) is Literal:
        return bare
    if typing.get_origin(bare) is tuple and _bare(typing.get_args(bare)[0]) is str:
        return str
    return None


def _sortable(hint: Any) -> bool:
    bare = _bare(hint)
    return bare in (str, int, float, datetime) or typing.get_origin(bare) is Literal
