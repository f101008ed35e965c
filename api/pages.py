"""Pages of a list by cursor: where the last page ended, so that what comes and goes moves nothing.

A cursor is opaque to callers. It names the list and filters that it was made for, and is refused
for any other. It is not secret and opens nothing: what a page shows is decided anew.
"""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from typing import Annotated, Any, Generic, TypeVar

import orjson
from fastapi import Query
from pydantic import BaseModel, Field

from api.problems import Problem, invalid

T = TypeVar("T")
Place = Sequence[str | int | float | bool | None]
"""The values by which the list is in order, of the last item seen."""

Limit = Annotated[int, Query(ge=1, le=1000, description="Items a page.")]
DEFAULT_LIMIT = 100
CursorText = Annotated[
    str | None, Query(max_length=4096, description="`next_cursor` of the page before.")
]


class Page(BaseModel, Generic[T]):
    """One page of a list."""

    items: list[T]
    next_cursor: str | None = Field(
        None, description="Send it as `cursor` for the next page; null: this is the last."
    )


def cursor(of: str, place: Place) -> str:
    """A cursor. `of`: the list with its filters and order, as a text."""
    data = orjson.dumps([_digest(of), *place])
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def place(of: str, text: str | None) -> tuple[Any, ...] | None:
    """Where the cursor points; None without one. Raises Problem 422 for any other's cursor."""
    if text is None:
        return None
    found = _decoded(text)
    if found[0] != _digest(of):
        raise invalid("cursor", "belongs to a list with other filters or in another order")
    return tuple(found[1:])


def typed_place(of: str, text: str | None, *kinds: type) -> tuple[Any, ...] | None:
    """As `place`, for places whose values are of these types. Raises Problem 422 otherwise."""
    found = place(of, text)
    if found is None:
        return None
    fits = len(found) == len(kinds) and all(
        isinstance(value, kind) and not (kind is int and isinstance(value, bool))
        for value, kind in zip(found, kinds, strict=False)
    )
    if not fits:
        raise _broken()
    return found


def _decoded(text: str) -> list[Any]:
    try:
        found = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (binascii.Error, ValueError) as error:
        raise _broken() from error
    if not isinstance(found, list) or not found or any(isinstance(v, list | dict) for v in found):
        raise _broken()
    return found


def _broken() -> Problem:
    return invalid("cursor", "is not a cursor that this API made: begin at the first page")


def _digest(of: str) -> str:
    return hashlib.sha256(of.encode("utf-8", "backslashreplace")).hexdigest()[:16]
