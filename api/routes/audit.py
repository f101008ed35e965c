"""Who changed what, and who tried to."""

import dataclasses
from datetime import datetime
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Query
from pydantic import BaseModel
from starlette.responses import Response

from api.access import Caller, Org, Reads, TheApi, demand
from api.crud import add_route, paged
from api.pages import DEFAULT_LIMIT, CursorText, Limit, cursor, typed_place
from api.problems import not_found
from api.render import OPTIONS, json_response
from schemas.commands import Action, OutcomeStatus
from schemas.models import Moment
from sinks.audit import AuditFilter, CommandRow, FactRow, commands, history
from sinks.clickhouse import ClickHouse

router = APIRouter()
TAG = "audit"
Key = Annotated[str, Query(min_length=1, max_length=1024, examples=["acme/model/small/1"])]
Text = Annotated[str, Query(max_length=1024)]


class FactBody(BaseModel):
    """One version of an entity; of a deletion, what was deleted."""

    key: str
    version: int
    author: str
    accepted_at: datetime | None
    command_id: str
    deleted: bool
    entity: dict[str, Any] | None


class ProblemRowBody(BaseModel):
    """Why a change was not made."""

    field: str
    text: str
    current_version: int | None


class CommandBody(BaseModel):
    """One change of a judged command."""

    command_id: str
    change: int
    key: str
    action: Action
    status: OutcomeStatus
    author: str
    submitted_at: datetime
    decided_at: datetime
    expected_version: int | None
    version: int | None
    problems: list[ProblemRowBody]


async def get_history(
    scoped: Reads,
    api: TheApi,
    org_id: Org,
    key: Key,
    limit: Limit = DEFAULT_LIMIT,
    after: Annotated[CursorText, Query(alias="cursor")] = None,
) -> Response:
    """Every version of one entity, the newest first. From ClickHouse: some seconds behind."""
    last = scoped.last(key)
    if last is None or last.entity.org_id != org_id:
        raise not_found(f"entity {key}")
    place = typed_place(f"history {key}", after, int)

    def question(clickhouse: ClickHouse) -> list[FactRow]:
        return history(clickhouse, org_id, key, place[0] if place else None, limit + 1)

    rows = await api.services.clickhouse.ask(question)
    return _page(rows, limit, lambda row: cursor(f"history {key}", [row.offset]))


async def get_commands(
    principal: Caller,
    api: TheApi,
    org_id: Org,
    key: Text = "",
    kind: Text = "",
    author: Text = "",
    status: Literal["", "accepted", "conflict", "refused", "expired"] = "",
    since: Moment | None = None,
    until: Moment | None = None,
    limit: Limit = DEFAULT_LIMIT,
    after: Annotated[CursorText, Query(alias="cursor")] = None,
) -> Response:
    """Every change that was judged, the refused ones too, the newest first. For admins."""
    demand(principal, "administer", org_id)
    wanted = AuditFilter(key, kind, author, status, since, until)
    listed = f"commands {org_id} {wanted}"
    place = typed_place(listed, after, int, int)

    def question(clickhouse: ClickHouse) -> list[CommandRow]:
        before = (place[0], place[1]) if place else None
        return commands(clickhouse, org_id, wanted, before, limit + 1)

    rows = await api.services.clickhouse.ask(question)
    return _page(rows, limit, lambda row: cursor(listed, [row.offset, row.change]))


def _page(rows: list[Any], limit: int, next_cursor: Any) -> Response:
    shown = [dataclasses.asdict(row) for row in rows[:limit]]
    for row in shown:
        del row["offset"]
    after = next_cursor(rows[limit - 1]) if len(rows) > limit else None
    return json_response(orjson.dumps({"items": shown, "next_cursor": after}, option=OPTIONS))


add_route(
    router,
    get_history,
    "/audit/history/",
    "GET",
    "The history of one entity",
    {200: paged(FactBody)},
    TAG,
)
add_route(
    router,
    get_commands,
    "/audit/commands/",
    "GET",
    "What was asked of the registry, and what became of it",
    {200: paged(CommandBody)},
    TAG,
)
