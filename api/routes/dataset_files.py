"""Datasets as files: uploaded with a report of what is wrong, and downloaded as JSON lines."""

import io
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse

from agents.evaluation.datasets.compare import exported
from agents.evaluation.datasets.create import Datasets
from agents.evaluation.datasets.imports import ColumnMapping, ImportReport, read_cases
from agents.evaluation.datasets.reader import DatasetReader
from agents.evaluation.datasets.rows import Format, rows
from agents.registry.client import Sender
from api import immutable
from api.access import Addressed, Caller, Org, Reads, TheApi, demand
from api.crud import add_route
from api.immutable import chosen
from api.kinds import DATASETS
from api.problems import FieldError, Problem, invalid
from api.routes.datasets import TAG, VERSION, DatasetId, DatasetVersion
from api.runtime import Api
from schemas.evaluations import DatasetCase
from schemas.suites import Dataset
from schemas.types import Label, Prose, Tag
from sinks.clickhouse import ClickHouse

router = APIRouter()
FAULTS_SHOWN = 100
PAGE = 500
JSON_LINES = "application/x-ndjson"


class FaultBody(BaseModel):
    """What is wrong with a row; `field` '': with the row itself."""

    row: int
    field: str
    reason: str


class UploadBody(BaseModel):
    """What became of the file. `dataset` null: nothing was made. `faults`: 100 at most."""

    outcome: Literal["created", "unchanged", "checked"]
    dataset: dict[str, Any] | None
    cases: int
    rows: int
    rows_at_fault: int
    faults: list[FaultBody]


async def upload_dataset(
    request: Request,
    principal: Caller,
    api: TheApi,
    org_id: Org,
    dataset_id: DatasetId,
    dataset_version: DatasetVersion,
    format: Annotated[Format, Query(description="Of the file.")] = "jsonl",
    mapping: Annotated[
        Sequence[str], Query(max_length=200, description="FIELD=COLUMN, any number of times.")
    ] = (),
    split: Annotated[Label, Query(description="Of rows that name none.")] = "",
    source: Annotated[Prose, Query(description="Where the cases come from.")] = "",
    licence: Annotated[Label, Query(description="Under which they may be used.")] = "",
    description: Annotated[Prose, Query(description="What they are.")] = "",
    tag: Annotated[Sequence[Tag], Query(max_length=50, description="Of the dataset.")] = (),
    skip_invalid: Annotated[bool, Query(description="Import the rows that are no fault.")] = False,
    dry_run: Annotated[bool, Query(description="Only check the file.")] = False,
) -> Response:
    """Makes a version from a file: the body itself, or the part `file` of a form. Nothing is made
    while a row is at fault. Uploading the same cases again changes nothing; a version never gets
    other cases."""
    demand(principal, "write", org_id)
    content = await _content(request)
    read = partial(_read, content, format, mapping, split)
    report = await api.writer.in_thread(read)
    if report.faulty and not (skip_invalid or dry_run):
        raise _at_fault(report)
    if dry_run:
        return _answer("checked", None, report)
    draft = Dataset(
        org_id,
        dataset_id,
        dataset_version,
        "0" * 64,
        1,
        (),
        tags=tuple(tag),
        source=source,
        licence=licence,
        description=description,
    )
    made = await api.writer.in_thread(
        partial(
            datasets_of(api).create, draft, report.cases, Sender(principal.name, principal.scope)
        )
    )
    return _answer(made.outcome, made.dataset, report, 201 if made.outcome == "created" else 200)


async def download_dataset(
    scoped: Reads,
    api: TheApi,
    org_id: Addressed,
    dataset_id: DatasetId,
    dataset_version: DatasetVersion,
) -> Response:
    """All cases as JSON lines, in the form that an upload takes without a mapping."""
    fact = chosen(DATASETS, scoped, org_id, dataset_id, dataset_version)
    dataset = immutable.entity(Dataset, fact)
    await api.services.clickhouse.ask(partial(_verified, dataset))
    name = f"{dataset_id}-{dataset_version}.jsonl"
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in name)
    headers = {"Content-Disposition": f'attachment; filename="{plain}"'}
    return StreamingResponse(_lines(api, dataset), media_type=JSON_LINES, headers=headers)


async def _lines(api: Api, dataset: Dataset) -> AsyncIterator[str]:
    place = 0
    while place < dataset.cases:
        cases = await api.services.clickhouse.ask(partial(_page, dataset, place))
        yield "".join(map(exported, cases))
        place += PAGE


def _verified(dataset: Dataset, clickhouse: ClickHouse) -> None:
    DatasetReader(clickhouse).verify(dataset)


def _page(dataset: Dataset, place: int, clickhouse: ClickHouse) -> list[DatasetCase]:
    return DatasetReader(clickhouse).page(dataset, place, PAGE)


async def _content(request: Request) -> bytes:
    """The file. Raises Problem when a form has none."""
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        return await request.body()
    try:
        async with request.form(max_files=1, max_fields=10) as form:
            file = form.get("file")
            if isinstance(file, UploadFile):
                return await file.read()
    except HTTPException as error:
        raise invalid("file", f"the form cannot be read: {error.detail}") from error
    raise invalid("file", "the form has no file under this name")


def _read(content: bytes, format: Format, mapping: Sequence[str], split: str) -> ImportReport:
    found = rows(io.BytesIO(content), format)
    return read_cases(found, ColumnMapping.parse(mapping), split)


def _at_fault(report: ImportReport) -> Problem:
    errors = [
        FieldError(f"row {f.row}{': ' + f.field if f.field else ''}", f.reason)
        for f in report.faults[:FAULTS_SHOWN]
    ]
    detail = (
        f"{report.faulty:,} of {report.rows:,} rows are at fault; nothing was imported. Correct "
        "them, or set skip_invalid to import the others"
    )
    return Problem(422, "invalid", detail, errors, rows_at_fault=report.faulty, rows=report.rows)


def _answer(
    outcome: str, dataset: Dataset | None, report: ImportReport, status: int = 200
) -> Response:
    answer = immutable.as_json(
        {
            "outcome": outcome,
            "dataset": dataset,
            "cases": len(report.cases),
            "rows": report.rows,
            "rows_at_fault": report.faulty,
            "faults": report.faults[:FAULTS_SHOWN],
        }
    )
    answer.status_code = status
    return answer


def datasets_of(api: Api) -> Datasets:
    """What it takes to create some."""
    held = api.services
    return Datasets(held.kafka, held.codec, held.view, held.client)


_FILE = {"type": "string", "format": "binary"}
_BODY = {
    "requestBody": {
        "content": {
            "application/octet-stream": {"schema": _FILE},
            JSON_LINES: {"schema": _FILE},
            "text/csv": {"schema": _FILE},
            "multipart/form-data": {
                "schema": {"type": "object", "properties": {"file": _FILE}, "required": ["file"]}
            },
        }
    }
}
add_route(
    router,
    upload_dataset,
    f"{VERSION}cases/",
    "POST",
    "Upload a dataset",
    {200: UploadBody, 201: UploadBody},
    TAG,
    _BODY,
)
add_route(
    router,
    download_dataset,
    f"{VERSION}download/",
    "GET",
    "Download a dataset",
    {200: None},
    TAG,
)
