"""Every error of the API as application/problem+json (RFC 9457): one shape, one place.

Raise `Problem` where a request cannot be answered. What other packages raise is mapped here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"
TYPE = "urn:rheostat:problem:"
"""Before a problem's name, which programs may rely on."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """`field`: a path in the body such as prices[0].valid_from, or a parameter's name."""

    field: str
    text: str


class Problem(Exception):
    """A request that ends with an error. `name` says which kind of problem, `detail` what happened
    here and what to do; `more` are further members of the answer."""

    def __init__(
        self,
        status: int,
        name: str,
        detail: str,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        self.status = status
        self.name = name
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = dict(headers or {})
        self.more = more
        super().__init__(detail)


class FieldErrorBody(BaseModel):
    """One field and what is wrong with it."""

    field: str = Field(examples=["prices[0].valid_from"])
    text: str = Field(examples=["needs a time zone, such as 2026-01-01T00:00:00Z"])


class ProblemBody(BaseModel):
    """An error (RFC 9457)."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(examples=["urn:rheostat:problem:version-conflict"])
    title: str = Field(examples=["Conflict"])
    status: int = Field(examples=[409])
    detail: str = Field(examples=["acme/model/small/1: has version 4, not 3"])
    errors: list[FieldErrorBody] | None = None


def not_found(what: str) -> Problem:
    """Also for what the caller may not see: the two must not differ."""
    return Problem(404, "not-found", f"there is no {what}")


def unavailable(detail: str, retry_after_s: float, **more: Any) -> Problem:
    """Something that we need is away; the same request may be sent again."""
    return Problem(503, "unavailable", detail, headers=retry_after(retry_after_s), **more)


def invalid(field: str, text: str) -> Problem:
    """One field or parameter that cannot be."""
    return Problem(422, "invalid", f"{field}: {text}", [FieldError(field, text)])


def retry_after(seconds: float) -> dict[str, str]:
    """The header, in whole seconds, at least 1."""
    return {"Retry-After": str(max(1, round(seconds)))}


def response(problem: Problem) -> Response:
    """The answer to a request that ends with the problem."""
    body = {
        "type": TYPE + problem.name,
        "title": _title(problem.status),
        "status": problem.status,
        "detail": _printable(problem.detail),
        **problem.more,
    }
    if problem.errors:
        body["errors"] = [
            {"field": _printable(e.field), "text": _printable(e.text)} for e in problem.errors
        ]
    return Response(orjson.dumps(body), problem.status, problem.headers, MEDIA_TYPE)


def _title(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def _printable(text: str) -> str:
    """Without halves of surrogate pairs, which JSON lets in and UTF-8 does not let out."""
    return text.encode("utf-8", "backslashreplace").decode()
