"""What other packages and libraries raise, as problems. The only such mapping."""

from collections.abc import Awaitable, Callable, Collection
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from agents.errors import CommandRefused, RegistryConflict, RegistryFileInvalid, Unavailable
from agents.evaluation.datasets.errors import (
    CaseInvalid,
    DatasetChanged,
    DatasetIncomplete,
    FileUnusable,
    PublishFailed,
)
from agents.evaluation.render import TemplateError
from agents.evaluation.requests import NoSuchRun, RunRefused
from agents.registry.validity import shown
from api.problems import FieldError, Problem, response, retry_after, unavailable
from sinks.errors import Backpressure
from streams.errors import ReplayFailed, ViewFailed, ViewNotLoaded

log = structlog.get_logger(__name__)
NAMES = {
    400: "malformed",
    401: "not-authenticated",
    403: "forbidden",
    404: "not-found",
    405: "method-not-allowed",
    413: "too-large",
    415: "unsupported-media-type",
    422: "invalid",
}
PARAMETERS = ("query", "path", "header", "cookie")
VIEW_RETRY_S = 5.0
REPLAY_RETRY_S = 5.0


def install(app: FastAPI, methods_at: Callable[[str], Collection[str]]) -> None:
    """Makes every error of the app a problem. `methods_at`: what a path can be asked with."""

    async def http(request: Request, error: Exception) -> Response:
        problem = problem_of(error)
        methods = methods_at(request.scope["path"]) if problem.status == 405 else ()
        if methods:  # the library names those of one endpoint only
            problem.headers["Allow"] = ", ".join(sorted(methods))
        return response(problem)

    for cls, problem in _PROBLEMS.items():
        app.add_exception_handler(cls, _handler(problem))
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(Exception, _handler(_bug))


def problem_of(error: Exception) -> Problem:
    """The problem that an error of ours is. Raises KeyError for one that is not listed here."""
    return _PROBLEMS[type(error)](error)


def _handler(
    problem: Callable[[Any], Problem],
) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def handle(_: Request, error: Exception) -> Response:
        return response(problem(error))

    return handle


def _same(error: Problem) -> Problem:
    return error


def _http(error: HTTPException) -> Problem:
    name = NAMES.get(error.status_code, "error")
    return Problem(error.status_code, name, str(error.detail), headers=error.headers)


def _validation(error: RequestValidationError) -> Problem:
    if isinstance(error.body, bytes):  # else it has been parsed as JSON
        text = "the body was not read: send it as JSON, with Content-Type: application/json"
        return Problem(415, "unsupported-media-type", text)
    found = [FieldError(_where(detail), _text(detail)) for detail in error.errors()]
    if any(detail["type"] == "json_invalid" for detail in error.errors()):
        detail = error.errors()[0]
        why = detail.get("ctx", {}).get("error", detail["msg"])
        return Problem(400, "malformed", f"the body is not JSON: {why}, at {detail['loc'][-1]}")
    listed = "; ".join(f"{e.field}: {e.text}" for e in found[:3])
    rest = f"; and {len(found) - 3} more" if len(found) > 3 else ""
    return Problem(422, "invalid", f"{listed}{rest}", found)


def _where(detail: Any) -> str:
    place = tuple(detail["loc"])
    if place and place[0] in ("body", *PARAMETERS):
        place = place[1:]
    return shown(tuple(p for p in place if p != "function-after")) or "body"


def _text(detail: Any) -> str:
    kind, message = detail["type"], str(detail["msg"])
    if kind == "missing":
        return "is missing"
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        return "is not a field"
    return f"{message[0].lower()}{message[1:]}"


def _conflict(error: RegistryConflict) -> Problem:
    return Problem(
        409,
        "version-conflict",
        _said(error),
        _fields(error),
        current_version=error.current_version,
    )


def _refused(error: CommandRefused) -> Problem:
    return Problem(422, "refused", _said(error), _fields(error))


def _fields(error: CommandRefused) -> list[FieldError]:
    return [FieldError(p.field, p.text) for p in error.problems]


def _said(error: CommandRefused) -> str:
    return "; ".join(
        ": ".join(part for part in (p.key, p.field, p.text) if part) for p in error.problems
    )


def _file(error: RegistryFileInvalid) -> Problem:
    found = [FieldError(p.field, f"line {p.line}: {p.text}") for p in error.problems]
    return Problem(422, "invalid", str(error).splitlines()[0], found)


def _unavailable(error: Unavailable) -> Problem:
    return unavailable(str(error), error.retry_after_s)


def _backpressure(error: Backpressure) -> Problem:
    return unavailable(str(error), error.retry_after_s)


def _view(error: Exception) -> Problem:
    return unavailable(f"the registry cannot be read: {error}", VIEW_RETRY_S)


def _case(error: CaseInvalid) -> Problem:
    return Problem(422, "invalid", str(error), [FieldError(error.field, error.reason)])


def _unprocessable(error: Exception) -> Problem:
    return Problem(422, "invalid", str(error))


def _no_run(_: NoSuchRun) -> Problem:
    return Problem(404, "not-found", "there is no such run")


def _dataset_changed(error: DatasetChanged) -> Problem:
    return Problem(409, "version-exists", str(error))


def _incomplete(error: DatasetIncomplete) -> Problem:
    return unavailable(str(error), error.retry_after_s)


def _unpublished(error: PublishFailed) -> Problem:
    return unavailable(str(error), VIEW_RETRY_S)


def _bug(error: Exception) -> Problem:
    log.error("a request failed", exc_info=error)
    detail = "the mistake is ours; the log of the API says more"
    return Problem(500, "bug", detail, headers=retry_after(5))


def _replay(error: ReplayFailed) -> Problem:
    return unavailable(str(error), REPLAY_RETRY_S)


_PROBLEMS: dict[type[Exception], Callable[[Any], Problem]] = {
    Problem: _same,
    HTTPException: _http,
    RequestValidationError: _validation,
    RegistryConflict: _conflict,
    CommandRefused: _refused,
    RegistryFileInvalid: _file,
    Unavailable: _unavailable,
    Backpressure: _backpressure,
    CaseInvalid: _case,
    FileUnusable: _unprocessable,
    TemplateError: _unprocessable,
    RunRefused: _unprocessable,
    NoSuchRun: _no_run,
    DatasetChanged: _dataset_changed,
    DatasetIncomplete: _incomplete,
    PublishFailed: _unpublished,
    ReplayFailed: _replay,
    ViewFailed: _view,
    ViewNotLoaded: _view,
}
