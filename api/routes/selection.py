"""Which model should serve: asked now, or as it was published."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request

from agents.policy.contributions import ModelKey
from api.access import Org, Reads, TheServices
from api.considering import Considered, Considering
from api.pages import DEFAULT_LIMIT, CursorText, Limit, Page, cursor, typed_place
from api.problems import invalid, not_found
from api.selection_bodies import Ask, Explanation, Ranked, Recommended, SelectionBody
from api.services import Services
from schemas.records import SelectionUpdate
from schemas.types import Capability
from sinks.decisions import SELECTIONS, Seen, Wanted, page
from sinks.reader import Reader

router = APIRouter(tags=["selection"])
CapabilityGiven = Annotated[Capability, Query(examples=["chat"])]


async def _considering(request: Request, held: TheServices) -> Considering:
    found: Considering | None = getattr(request.app.state, "considering", None)
    if found is None:
        found = request.app.state.considering = Considering(held.clickhouse)
    return found


TheConsidering = Annotated[Considering, Depends(_considering)]


@router.post("/selection/recommend/", summary="Who should serve", response_model=Recommended)
async def recommend(
    ask: Ask, org_id: Org, seen: Reads, held: TheServices, desk: TheConsidering
) -> dict[str, Any]:
    """Who should serve a request under these terms."""
    found = await desk.consider(seen, org_id, ask, held.clock())
    best = next((c for c in found.selection.candidates if c.eligible), None)
    return {
        **_about(found),
        "recommended": None if best is None else asdict(best),
        "serving": await _serving(held, org_id, ask.capability),
    }


@router.post("/selection/ranked/", summary="Everybody, the best first", response_model=Ranked)
async def ranked(
    ask: Ask, org_id: Org, seen: Reads, held: TheServices, desk: TheConsidering
) -> dict[str, Any]:
    """Everybody who has the capability, the best first."""
    found = await desk.consider(seen, org_id, ask, held.clock())
    return {**_about(found), "candidates": [asdict(c) for c in found.selection.candidates]}


@router.post(
    "/selection/explain/", summary="Why, and what would have to change", response_model=Explanation
)
async def explain(
    ask: Ask, org_id: Org, seen: Reads, held: TheServices, desk: TheConsidering
) -> dict[str, Any]:
    """The ranking with its reasons, and what would have to change for another to lead."""
    found = await desk.consider(seen, org_id, ask, held.clock())
    return {**_about(found), "candidates": _explained(found)}


@router.get("/selection/current/", summary="What is published", response_model=Page[SelectionBody])
async def current(
    org_id: Org, held: TheServices, capability: Capability | None = None
) -> dict[str, Any]:
    """What is published: of one capability or of all, as far as it is stored."""
    found = await _latest(held, org_id)
    if capability is None:
        return {"items": [asdict(update) for update in found]}
    mine = [asdict(update) for update in found if update.capability == capability]
    if not mine:
        raise not_found(f"selection for {capability}")
    return {"items": mine}


@router.get("/selection/history/", summary="What was published", response_model=Page[SelectionBody])
async def history(
    org_id: Org,
    held: TheServices,
    capability: CapabilityGiven,
    since: Annotated[datetime | None, Query(alias="from")] = None,
    until: Annotated[datetime | None, Query(alias="to", description="Exclusive.")] = None,
    limit: Limit = DEFAULT_LIMIT,
    after: Annotated[CursorText, Query(alias="cursor")] = None,
) -> dict[str, Any]:
    """What was published for a capability, the newest first."""
    span = between(since, until)
    of = f"selections {org_id} {capability} {since} {until}"
    place = typed_place(of, after, int, int)
    wanted = Wanted(org_id, {"capability": capability}, span, place, limit + 1)
    found = await held.clickhouse.ask(lambda c: page(c, SELECTIONS, wanted))
    return paged(of, found, limit)


def between(since: datetime | None, until: datetime | None) -> tuple[int, int]:
    """Milliseconds since 1970; without limits all of time. Raises Problem 422."""
    for name, at in (("from", since), ("to", until)):
        if at is not None and at.tzinfo is None:
            raise invalid(name, "needs a time zone, such as 2026-01-01T00:00:00Z")
        if at is not None and not 1970 <= at.year <= 2200:
            raise invalid(name, "is not between 1970 and 2200")
    begin = 0 if since is None else int(since.timestamp() * 1000)
    return begin, 7_258_118_400_000 if until is None else int(until.timestamp() * 1000)


def paged(of: str, found: list[Seen[Any]], limit: int) -> dict[str, Any]:
    """A page of at most `limit` of them; there is a next one if more were found."""
    shown = found[:limit]
    after = cursor(of, shown[-1].place) if len(found) > limit else None
    return {"items": [asdict(seen.record) for seen in shown], "next_cursor": after}


async def _latest(held: Services, org_id: str) -> list[SelectionUpdate]:
    return await held.clickhouse.ask(
        lambda clickhouse: Reader(clickhouse).latest_selections(org_id)
    )


async def _serving(held: Services, org_id: str, capability: str) -> dict[str, Any] | None:
    found = await _latest(held, org_id)
    return next((asdict(u) for u in found if u.capability == capability), None)


def _about(found: Considered) -> dict[str, Any]:
    return {
        "capability": found.policy.capability,
        "reason": found.selection.reason,
        "policy_version": found.policy_version,
        "window_minutes": found.policy.window_minutes,
        "watermark": found.watermark,
        "cached": found.cached,
        "excluded": [{**e.key._asdict(), "reasons": e.reasons} for e in found.excluded],
    }


def _explained(found: Considered) -> list[dict[str, Any]]:
    shown = []
    for candidate in found.selection.candidates:
        known = found.what_ifs.get(ModelKey(candidate.model_id, candidate.model_version))
        shown.append(
            {
                **asdict(candidate),
                "gap": known.gap if known else None,
                "behind": known.behind.model_id if known and known.behind else None,
                "obstacles": [asdict(o) for o in known.obstacles] if known else [],
                "steps": [asdict(s) for s in known.steps] if known else [],
                "what_if": known.text if known else None,
            }
        )
    return shown
