"""A/B tests beyond their definition: their life, results, timeline, plan and export."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import Field
from starlette.responses import Response

from agents.ab_health import Health
from agents.ab_plan import plan
from agents.access.scope import Scoped
from api.ab_counterfactual import (
    CounterfactualBody,
    Reward,
    counterfactual_body,
    shares_of,
)
from api.ab_decisions import DecisionBody, decision, publish
from api.ab_known import results_of, verdict_of
from api.ab_offline import run_of, started, steered
from api.ab_results import (
    PlanBody,
    PointBody,
    ResultsBody,
    TimelineBody,
    exported,
    points,
)
from api.access import Org, Reads, TheApi, TheServices
from api.crud import add_route, found
from api.editing import TheEdit, merging
from api.kinds import AB_TESTS, resource_model
from api.problems import Problem, invalid, not_found
from api.render import json_response, with_fields
from api.services import Services
from schemas.commands import Change
from schemas.entities import AbTest, AbTestStatus, Entity
from schemas.evaluations import EvaluationRun
from schemas.records import AbVerdict
from schemas.types import MetricName, Name
from sinks import ab_history
from sinks.ab_logged import by_arm
from streams.statistics.estimates import NoEstimate

router = APIRouter()
TAG = "A/B tests"
ONE = AB_TESTS.item
MOVED = resource_model(
    AbTest, {"run_id": (str | None, Field(None, description="Of an offline test: its run."))}
)
MOVES: dict[str, tuple[Sequence[AbTestStatus], AbTestStatus, str]] = {
    "start": (("draft",), "running", "Start an A/B test that is a draft; offline: its run"),
    "pause": (("running",), "paused", "Pause a running A/B test: its calls do not count"),
    "resume": (("paused",), "running", "Resume a paused A/B test"),
    "stop": (("running", "paused"), "stopped", "Stop an A/B test: its verdict stays"),
    "archive": (("draft", "stopped"), "archived", "Archive an A/B test that is over"),
}
"""From which statuses each leads where."""
TestId = Annotated[Name, Path(alias="ab_test_id", examples=["small-2026-11"])]
Points = Annotated[int, Query(ge=2, le=2000, description="How many instants at most.")]


def _move(name: str) -> Callable[..., Any]:
    before, after, _ = MOVES[name]

    def checked(entity: Entity) -> AbTest:
        assert isinstance(entity, AbTest)
        if entity.status not in (after, *before):
            wanted = " or ".join(before)
            text = f"the test is {entity.status}; to {name} it, it must be {wanted}"
            raise Problem(409, "wrong-status", text, status_now=entity.status)
        return entity

    async def endpoint(
        edit: TheEdit, org_id: Org, ab_test_id: TestId, scoped: Reads, api: TheApi
    ) -> Response:
        key = AB_TESTS.key(org_id, (ab_test_id,))
        last = edit.last(key)
        run: EvaluationRun | None = None
        author = edit.principal.name
        offline = last is not None and not last.deleted and _offline(last.entity)
        if offline and name == "start":
            # Before the test is running: one that is has a run.
            assert last is not None
            edit.check(key, last)
            edit.may(last.entity)
            run = await started(api, scoped, checked(last.entity), last.version, author)
        change = merging(AB_TESTS, lambda entity: replace(checked(entity), status=after))
        answer = await edit.apply(key, change)
        if not offline:
            return answer
        if run is None:
            assert last is not None
            assert isinstance(last.entity, AbTest)
            run = await steered(api, last.entity, name, author)
        run_id = None if run is None else run.run_id
        body = with_fields(bytes(answer.body), run_id=run_id)
        return json_response(body, answer.status_code, {"ETag": answer.headers["ETag"]})

    return endpoint


def _offline(entity: Entity) -> bool:
    return isinstance(entity, AbTest) and entity.mode == "offline"


for name, move in MOVES.items():
    add_route(router, _move(name), f"{ONE}{name}/", "POST", move[2], {200: MOVED}, TAG)


def the_test(scoped: Scoped, org_id: str, ab_test_id: str) -> AbTest:
    """Raises Problem 404."""
    entity = found(AB_TESTS, scoped, AB_TESTS.key(org_id, (ab_test_id,))).entity
    assert isinstance(entity, AbTest)
    return entity


async def _over_time(held: Services, test: AbTest, count: int) -> list[AbVerdict]:
    until = held.clock() + timedelta(seconds=1)
    return await held.clickhouse.ask(
        lambda c: ab_history.timeline(c, test.org_id, test.ab_test_id, until, count)
    )


@router.get(f"{ONE}results/", summary="Results and health", tags=[TAG])
async def results(
    ab_test_id: TestId,
    org_id: Org,
    scoped: Reads,
    held: TheServices,
    with_health: Annotated[
        bool,
        Query(alias="health", description="Whether to say if the test is sound."),
    ] = True,
) -> ResultsBody:
    """What to do about the test, why, every number behind it, and whether the test is sound.

    Its health is counted from the stored calls and kept for a minute and more (`as_of`).
    """
    test = the_test(scoped, org_id, ab_test_id)
    known = await results_of(held, test)
    run = run_of(held.evaluations, test) if test.mode == "offline" else None
    why_none = None
    if known.verdict is None:
        what = "cases" if test.mode == "offline" else "calls"
        why_none = f"no {what} of the test have been judged yet; it is {test.status}"
    health: Health | NoEstimate = NoEstimate("it was not asked for")
    if with_health:
        health = await held.health.of(held.clickhouse, test, known.verdict, held.clock)
    return ResultsBody(
        ab_test_id=test.ab_test_id,
        org_id=test.org_id,
        status=test.status,
        mode=test.mode,
        hypothesis=test.hypothesis,
        verdict=known.verdict,
        why_none=why_none,
        paired=list(known.paired),
        periods=known.periods,
        why_no_periods=known.why_no_periods,
        run_id=None if run is None else run.run_id,
        run_state=None if run is None else run.state,
        health=health if isinstance(health, Health) else None,
        why_no_health=health.reason if isinstance(health, NoEstimate) else None,
    )


@router.post(f"{ONE}decide/", summary="Decide as a person", tags=[TAG])
async def decide(
    ab_test_id: TestId,
    org_id: Org,
    scoped: Reads,
    held: TheServices,
    edit: TheEdit,
    body: DecisionBody,
) -> AbVerdict:
    """Decides the test as a person: once, with a reason and the caller as author. It is stored as a
    verdict, which the monitor keeps from then on, and the test is stopped."""
    test = the_test(scoped, org_id, ab_test_id)
    edit.may(test)
    if body.winner is not None and all(arm.arm != body.winner for arm in test.arms):
        listed = ", ".join(arm.arm for arm in test.arms)
        raise invalid("winner", f"the test has no arm {body.winner}; it has {listed}")
    before = await held.clickhouse.ask(
        lambda c: ab_history.decided(c, test.org_id, test.ab_test_id)
    )
    if before is not None:
        text = f"{before.decided_by} decided already: {before.decision}"
        raise Problem(409, "decided-already", text)
    known = await verdict_of(held, test)
    verdict = decision(test, known, body, edit.principal.name, held.clock())
    await edit.api.writer.in_thread(lambda: publish(held.kafka, held.codec, verdict))
    if test.status in MOVES["stop"][0]:
        fact = found(AB_TESTS, scoped, test.key)
        stopped = replace(test, status="stopped")
        await edit.apply_all([Change("update", test.key, fact.version, stopped)])
    if test.mode == "offline":
        await steered(edit.api, test, "stop", edit.principal.name)
    return verdict


@router.get(f"{ONE}timeline/", summary="The interval over time", tags=[TAG])
async def timeline(
    ab_test_id: TestId,
    org_id: Org,
    scoped: Reads,
    held: TheServices,
    metric: Annotated[
        MetricName | None, Query(description="Left out: the first primary metric.")
    ] = None,
    count: Annotated[Points, Query(alias="points")] = 200,
) -> TimelineBody:
    """How the interval of a metric and the recommendation went."""
    test = the_test(scoped, org_id, ab_test_id)
    named = metric or next((g.metric for g in test.metrics if g.role == "primary"), None)
    named = named or test.metrics[0].metric
    if all(goal.metric != named for goal in test.metrics):
        listed = ", ".join(goal.metric for goal in test.metrics)
        raise invalid("metric", f"the test does not compare {named}; it compares {listed}")
    verdicts = await _over_time(held, test, count)
    shown: list[PointBody] = points(verdicts, named)
    return TimelineBody(ab_test_id=ab_test_id, metric=named, points=shown)


@router.get(f"{ONE}plan/", summary="What it still takes", tags=[TAG])
async def plan_of(
    ab_test_id: TestId,
    org_id: Org,
    scoped: Reads,
    held: TheServices,
    power: Annotated[float, Query(ge=0.01, le=0.999)] = 0.8,
) -> PlanBody:
    """How many values and days the test still takes: looking always, once, at planned looks."""
    test = the_test(scoped, org_id, ab_test_id)
    verdict = await verdict_of(held, test)
    if verdict is None:
        raise not_found("verdict of the test yet: its spread and traffic are not known")
    plans = plan(test, verdict, power)
    return PlanBody(ab_test_id=ab_test_id, planned_n=test.planned_n, power=power, plans=plans)


@router.get(f"{ONE}counterfactual/", summary="What other weights would have given", tags=[TAG])
async def counterfactual_of(
    ab_test_id: TestId,
    org_id: Org,
    scoped: Reads,
    held: TheServices,
    metric: Annotated[Reward, Query()] = "quality",
    weights: Annotated[
        list[str] | None,
        Query(
            description="arm:weight, repeated; arms that are left out get none. Left out: equal.",
            examples=[["control:0.2", "new:0.8"]],
        ),
    ] = None,
) -> CounterfactualBody:
    """What other weights would have given on average, from the propensities that calls carry.

    The interval holds at one look. Null where the logged choices are too unlike those asked for.
    """
    test = the_test(scoped, org_id, ab_test_id)
    shares = shares_of(test, weights)
    folds = await held.clickhouse.ask(
        lambda c: by_arm(c, test.org_id, test.ab_test_id, metric, shares)
    )
    return counterfactual_body(test, metric, shares, folds)


@router.get(
    f"{ONE}export/",
    summary="Verdicts over time as CSV",
    tags=[TAG],
    response_class=Response,
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
)
async def export(
    ab_test_id: TestId,
    org_id: Org,
    scoped: Reads,
    held: TheServices,
    count: Annotated[Points, Query(alias="points")] = 200,
) -> Response:
    """Every comparison of the test's verdicts over time, as CSV."""
    test = the_test(scoped, org_id, ab_test_id)
    text = exported(await _over_time(held, test, count))
    headers = {"Content-Disposition": f'attachment; filename="{ab_test_id}.csv"'}
    return Response(text, headers=headers, media_type="text/csv; charset=utf-8")
