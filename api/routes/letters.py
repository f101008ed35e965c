"""Dead letters: what was rejected and why, what its bytes say, and putting it back after a fix.

Whose is a dead letter? Nobody checked what its bytes say before they were rejected, and malformed
bytes say nothing that can be trusted. So it belongs to the organisation that they name if they are
one whole value of a known schema (a number out of its limits, a time too far off, ...). Everything
else, and everything above WHOLE_BYTES, is seen by operators only.
"""

from datetime import datetime
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from api.access import Caller, OrgOrAll, TheServices, demand
from api.pages import DEFAULT_LIMIT, CursorText, Limit, Page, cursor, typed_place
from api.problems import Problem, not_found, unavailable
from api.routes.selection import between
from api.services import Services
from schemas.access import OPERATORS
from schemas.inspect import Inspected, inspect
from schemas.reasons import MAX_VALUE_BYTES, Reason
from schemas.topics import Topic
from sinks.clickhouse import ClickHouse
from sinks.letters import Letter, LetterFilter, letter, letters
from streams.replay import Bytes, Replay
from streams.worker import HOT_TOPICS

router = APIRouter(tags=["dead letters"])
WHOLE_BYTES = MAX_VALUE_BYTES
HEX_BYTES = 4_096
CHUNK = 500
LOOKED_AT_MAX = 5_000
"""How many letters a page may look at; few of them may be the organisation's."""
LetterId = Annotated[str, Path(pattern=r"^\d{1,9}-\d{1,18}$", examples=["0-1042"])]


class ReplayBody(BaseModel):
    """That it was put back on its topic."""

    author: str
    at: datetime


class LetterBody(BaseModel):
    """A rejected record, without its bytes."""

    letter_id: str = Field(examples=["0-1042"])
    org_id: str | None = Field(description="null: its bytes do not say; operators only.")
    source_topic: str = Field(examples=["inference-events"])
    source_partition: int
    source_offset: int
    source_timestamp: datetime | None
    rejected_at: datetime
    reason_code: Reason
    reason: str = Field(examples=["latency_ms is nan"])
    field: str | None = Field(examples=["latency_ms"])
    value_bytes: int | None = Field(description="null: there was no value.")
    replayed: ReplayBody | None = Field(description="As far as this process knows.")


class Opened(LetterBody):
    """With what the bytes say, field by field as far as they go, and their beginning in hex."""

    schema_id: int | None
    record: str | None = Field(description="null: no schema that is known.")
    whole: bool = Field(description="The bytes are exactly one value of the record.")
    fields: dict[str, Any] | None = Field(
        description="Those before `broken_at`, which may be nonsense unless `whole`."
    )
    broken_at: str | None = Field(description="The field that the bytes do not fit.")
    left_bytes: int = Field(description="Bytes after what was decoded.")
    key_hex: str | None
    value_hex: str | None
    value_hex_cut: bool


