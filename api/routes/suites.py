"""Suites: a version never changes, so that a result means the same for ever."""

import asyncio
import json
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field
from starlette.responses import Response

from agents.evaluation.datasets.reader import DatasetReader
from agents.evaluation.render import render
from agents.evaluation.scorers.check import of_suite
from agents.evaluation.suites.load import load
from agents.registry.client import Sender
from agents.registry.validity import shown as path_shown
from api import immutable
from api.access import Addressed, Caller, Org, OrgGiven, Reads, TheApi, demand, target
from api.crud import Crud, add_route, found, paged
from api.editing import TheEdit, creation, entity_of
from api.immutable import After, Before, Differences, VersionGiven, chosen, wanted_of
from api.kinds import DATASETS, SUITES, input_model, resource_model
from api.problems import FieldError, Problem
from api.routes.dataset_files import datasets_of
from schemas.evaluations import DatasetCase
from schemas.suites import Dataset, PromptMessage, Suite
from sinks.clickhouse import ClickHouse

router = APIRouter()
TAG = "suites"
PREVIEW_MOST = 50
ONE = "/suites/{suite_id}/"
NewSuite: Any = input_model(Suite, ("org_id",), "Create")
Resource: Any = resource_model(Suite, {})
SuiteId = Annotated[str, Path(min_length=1, max_length=256, description="The suite_id.")]


class PreviewBody(BaseModel):
    """One case as a model would be sent it."""

    case_id: str
    messages: list[PromptMessage]
    fields: dict[str, Any] = Field(description="Of the case, with what the scorers compare with.")


class LoadedBody(BaseModel):
    """What became of one of the standard suites or datasets."""

    outcome: Literal["created", "updated", "unchanged"]
    kind: Literal["dataset", "suite"]
    name: str
    version: str
    note: str = Field(description="Such as how many cases it has.")


class LoadedAllBody(BaseModel):
    """Datasets, then suites."""

    items: list[LoadedBody]


class PreviewsBody(BaseModel):
    """In the order of the dataset."""

    items: list[PreviewBody]


async def list_suites(principal: Caller, scoped: Reads, api: TheApi, wanted: Any) -> Response:
    """The newest version of each suite; search their text with `q`."""
    return immutable.listed(SUITES, principal, scoped, api, wanted)


async def create_suite(edit: TheEdit, body: Any, org_id: OrgGiven = None) -> Response:
    """Makes a suite with its first version, or another version of one there is."""
    suite = entity_of(SUITES, body, {"org_id": target(edit.principal, org_id or body.org_id)})
    assert isinstance(suite, Suite)
    last = edit.last(suite.key)
    if last is None or last.deleted:
        ids = (suite.dataset_id, suite.dataset_version)
        dataset = edit.scoped.entity(Dataset, DATASETS.key(suite.org_id, ids))
        wrong = await asyncio.to_thread(of_suite, suite, dataset)
        if wrong:
            errors = [FieldError(path_shown(each.path), each.text) for each in wrong]
            detail = "; ".join(f"{e.field}: {e.text}" for e in errors)
            raise Problem(422, "invalid", detail, errors)
    return await edit.apply(suite.key, creation(SUITES, suite), 201)


async def load_suites(principal: Caller, api: TheApi, org_id: Org) -> Response:
    """Installs the standard suites with their datasets: text-generation, code-generation,
    humaneval, question-answering, summarisation, classification. Again at any time: what is there
    is left as it is."""
    demand(principal, "write", org_id)
    sender = Sender(principal.name, principal.scope)
    done = await api.writer.in_thread(lambda: list(load(datasets_of(api), org_id, sender)))
    return immutable.as_json({"items": done})


async def get_suite(
    principal: Caller,
    scoped: Reads,
    api: TheApi,
    org_id: Addressed,
    suite_id: SuiteId,
    version: VersionGiven = None,
) -> Response:
    """One version, the newest if none is named."""
    return immutable.shown(principal, api, chosen(SUITES, scoped, org_id, suite_id, version))


async def compare_suite_versions(
    scoped: Reads, org_id: Addressed, suite_id: SuiteId, before: Before, after: After
) -> Response:
    """Every field that differs between two versions of a suite."""
    pair = (chosen(SUITES, scoped, org_id, suite_id, version) for version in (before, after))
    return immutable.as_json({"items": immutable.difference(*pair)})


async def preview_suite(
    scoped: Reads,
    api: TheApi,
    org_id: Addressed,
    suite_id: SuiteId,
    version: VersionGiven = None,
    start: Annotated[
        int, Query(ge=0, le=2**53, description="Of the dataset's cases, the first.")
    ] = 0,
    limit: Annotated[int, Query(ge=1, le=PREVIEW_MOST, description="How many cases.")] = 3,
) -> Response:
    """The prompts of some cases, of the suite's split only. Calls no model."""
    fact = chosen(SUITES, scoped, org_id, suite_id, version)
    suite = immutable.entity(Suite, fact)
    ids = (suite.dataset_id, suite.dataset_version)
    held = found(DATASETS, scoped, DATASETS.key(suite.org_id, ids))
    read = partial(_cases, immutable.entity(Dataset, held), suite.split, start, limit)
    cases = await api.services.clickhouse.ask(read)
    return immutable.as_json({"items": [_preview(suite, case) for case in cases]})


def _cases(
    dataset: Dataset, split: str | None, start: int, limit: int, clickhouse: ClickHouse
) -> list[DatasetCase]:
    reader = DatasetReader(clickhouse)
    cases: list[DatasetCase] = []
    place = start
    while len(cases) < limit and place < dataset.cases:
        page = reader.page(dataset, place, 200)
        if not page:
            break
        cases += (case for case in page if split is None or case.split == split)
        place += len(page)
    return cases[:limit]


def _preview(suite: Suite, case: DatasetCase) -> dict[str, Any]:
    fields = json.loads(case.fields)
    return {"case_id": case.case_id, "messages": render(suite, fields), "fields": fields}


add_route(
    router,
    list_suites,
    "/suites/",
    "GET",
    "List suites",
    {200: paged(Resource)},
    TAG,
    wanted=Annotated[wanted_of(SUITES), Query()],
)
add_route(
    router, create_suite, "/suites/", "POST", "Create a suite", {201: Resource}, TAG, body=NewSuite
)
add_route(
    router,
    load_suites,
    "/suites/load/",
    "POST",
    "Install the standard suites",
    {200: LoadedAllBody},
    TAG,
)
add_route(router, get_suite, ONE, "GET", "Get a suite", {200: Resource}, TAG)
add_route(
    router,
    compare_suite_versions,
    f"{ONE}diff/",
    "GET",
    "Compare two versions of a suite",
    {200: Differences},
    TAG,
)
add_route(
    router,
    preview_suite,
    f"{ONE}preview/",
    "GET",
    "Show the prompts of some cases",
    {200: PreviewsBody},
    TAG,
)
Crud(SUITES, router, TAG, immutable.unused).add("list", "get", "delete", "restore")
