"""What evaluations found out: the report, and every case with its answer."""

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from agents.evaluation.plain import plain_report
from agents.evaluation.report import report
from api import immutable, pages
from api.access import Org, Reads, TheApi
from api.crud import add_route, paged
from api.pages import DEFAULT_LIMIT, CursorText
from api.routes.evaluations import ONE, TAG, RunId, run_of
from api.run_bodies import ReportBody, ResultBody
from schemas.suites import Suite
from schemas.types import Name
from sinks.run_results import CaseOrder, CaseQuestion, cases

router = APIRouter()
DEEPEST = 1_000_000
"""Results that a list can skip."""


async def get_results(api: TheApi, scoped: Reads, org_id: Org, run_id: RunId) -> Response:
    """By model: means with intervals by metric, tag and split, pass rates, latencies, cost, errors,
    and the worst cases; of classifiers accuracy, macro F1 and the confusion matrix. Also while the
    run goes on, of what there is."""
    run = run_of(api, org_id, run_id)
    key = "/".join((org_id, Suite.kind, run.spec.suite_id, run.spec.suite_version))
    suite = scoped.entity(Suite, key)
    found = await api.services.clickhouse.ask(lambda clickhouse: report(clickhouse, run, suite))
    return immutable.as_json(plain_report(found))


async def list_results(
    api: TheApi,
    org_id: Org,
    run_id: RunId,
    case_id: Annotated[Name | None, Query(description="Only this case, of every model.")] = None,
    model_id: Name | None = None,
    split: Name | None = None,
    tag: Name | None = None,
    passed: bool | None = None,
    failed: Annotated[
        bool | None, Query(description="Whether it ended in an error instead of an answer.")
    ] = None,
    order: Annotated[
        CaseOrder, Query(description="worst: the lowest score first; slowest; dearest.")
    ] = "case",
    limit: Annotated[int, Query(ge=1, le=500, description="Items a page.")] = DEFAULT_LIMIT,
    cursor: CursorText = None,
) -> Response:
    """The newest result of each case and model, with what was answered and how it was scored."""
    run = run_of(api, org_id, run_id)
    listed = f"results {run_id} {case_id} {model_id} {split} {tag} {passed} {failed} {order}"
    after = pages.typed_place(listed, cursor, int)
    offset = 0 if after is None else max(0, min(after[0], DEEPEST))
    asked = CaseQuestion(
        org_id=org_id,
        run_id=run.run_id,
        case_id=case_id or "",
        model_id=model_id or "",
        split=split or "",
        tag=tag or "",
        passed=passed,
        failed=failed,
        order=order,
        limit=limit + 1,
        offset=offset,
    )
    found = await api.services.clickhouse.ask(lambda clickhouse: cases(clickhouse, asked))
    following = pages.cursor(listed, [offset + limit]) if len(found) > limit else None
    items = [asdict(result) for result in found[:limit]]
    return immutable.as_json({"items": items, "next_cursor": following})


add_route(router, get_results, f"{ONE}results/", "GET", "Get the results", {200: ReportBody}, TAG)
add_route(
    router, list_results, f"{ONE}cases/", "GET", "List the cases", {200: paged(ResultBody)}, TAG
)