class Replayed(BaseModel):
    """The record is on its topic again. If it is still bad, it comes back as a new dead letter."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "letter_id": "0-1042",
                "source_topic": "inference-events",
                "replayed": {"author": "key:abcdefghijkl", "at": "2026-11-24T12:00:00Z"},
                "now": True,
            }
        }
    )

    letter_id: str
    source_topic: str
    replayed: ReplayBody
    now: bool = Field(description="false: it was put back before; nothing was done now.")


@router.get("/dead-letters/", summary="What was rejected", response_model=Page[LetterBody])
async def list_letters(
    org_id: OrgOrAll,
    held: TheServices,
    topic: Annotated[Topic | None, Query(description="Where it stood.")] = None,
    reason: Reason | None = None,
    since: Annotated[datetime | None, Query(alias="from")] = None,
    until: Annotated[datetime | None, Query(alias="to", description="Exclusive.")] = None,
    limit: Limit = DEFAULT_LIMIT,
    after: Annotated[CursorText, Query(alias="cursor")] = None,
) -> dict[str, Any]:
    """What was rejected, the newest first. Operators who name no organisation see everything.

    A page may have fewer items than `limit`, even none, and still have a next one.
    """
    begin, end = between(since, until)
    name = "" if topic is None else held.kafka.topic(topic)
    wanted = LetterFilter(name, reason or "", org_id or "", begin, end)
    of = f"letters {org_id} {topic} {reason} {since} {until}"
    place = typed_place(of, after, int, int, int)
    found, ended_at = await held.clickhouse.ask(
        lambda clickhouse: _mine(held, clickhouse, org_id, wanted, place, limit)
    )
    return {
        "items": [_body(held, item, said) for item, said in found],
        "next_cursor": None if ended_at is None else cursor(of, ended_at),
    }


@router.get(
    "/dead-letters/{letter_id}/",
    summary="One rejected record with its bytes",
    response_model=Opened,
)
async def open_letter(letter_id: LetterId, org_id: OrgOrAll, held: TheServices) -> dict[str, Any]:
    """One dead letter with its bytes: decoded as far as they go, and in hex."""
    found, said = await _one(held, letter_id, org_id)
    value = found.value
    return {
        **_body(held, found, said),
        "schema_id": said.schema_id,
        "record": said.record,
        "whole": said.whole,
        "fields": None if said.fields is None else {k: _shown(v) for k, v in said.fields.items()},
        "broken_at": said.broken_at,
        "left_bytes": said.left_bytes,
        "key_hex": None if found.key is None else found.key[:HEX_BYTES].hex(),
        "value_hex": None if value is None else value[:HEX_BYTES].hex(),
        "value_hex_cut": value is not None and len(value) > HEX_BYTES,
    }


@router.post(
    "/dead-letters/{letter_id}/replay/",
    summary="Put it back on its topic, once",
    response_model=Replayed,
)
async def replay_letter(
    letter_id: LetterId, principal: Caller, org_id: OrgOrAll, held: TheServices
) -> dict[str, Any]:
    """Puts the untouched bytes back on their topic, with their key: once, however often asked.

    Takes an admin of the organisation that the letter belongs to, or an operator.
    """
    found, said = await _one(held, letter_id, org_id)
    demand(principal, "administer", said.org_id or OPERATORS)
    if held.replays is None:
        raise unavailable("this process puts nothing back", 60)
    if found.source_topic not in {held.kafka.topic(topic) for topic in HOT_TOPICS}:
        text = f"{found.source_topic} is not a topic of this installation that events come on"
        raise Problem(409, "not-replayable", text)
    record = Bytes(found.source_topic, found.key, found.value)
    replays, now = held.replays, held.clock()
    note, done = await to_thread.run_sync(
        lambda: replays.replay(letter_id, record, principal.name, now)
    )
    return {
        "letter_id": letter_id,
        "source_topic": found.source_topic,
        "replayed": _note(note),
        "now": done,
    }


def _mine(
    held: Services,
    clickhouse: ClickHouse,
    org_id: str | None,
    wanted: LetterFilter,
    place: Any,
    limit: int,
) -> tuple[list[tuple[Letter, Inspected]], tuple[int, int, int] | None]:
    """Up to `limit` letters, and where to go on; None: there are no more."""
    found: list[tuple[Letter, Inspected]] = []
    looked_at = 0
    while looked_at < LOOKED_AT_MAX:
        chunk = letters(clickhouse, wanted, place, CHUNK, WHOLE_BYTES)
        for item in chunk:
            place = item.place
            looked_at += 1
            said = _said(held, item)
            if org_id is None or said.org_id == org_id:
                found.append((item, said))
                if len(found) == limit:
                    return found, place
        if len(chunk) < CHUNK:
            return found, None
    return found, place


async def _one(held: Services, letter_id: str, org_id: str | None) -> tuple[Letter, Inspected]:
    """Raises Problem 404 for what is not there or not the caller's."""
    partition, _, offset = letter_id.partition("-")
    if int(partition) >= 2**31 or int(offset) >= 2**63:
        raise not_found(f"dead letter {letter_id}")
    found = await held.clickhouse.ask(lambda c: letter(c, int(partition), int(offset)))
    if found is None:
        raise not_found(f"dead letter {letter_id}")
    said = _said(held, found)
    if org_id is not None and said.org_id != org_id:
        raise not_found(f"dead letter {letter_id}")
    return found, said


def _said(held: Services, found: Letter) -> Inspected:
    if found.value is None or len(found.value) > WHOLE_BYTES:
        return Inspected()
    return inspect(found.value, held.codec.catalog)


def _body(held: Services, found: Letter, said: Inspected) -> dict[str, Any]:
    note = held.replays.of(found.letter_id) if held.replays is not None else None
    return {
        "letter_id": found.letter_id,
        "org_id": said.org_id,
        "source_topic": found.source_topic,
        "source_partition": found.source_partition,
        "source_offset": found.source_offset,
        "source_timestamp": found.source_timestamp,
        "rejected_at": found.rejected_at,
        "reason_code": found.reason_code,
        "reason": found.reason,
        "field": found.field,
        "value_bytes": found.value_bytes,
        "replayed": None if note is None else _note(note),
    }


def _note(note: Replay) -> dict[str, Any]:
    return {"author": note.author, "at": note.at}


def _shown(value: Any) -> Any:
    """As JSON can hold it: JSON has no NaN and no bytes."""
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return str(value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {k: _shown(v) for k, v in value.items()}
    return [_shown(v) for v in value] if isinstance(value, list | tuple) else value
