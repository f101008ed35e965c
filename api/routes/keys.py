"""API keys: made, shown once, listed, revoked."""

from base64 import b32encode
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field, create_model
from starlette.responses import Response

from agents.access.authenticate import last_use
from agents.access.authorise import Principal
from agents.access.keys import KeyWish, NewKey, new_key, why_unusable
from api.access import Addressed, Caller, Org, OrgGiven, Reads, TheApi, target
from api.conditions import effects
from api.crud import add_route, found, paged
from api.editing import Decision, Edit, TheEdit
from api.kinds import Kind, resource_model
from api.listing import page, wanted_model
from api.problems import Problem, invalid, not_found
from api.render import etag, json_response, page_body, with_fields
from api.runtime import Api
from schemas.access import OPERATORS, AccessRole, KeyId
from schemas.entities import ApiKey, Entity, User
from schemas.models import Moment
from schemas.records import RegistryFact
from schemas.types import Label, Name

router = APIRouter()
KEYS = Kind(ApiKey, "/keys/", "API key", ("key_id",))
TAG = "access"
EXTRAS: dict[str, Any] = {
    "state": (str, Field(description="active, or why it opens nothing.", examples=["active"])),
    "last_used_at": (Moment | None, Field(description="To within an hour; null: never.")),
}
KeyBody: Any = resource_model(ApiKey, EXTRAS, without=("secret_sha256",))
MadeKey: Any = create_model(
    "NewApiKey",
    __base__=KeyBody,
    token=(str, Field(description="The key itself. It is shown only in this answer.")),
)
KeysWanted: Any = wanted_model(ApiKey, without=("secret_sha256",))


class KeyInput(BaseModel):
    """What a key is to be. It belongs to a program, or to the user named."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"name": "ci", "role": "editor", "expires_in_days": 90}]},
    )

    role: AccessRole
    name: Label = ""
    user_id: Name | None = None
    expires_at: Moment | None = None
    expires_in_days: Annotated[int, Field(ge=1, le=3650)] | None = Field(
        None, description="Instead of expires_at."
    )
    org_id: Name | None = Field(None, description="For operators.")


async def create_key(edit: TheEdit, body: KeyInput, org_id: OrgGiven = None) -> Response:
    """Makes a key and shows it, this once. Nobody can make one that may more than they."""
    made = _new(edit, body, _organisation(edit.principal, org_id or body.org_id, body.role))
    if effects([edit.api.gate.registry().last(made.entity.key)], edit.command_id):
        text = (
            f"key {made.entity.key_id} was made already by this request, and was shown then. If it "
            "is lost, revoke it and make another"
        )
        raise Problem(409, "key-shown-already", text, key_id=made.entity.key_id)

    def decide(last: RegistryFact | None) -> Decision:
        return Decision("create", made.entity, 0 if last is None else last.version)

    await edit.apply(made.entity.key, decide)
    fact = found(KEYS, edit.renewed(), made.entity.key)
    body_bytes = with_fields(_shown(edit.api, edit.principal, fact), token=made.token)
    return json_response(body_bytes, 201, {"ETag": etag(fact), "Cache-Control": "no-store"})


async def list_keys(principal: Caller, scoped: Reads, api: TheApi, wanted: Any) -> Response:
    """Keys without their secrets. For admins."""
    facts = (scoped.deleted if wanted.deleted else scoped.facts)(ApiKey, wanted.org_id)
    shown, after = page(facts, wanted, "keys", api.services.clock())
    return json_response(page_body((_shown(api, principal, f) for f in shown), after))


async def get_key(
    principal: Caller, scoped: Reads, api: TheApi, org_id: Addressed, key_id: KeyId
) -> Response:
    """One key without its secret. For admins."""
    fact = found(KEYS, scoped, KEYS.key(org_id, (key_id,)))
    return json_response(_shown(api, principal, fact), headers={"ETag": etag(fact)})


async def revoke_key(edit: TheEdit, org_id: Org, key_id: KeyId) -> Response:
    """Revokes a key, for good and in every process within milliseconds. It stays listed."""
    now = edit.api.services.clock()

    def decide(last: RegistryFact | None) -> Decision:
        if last is None or last.deleted:
            raise not_found(f"API key {key_id}")
        return Decision("update", _revoked(last.entity, now), last.version)

    await edit.apply(KEYS.key(org_id, (key_id,)), decide)
    return Response(status_code=204)


def _revoked(key: Entity, now: Any) -> ApiKey:
    assert isinstance(key, ApiKey)
    return key if key.revoked_at is not None else replace(key, revoked_at=now)


def _organisation(principal: Principal, org_id: str | None, role: AccessRole) -> str:
    if role == "operator" and principal.role == "operator":
        return OPERATORS
    return target(principal, org_id)


def _new(edit: Edit, body: KeyInput, org_id: str) -> NewKey:
    now = edit.api.services.clock()
    expires_at = body.expires_at
    if body.expires_in_days is not None:
        if expires_at is not None:
            raise invalid("expires_in_days", "and expires_at exclude each other")
        expires_at = now + timedelta(days=body.expires_in_days)
    if expires_at is not None and expires_at <= now:
        raise invalid("expires_at", "has passed already")
    user = f"{org_id}/{User.kind}/{body.user_id}"
    if body.user_id is not None and edit.scoped.entity(User, user) is None:
        raise invalid("user_id", f"{org_id} has no user {body.user_id}")
    made = new_key(KeyWish(org_id, body.role, body.name, body.user_id, expires_at), now)
    if edit.command_id is None:
        return made
    # The same request finds the key that it made, whichever process it reaches.
    mark = edit.command_id.partition(".")[0].encode()
    key_id = b32encode(sha256(mark).digest()).decode().lower()[:12]
    token = made.token.replace(made.entity.key_id, key_id, 1)
    return NewKey(replace(made.entity, key_id=key_id), token)


def _shown(api: Api, principal: Principal, fact: RegistryFact) -> bytes:
    key, now = fact.entity, api.services.clock()
    assert isinstance(key, ApiKey)
    use = last_use(api.gate.registry(), key)
    return with_fields(
        api.renderer.body(fact, principal, now),
        state=why_unusable(key, now) or "active",
        last_used_at=None if use is None else use.last_used_at,
    )


add_route(router, create_key, "/keys/", "POST", "Make an API key", {201: MadeKey}, TAG)
add_route(
    router,
    list_keys,
    "/keys/",
    "GET",
    "List API keys",
    {200: paged(KeyBody)},
    TAG,
    wanted=Annotated[KeysWanted, Query()],
)
add_route(router, get_key, "/keys/{key_id}/", "GET", "Get an API key", {200: KeyBody}, TAG)
add_route(router, revoke_key, "/keys/{key_id}/", "DELETE", "Revoke an API key", {204: None}, TAG)
