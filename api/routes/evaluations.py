"""Evaluations: started, followed, steered. Their results: api.routes.evaluation_results."""

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Body, Header, Path, Query
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.responses import Response

from agents.access.authorise import Principal
from agents.access.scope import Scoped
from agents.evaluation.plain import plain_run
from agents.evaluation.planner.commands import ENDED
from agents.evaluation.requests import (
    Evaluations,
    NoSuchRun,
    Requester,
    RunRefused,
    run_id_of,
)
from api import immutable, pages
from api.access import Caller, Org, Reads, TheApi, demand
from api.conditions import IdempotencyKey
from api.crud import add_route, paged
from api.kinds import SUITES
from api.pages import DEFAULT_LIMIT, CursorText, Limit
from api.problems import Problem, invalid, not_found, unavailable
from api.render import OPTIONS
from api.run_bodies import ControlBody, NewEvaluation, ProgressBody, RunBody
from api.runtime import Api
from schemas.entities import Model
from schemas.evaluations import EvaluationRun, RunAction, RunModel, RunSpec, RunState
from schemas.suites import Suite
from schemas.types import Name

router = APIRouter()
TAG = "evaluations"
ALL = "/evaluations/"
ONE = f"{ALL}{{run_id}}/"
LOOK_S = 0.3
HEARTBEAT_S = 15
PROGRESS = tuple(ProgressBody.model_fields)
RunId = Annotated[str, Path(min_length=1, max_length=256, description="The run_id.")]
ANOTHER = Body(description="For resume and retry: a new budget.", examples=[{}])


def engine(api: Api) -> Evaluations:
    """Where runs are. Raises Problem 503 where there is none, ViewNotLoaded."""
    found = api.services.evaluations
    if found is None:
        raise unavailable("this process does not follow evaluations", 60)
    found.runs.wait_loaded(0)
    return found


def run_of(api: Api, org_id: str, run_id: str) -> EvaluationRun:
    """Raises Problem 404, also for another organisation's run."""
    run = engine(api).runs.get(run_id)
    if run is None or run.org_id != org_id:
        raise not_found(f"evaluation {run_id}")
    return run


