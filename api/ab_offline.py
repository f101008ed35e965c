"""Offline A/B tests: an evaluation run answers their cases, and lives as the test does."""

from collections.abc import Mapping
from functools import partial

from agents.ab_results import newest_run
from agents.access.scope import Scoped
from agents.evaluation.planner.commands import ENDED
from agents.evaluation.requests import Evaluations, Requester, RunRefused
from api import immutable
from api.kinds import SUITES
from api.problems import Problem, invalid
from api.routes.evaluations import engine
from api.runtime import Api
from schemas.entities import AbTest, Model
from schemas.evaluations import EvaluationRun, RunAction, RunModel, RunSpec
from schemas.suites import Suite

FOLLOWS: Mapping[str, RunAction] = {"pause": "pause", "resume": "resume", "stop": "cancel"}
"""What becomes of the run when the test makes a step."""


def run_of(evaluations: Evaluations | None, test: AbTest) -> EvaluationRun | None:
    """The newest run that has every arm of the test. None: there is none, or runs are not seen."""
    if evaluations is None:
        return None
    return newest_run(evaluations.runs.snapshot().values(), test)


async def started(
    api: Api, scoped: Scoped, test: AbTest, version: int, author: str
) -> EvaluationRun:
    """The run of the test as it is in this version; the same one when asked again.

    Raises Problem 422 with the field that keeps it from running, 503 where there is no engine.
    """
    evaluations = engine(api)
    known = run_of(evaluations, test)
    if test.status == "running" and known is not None:
        return known
    spec = _spec(api, scoped, test)
    begin = partial(
        evaluations.begin,
        spec,
        Requester(author, test.org_id),
        f"ab-test/{test.ab_test_id}/{version}",
        api.services.config.write_timeout_s,
    )
    return await api.writer.in_thread(begin)


async def steered(api: Api, test: AbTest, step: str, author: str) -> EvaluationRun | None:
    """The test's run after it followed the test's step; None: there is none, or nothing to do."""
    action = FOLLOWS.get(step)
    if action is None:
        return None
    evaluations = engine(api)
    run = run_of(evaluations, test)
    if run is None or run.state in ENDED:
        return run
    send = partial(
        evaluations.control,
        run.run_id,
        action,
        Requester(author, test.org_id),
        None,
        api.services.config.write_timeout_s,
    )
    try:
        return await api.writer.in_thread(send)
    except RunRefused:  # it ended meanwhile, which is what a step could want
        return evaluations.runs.get(run.run_id) or run


def _spec(api: Api, scoped: Scoped, test: AbTest) -> RunSpec:
    if test.suite_id is None:
        raise invalid("suite_id", "an offline test asks the cases of a suite: name one")
    try:
        fact = immutable.chosen(SUITES, scoped, test.org_id, test.suite_id, test.suite_version)
    except Problem as problem:
        raise invalid("suite_id", problem.detail) from problem
    models: dict[tuple[str, str], RunModel] = {}
    for i, arm in enumerate(test.arms):
        version = arm.model_version or _serving(api, scoped, test.org_id, i, arm.model_id)
        other = models.get((arm.model_id, version))
        if other is not None:
            text = f"is {arm.model_id} {version}, as {other.arm}: the run would not tell them apart"
            raise invalid(f"arms[{i}]", text)
        models[arm.model_id, version] = RunModel(arm.model_id, version, arm.arm)
    return RunSpec(
        suite_id=test.suite_id,
        suite_version=immutable.entity(Suite, fact).suite_version,
        models=tuple(models.values()),
        ab_test_id=test.ab_test_id,
    )


def _serving(api: Api, scoped: Scoped, org_id: str, i: int, model_id: str) -> str:
    fact = api.models.current(scoped, org_id, model_id, api.services.clock())
    if fact is None:
        raise invalid(f"arms[{i}].model_id", f"there is no model {model_id} to answer")
    assert isinstance(fact.entity, Model)
    return fact.entity.model_version
