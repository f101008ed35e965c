"""Facts as JSON. Rendered once and kept as bytes for as long as the fact stands: reads are joins
of bytes."""

import dataclasses
from collections.abc import Iterable
from datetime import datetime
from typing import Any
from zlib import crc32

import orjson
from starlette.responses import Response

from agents.access.authorise import Principal
from schemas.entities import ApiKey, Entity, Model
from schemas.records import RegistryFact

OPTIONS = orjson.OPT_UTC_Z
KEPT = 50_000
"""Facts; all are forgotten when there are more."""


def plain(entity: Entity) -> dict[str, Any]:
    """An entity as JSON values, every field given; never the hash of a key."""
    found: dict[str, Any] = orjson.loads(orjson.dumps(entity, option=OPTIONS))
    if isinstance(entity, ApiKey):
        del found["secret_sha256"]
    return found


def meta(fact: RegistryFact) -> dict[str, Any]:
    """What stands beside an entity as `meta`."""
    return {
        "key": fact.entity.key,
        "version": fact.version,
        "author": fact.author,
        "accepted_at": fact.accepted_at,
        "deleted": fact.deleted,
    }


def etag(fact: RegistryFact) -> str:
    """Of one version of one entity."""
    return f'"{fact.version}.{crc32(fact.entity.key.encode()):08x}"'


@dataclasses.dataclass(slots=True)
class _Kept:
    fact: RegistryFact
    until: datetime | None
    body: bytes


class Renderer:
    """One per app; used by the event loop's thread only."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, bool], _Kept] = {}

    def body(self, fact: RegistryFact, principal: Principal, now: datetime) -> bytes:
        """The entity with its `meta`, as a JSON object."""
        foreign = is_foreign(principal, fact.entity)
        name = (fact.entity.key, foreign)
        kept = self._kept.get(name)
        if kept is not None and kept.fact is fact and (kept.until is None or now < kept.until):
            return kept.body
        made = _Kept(fact, _until(fact.entity, now), _rendered(fact, foreign, now))
        if len(self._kept) >= KEPT:
            self._kept.clear()
        self._kept[name] = made
        return made.body


def page_body(bodies: Iterable[bytes], next_cursor: str | None) -> bytes:
    """One page of a list (see api.pages.Page)."""
    end = b',"next_cursor":' + orjson.dumps(next_cursor) + b"}"
    return b'{"items":[' + b",".join(bodies) + b"]" + end


def json_response(
    body: bytes, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """An answer of bytes that are JSON already."""
    return Response(body, status, headers, "application/json")


def with_fields(body: bytes, **more: Any) -> bytes:
    """A JSON object with more fields at its end."""
    return body[:-1] + b"," + orjson.dumps(more, option=OPTIONS)[1:]


def is_foreign(principal: Principal, entity: Entity) -> bool:
    """Whether the entity is shown to the caller although it belongs to others."""
    return principal.role != "operator" and entity.org_id != principal.org_id


def shown_to(principal: Principal, entity: Entity) -> Entity:
    """The entity without what only its organisation may know: where a secret is kept."""
    return _without_secrets(entity) if is_foreign(principal, entity) else entity


def _without_secrets(entity: Entity) -> Entity:
    if isinstance(entity, Model) and entity.endpoint is not None:
        endpoint = dataclasses.replace(entity.endpoint, secret_ref=None)
        return dataclasses.replace(entity, endpoint=endpoint)
    return entity


def _rendered(fact: RegistryFact, foreign: bool, now: datetime) -> bytes:
    entity = _without_secrets(fact.entity) if foreign else fact.entity
    found: dict[str, Any] = plain(entity)
    if isinstance(entity, Model):
        found["status_now"] = entity.status_at(now)
    return orjson.dumps({**found, "meta": meta(fact)}, option=OPTIONS)


def _until(entity: Entity, now: datetime) -> datetime | None:
    """When the rendering stops to be true by itself."""
    if isinstance(entity, Model) and entity.retires_at is not None and entity.retires_at > now:
        return entity.retires_at
    return None