async def start_evaluation(
    principal: Caller,
    scoped: Reads,
    api: TheApi,
    org_id: Org,
    body: NewEvaluation,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Starts a run, and answers once the planner has it. Repeated under the same Idempotency-Key it
    answers with the run that there is."""
    demand(principal, "write", org_id)
    evaluations = engine(api)
    spec = _spec(api, scoped, org_id, body)
    request_id = None if idempotency_key is None else f"{principal.name}/{idempotency_key}"
    known = request_id is not None and evaluations.runs.get(run_id_of(org_id, request_id))
    begin = partial(
        evaluations.begin,
        spec,
        Requester(principal.name, org_id),
        request_id,
        api.services.config.write_timeout_s,
    )
    run = await api.writer.in_thread(begin)
    answer = immutable.as_json(plain_run(run))
    answer.status_code = 200 if known else 201
    answer.headers["Location"] = f"{run.run_id}/"
    return answer


async def list_evaluations(
    api: TheApi,
    org_id: Org,
    state: Annotated[list[RunState] | None, Query(description="Any of these.")] = None,
    suite_id: Name | None = None,
    model_id: Name | None = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: CursorText = None,
) -> Response:
    """Runs, the newest first."""
    listed = f"runs {org_id} {sorted(state or ())} {suite_id} {model_id}"
    after = pages.typed_place(listed, cursor, float, str)
    found = [
        run
        for run in engine(api).runs.snapshot().values()
        if run.org_id == org_id
        and (not state or run.state in state)
        and suite_id in (None, run.spec.suite_id)
        and (model_id is None or any(m.model_id == model_id for m in run.spec.models))
        and (after is None or _place(run) < after)
    ]
    found.sort(key=_place, reverse=True)
    more = len(found) > limit
    following = pages.cursor(listed, _place(found[limit - 1])) if more else None
    items = [plain_run(run) for run in found[:limit]]
    return immutable.as_json({"items": items, "next_cursor": following})


async def get_evaluation(api: TheApi, org_id: Org, run_id: RunId) -> Response:
    """A run: what was asked for, its state, counts, rate and cost."""
    return immutable.as_json(plain_run(run_of(api, org_id, run_id)))


async def get_progress(
    api: TheApi,
    org_id: Org,
    run_id: RunId,
    accept: Annotated[str, Header(include_in_schema=False)] = "",
) -> Response:
    """How far a run is. With `Accept: text/event-stream` as server-sent events: `progress` with
    every change, then `end` once it is over."""
    run = run_of(api, org_id, run_id)
    if "text/event-stream" not in accept.lower():
        return immutable.as_json(_progress(run))
    look = partial(engine(api).runs.get, run_id)
    return EventSourceResponse(
        progress_events(look, run),
        ping=HEARTBEAT_S,
        send_timeout=30.0,
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def progress_events(
    look: Callable[[], EvaluationRun | None], run: EvaluationRun, look_s: float = LOOK_S
) -> AsyncIterator[ServerSentEvent]:
    """The run as it is, each change of it, and its end. Ends by itself."""
    shown = b""
    while True:
        data = orjson.dumps(_progress(run), option=OPTIONS)
        over = run.state in ENDED
        if data != shown:
            yield ServerSentEvent(data.decode(), event="end" if over else "progress")
            shown = data
        if over:
            return
        await asyncio.sleep(look_s)
        run = look() or run


async def control_evaluation(
    api: Api, principal: Principal, org_id: str, run_id: str, action: RunAction, body: Any
) -> Response:
    """The run once the planner has applied the action."""
    demand(principal, "write", org_id)
    budget_usd = None if body is None else body.budget_usd
    if budget_usd is not None and action not in ("resume", "retry"):
        raise invalid("budget_usd", f"{action} takes no budget")
    send = partial(
        engine(api).control,
        run_id,
        action,
        Requester(principal.name, org_id),
        budget_usd,
        api.services.config.write_timeout_s,
    )
    try:
        return immutable.as_json(plain_run(await api.writer.in_thread(send)))
    except NoSuchRun as error:
        raise not_found(f"evaluation {run_id}") from error
    except RunRefused as error:
        raise Problem(409, "wrong-state", str(error)) from error


def _controller(action: RunAction) -> Callable[..., Any]:
    async def endpoint(
        principal: Caller,
        api: TheApi,
        org_id: Org,
        run_id: RunId,
        body: Annotated[ControlBody | None, ANOTHER] = None,
    ) -> Response:
        return await control_evaluation(api, principal, org_id, run_id, action, body)

    endpoint.__doc__ = _DONE[action]
    return endpoint


_DONE: dict[RunAction, str] = {
    "cancel": "Ends a run: no case is begun any more, and results that come are kept.",
    "pause": "Begins no further case until the run is resumed.",
    "resume": "Goes on with a paused run, perhaps with another budget.",
    "retry": "Executes again, of a run that is over, the cases that ended in an error.",
}


def _spec(api: Api, scoped: Scoped, org_id: str, body: NewEvaluation) -> RunSpec:
    """Raises Problem 422 for a suite or model that is not there."""
    try:
        fact = immutable.chosen(SUITES, scoped, org_id, body.suite_id, body.suite_version)
    except Problem as problem:
        raise invalid("suite_id", problem.detail) from problem
    given = body.model_dump(exclude={"suite_id", "suite_version", "models"})
    return RunSpec(
        suite_id=body.suite_id,
        suite_version=immutable.entity(Suite, fact).suite_version,
        models=tuple(
            RunModel(
                m.model_id, m.model_version or _version(api, scoped, org_id, i, m.model_id), m.arm
            )
            for i, m in enumerate(body.models)
        ),
        **given,
    )


def _version(api: Api, scoped: Scoped, org_id: str, i: int, model_id: str) -> str:
    fact = api.models.current(scoped, org_id, model_id, api.services.clock())
    if fact is None:
        raise invalid(f"models[{i}].model_id", f"there is no model {model_id}")
    assert isinstance(fact.entity, Model)
    return fact.entity.model_version


def _progress(run: EvaluationRun) -> dict[str, Any]:
    found = plain_run(run)
    return {name: found[name] for name in PROGRESS}


def _place(run: EvaluationRun) -> tuple[float, str]:
    return run.requested_at.timestamp(), run.run_id


add_route(
    router,
    start_evaluation,
    ALL,
    "POST",
    "Start an evaluation",
    {200: RunBody, 201: RunBody},
    TAG,
)
add_route(router, list_evaluations, ALL, "GET", "List evaluations", {200: paged(RunBody)}, TAG)
add_route(router, get_evaluation, ONE, "GET", "Get an evaluation", {200: RunBody}, TAG)
add_route(
    router,
    get_progress,
    f"{ONE}progress/",
    "GET",
    "Follow an evaluation",
    {200: ProgressBody},
    TAG,
)
for _action in _DONE:
    add_route(
        router,
        _controller(_action),
        f"{ONE}{_action}/",
        "POST",
        f"{_action.capitalize()} an evaluation",
        {200: RunBody},
        TAG,
    )
