"""Datasets: what there is, the cases of one, and differences. Uploads: api.routes.dataset_files."""

import json
from collections.abc import Iterable
from dataclasses import asdict, replace
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel
from starlette.responses import Response

from agents.evaluation.datasets.compare import CaseDifference, compare
from agents.evaluation.datasets.reader import DatasetReader
from api import immutable, pages
from api.access import Addressed, Caller, Reads, TheApi
from api.crud import Crud, add_route, paged
from api.immutable import After, Before, DifferenceBody, VersionGiven, chosen, wanted_of
from api.kinds import DATASETS, resource_model
from api.pages import DEFAULT_LIMIT, CursorText, Limit, Page
from schemas.evaluations import DatasetCase
from schemas.suites import Dataset
from sinks.clickhouse import ClickHouse

router = APIRouter()
TAG = "datasets"
IDS_MOST = 1000
ONE = "/datasets/{dataset_id}/"
VERSION = f"{ONE}versions/{{dataset_version}}/"
Resource: Any = resource_model(Dataset, {})
DatasetId = Annotated[str, Path(min_length=1, max_length=256, description="The dataset_id.")]
DatasetVersion = Annotated[
    str, Path(min_length=1, max_length=256, description="The dataset_version.")
]


class CaseBody(BaseModel):
    """One case. `cluster`: cases that share a source."""

    case_id: str
    fields: dict[str, Any]
    split: str
    tags: list[str]
    cluster: str | None


class CaseDifferenceBody(BaseModel):
    """Cases by their ids, 1000 of each list at most; `moved`: the order of the others differs."""

    added: list[str]
    removed: list[str]
    changed: list[str]
    same: int
    moved: bool


class DatasetDifferences(BaseModel):
    """`cases` null: they are the same."""

    items: list[DifferenceBody]
    cases: CaseDifferenceBody | None


async def list_datasets(principal: Caller, scoped: Reads, api: TheApi, wanted: Any) -> Response:
    """The newest version of each dataset; search their text with `q`."""
    return immutable.listed(DATASETS, principal, scoped, api, wanted)


async def get_dataset(
    principal: Caller,
    scoped: Reads,
    api: TheApi,
    org_id: Addressed,
    dataset_id: DatasetId,
    version: VersionGiven = None,
) -> Response:
    """One version, the newest if none is named. Its cases are below it."""
    return immutable.shown(principal, api, chosen(DATASETS, scoped, org_id, dataset_id, version))


async def compare_dataset_versions(
    scoped: Reads,
    api: TheApi,
    org_id: Addressed,
    dataset_id: DatasetId,
    before: Before,
    after: After,
) -> Response:
    """Every field that differs between two versions of a dataset, and every case."""
    one, other = (chosen(DATASETS, scoped, org_id, dataset_id, v) for v in (before, after))
    pair = [immutable.entity(Dataset, fact) for fact in (one, other)]
    cases = None
    if pair[0].content_sha256 != pair[1].content_sha256:
        cases = _bounded(await api.services.clickhouse.ask(partial(_compared, pair)))
    return immutable.as_json({"items": immutable.difference(one, other), "cases": cases})


def _compared(pair: Iterable[Dataset], clickhouse: ClickHouse) -> CaseDifference:
    reader = DatasetReader(clickhouse)
    before, after = (reader.all_of(dataset) for dataset in pair)
    return compare(before, after)


def _bounded(found: CaseDifference) -> dict[str, Any]:
    lists = {name: getattr(found, name)[:IDS_MOST] for name in ("added", "removed", "changed")}
    return asdict(replace(found, **lists))


async def list_cases(
    scoped: Reads,
    api: TheApi,
    org_id: Addressed,
    dataset_id: DatasetId,
    dataset_version: DatasetVersion,
    limit: Limit = DEFAULT_LIMIT,
    cursor: CursorText = None,
) -> Response:
    """The cases of a version in their order."""
    fact = chosen(DATASETS, scoped, org_id, dataset_id, dataset_version)
    dataset = immutable.entity(Dataset, fact)
    listed = f"cases {dataset.key}"
    after = pages.typed_place(listed, cursor, int)
    place = 0 if after is None else max(0, min(after[0], dataset.cases))
    cases = await api.services.clickhouse.ask(partial(_page, dataset, place, limit))
    end = place + len(cases)
    following = pages.cursor(listed, [end]) if cases and end < dataset.cases else None
    items = [_shown(case) for case in cases]
    return immutable.as_json({"items": items, "next_cursor": following})


def _page(dataset: Dataset, place: int, limit: int, clickhouse: ClickHouse) -> list[DatasetCase]:
    return DatasetReader(clickhouse).page(dataset, place, limit)


def _shown(case: DatasetCase) -> dict[str, Any]:
    return {**asdict(case), "fields": json.loads(case.fields)}


add_route(
    router,
    list_datasets,
    "/datasets/",
    "GET",
    "List datasets",
    {200: paged(Resource)},
    TAG,
    wanted=Annotated[wanted_of(DATASETS), Query()],
)
add_route(router, get_dataset, ONE, "GET", "Get a dataset", {200: Resource}, TAG)
add_route(
    router,
    compare_dataset_versions,
    f"{ONE}diff/",
    "GET",
    "Compare two versions of a dataset",
    {200: DatasetDifferences},
    TAG,
)
add_route(
    router,
    list_cases,
    f"{VERSION}cases/",
    "GET",
    "List the cases of a dataset",
    {200: Page[CaseBody]},
    TAG,
)
Crud(DATASETS, router, TAG, immutable.unused).add("list", "get", "delete", "restore")
