"""Verdicts of A/B tests, and alerts."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from api.access import Org, TheServices
from api.pages import DEFAULT_LIMIT, CursorText, Limit, Page, typed_place
from api.problems import not_found
from api.routes.selection import between, paged
from schemas.records import AbVerdict, Alert, AlertKind, Severity
from schemas.types import Capability, Name
from sinks import ab_history
from sinks.decisions import ALERTS, VERDICTS, Wanted, page
from sinks.reader import Reader

router = APIRouter()
Since = Annotated[datetime | None, Query(alias="from")]
Until = Annotated[datetime | None, Query(alias="to", description="Exclusive.")]
AbTestId = Annotated[Name, Path(examples=["small-2026-11"])]


@router.get(
    "/verdicts/",
    summary="The newest verdict of every A/B test",
    response_model=Page[AbVerdict],
    tags=["verdicts"],
)
async def current_verdicts(org_id: Org, held: TheServices) -> dict[str, Any]:
    """The newest verdict of every A/B test, as far as it is stored."""
    found = await held.clickhouse.ask(lambda c: Reader(c).latest_verdicts(org_id))
    return {"items": [asdict(verdict) for verdict in found]}


@router.get("/ab-tests/{ab_test_id}/verdict/", summary="The newest verdict", tags=["verdicts"])
async def current_verdict(ab_test_id: AbTestId, org_id: Org, held: TheServices) -> AbVerdict:
    """The newest verdict of an A/B test; 404 until there is one."""
    found = await held.clickhouse.ask(lambda c: ab_history.newest(c, org_id, ab_test_id))
    if found is None:
        raise not_found(f"verdict of {ab_test_id}")
    return found


@router.get(
    "/ab-tests/{ab_test_id}/verdicts/",
    summary="Every verdict",
    response_model=Page[AbVerdict],
    tags=["verdicts"],
)
async def verdict_history(
    ab_test_id: AbTestId,
    org_id: Org,
    held: TheServices,
    since: Since = None,
    until: Until = None,
    limit: Limit = DEFAULT_LIMIT,
    after: Annotated[CursorText, Query(alias="cursor")] = None,
) -> dict[str, Any]:
    """Every verdict of an A/B test, the newest first."""
    span = between(since, until)
    of = f"verdicts {org_id} {ab_test_id} {since} {until}"
    place = typed_place(of, after, int, int)
    wanted = Wanted(org_id, {"ab_test_id": ab_test_id}, span, place, limit + 1)
    found = await held.clickhouse.ask(lambda c: page(c, VERDICTS, wanted))
    return paged(of, found, limit)


@router.get("/alerts/", summary="What was raised", response_model=Page[Alert], tags=["alerts"])
async def list_alerts(
    org_id: Org,
    held: TheServices,
    kind: AlertKind | None = None,
    severity: Severity | None = None,
    capability: Capability | None = None,
    model_id: Name | None = None,
    ab_test_id: Name | None = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = DEFAULT_LIMIT,
    after: Annotated[CursorText, Query(alias="cursor")] = None,
) -> dict[str, Any]:
    """What was raised, the newest first."""
    span = between(since, until)
    filters = {
        "kind": kind,
        "severity": severity,
        "capability": capability,
        "model_id": model_id,
        "ab_test_id": ab_test_id,
    }
    of = f"alerts {org_id} {filters} {since} {until}"
    place = typed_place(of, after, int, str)
    wanted = Wanted(org_id, filters, span, place, limit + 1)
    found = await held.clickhouse.ask(lambda c: page(c, ALERTS, wanted))
    return paged(of, found, limit)
