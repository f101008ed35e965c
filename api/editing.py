"""One request that changes one entity: conditions, the caller's rights, the command, the answer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.responses import Response

from agents.access.authorise import Principal, action_for, may_grant
from agents.access.scope import Scoped
from agents.errors import RegistryConflict
from api.access import Caller, Reads, TheApi, demand
from api.conditions import (
    Condition,
    IdempotencyKey,
    IfMatch,
    IfNoneMatch,
    command_id,
    condition,
    effects,
    failed,
)
from api.kinds import Kind
from api.problems import Problem, invalid, not_found
from api.render import etag, json_response
from api.runtime import Api
from schemas.commands import Change
from schemas.entities import ApiKey, Entity, User
from schemas.records import RegistryFact

ATTEMPTS = 5
"""At a change that sets no condition, when others change the same entity meanwhile."""
REPLAY = {"Idempotent-Replay": "true"}
Decide = Callable[[RegistryFact | None], "Decision"]


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do about the entity as it is: `entity` for create and update; `expected`: the version
    seen, 0 when there never was one."""

    action: Literal["create", "update", "delete", "restore"]
    entity: Entity | None = None
    expected: int = 0


@dataclass(slots=True)
class Edit:
    """What every change of one entity has in common, from its request."""

    api: Api
    principal: Principal
    scoped: Scoped
    condition: Condition
    command_id: str | None

    async def apply(self, key: str, decide: Decide, again: int = 200) -> Response:
        """Makes the change that `decide` finds right for the entity under the key as the caller
        sees it, and shows what came of it. `again`: the status when it was made before."""
        known = self.last(key)
        if known is not None and effects([known], self.command_id):
            self.may(known.entity)
            return self.shown(known, again, REPLAY)
        for attempt in range(ATTEMPTS):
            last = self.last(key)
            self.check(key, last)
            decision = decide(last)
            self.may(decision.entity if decision.entity is not None else _entity(last))
            try:
                return await self._made(key, decision)
            except RegistryConflict as conflict:
                if self.condition.given:
                    raise failed(str(conflict.problems[0].text), conflict.current_version) from None
                if attempt == ATTEMPTS - 1:
                    raise
                await self.api.writer.catch_up({key: conflict.current_version})
        raise AssertionError("the last attempt ends the loop")

    async def _made(self, key: str, decision: Decision) -> Response:
        change = Change(decision.action, key, decision.expected, decision.entity)
        await self.api.writer.submit([change], self.principal, self.command_id)
        fact = self.api.gate.registry().last(key)
        assert fact is not None, "a write returns when its fact is visible"
        if decision.action == "delete":
            return Response(status_code=204, headers={"ETag": etag(fact)})
        return self.shown(fact, 201 if decision.action == "create" else 200, {})

    async def apply_all(self, changes: Sequence[Change]) -> Mapping[str, int]:
        """Makes several changes, all or none. Each key's new version.

        Raises Problem when the caller may not make one of them.
        """
        for change in changes:
            entity = change.entity
            self.may(entity if entity is not None else _entity(self.last(change.key)))
        return await self.api.writer.submit(changes, self.principal, self.command_id)

    def shown(self, fact: RegistryFact, status: int, headers: dict[str, str]) -> Response:
        """The entity as the answer to a change."""
        headers = {"ETag": etag(fact), **headers}
        if status == 204:
            return Response(status_code=204, headers=headers)
        body = self.api.renderer.body(fact, self.principal, self.api.services.clock())
        return json_response(body, status, headers)

    def last(self, key: str) -> RegistryFact | None:
        """The newest fact under the key that the caller may see."""
        return self.renewed().last(key)

    def check(self, key: str, last: RegistryFact | None) -> None:
        """Conditions that can be seen not to hold. The agent judges the rest."""
        there = last is not None and not last.deleted
        version = 0 if last is None else last.version
        if self.condition.absent and there:
            raise failed(f"{key} exists, in version {version}", version)
        if (self.condition.any_version or self.condition.versions) and not there:
            raise failed(f"{key} does not exist", version)
        if self.condition.versions and last is not None and not self._named(last):
            raise failed(f"{key} has version {version}", version)

    def _named(self, last: RegistryFact) -> bool:
        """Whether the condition names the version that there is."""
        mark = etag(last)[1:-1].partition(".")[2]
        return any(v == last.version and m in ("", mark) for v, m in self.condition.versions)

    def renewed(self) -> Scoped:
        """What the caller sees by now."""
        return Scoped(self.api.gate.registry(), self.principal)

    def may(self, entity: Entity) -> None:
        """Raises Problem when the caller may not change it."""
        demand(self.principal, action_for(entity), entity.org_id)
        if isinstance(entity, User | ApiKey):
            denied = may_grant(self.principal, entity.role)
            if denied is not None:
                raise Problem(403, "forbidden", denied.reason)


def _entity(last: RegistryFact | None) -> Entity:
    assert last is not None, "only what exists is deleted or restored"
    return last.entity


async def edit(
    request: Request,
    principal: Caller,
    api: TheApi,
    scoped: Reads,
    if_match: IfMatch = None,
    if_none_match: IfNoneMatch = None,
    idempotency_key: IdempotencyKey = None,
) -> Edit:
    """The change that a request asks for."""
    return Edit(
        api,
        principal,
        scoped,
        condition(if_match, if_none_match),
        await command_of(request, principal, idempotency_key),
    )


TheEdit = Annotated[Edit, Depends(edit)]


async def command_of(request: Request, principal: Principal, key: str | None) -> str | None:
    """The command's id under an Idempotency-Key; None without one."""
    if key is None:
        return None
    asked = f"{request.method} {request.url.path}?{request.url.query}\n".encode()
    return command_id(principal.name, key, asked + await request.body())


def creation(kind: Kind, entity: Entity) -> Decide:
    """Makes what must not exist."""

    def decide(last: RegistryFact | None) -> Decision:
        _usable(kind, entity)
        if last is not None and not last.deleted:
            text = f"{entity.key} exists already, in version {last.version}"
            raise Problem(409, "version-conflict", text, current_version=last.version)
        return Decision("create", entity, _version(last))

    return decide


def replacement(kind: Kind, entity: Entity) -> Decide:
    """Makes or replaces."""

    def decide(last: RegistryFact | None) -> Decision:
        if last is None or last.deleted:
            _usable(kind, entity)
            return Decision("create", entity, _version(last))
        return Decision("update", entity, last.version)

    return decide


def merging(kind: Kind, change: Callable[[Entity], Entity]) -> Decide:
    """Changes what exists."""

    def decide(last: RegistryFact | None) -> Decision:
        if last is None or last.deleted:
            raise not_found(f"such {kind.noun}")
        return Decision("update", change(last.entity), last.version)

    return decide


def removal(kind: Kind) -> Decide:
    """Deletes what exists."""

    def decide(last: RegistryFact | None) -> Decision:
        if last is None or last.deleted:
            raise not_found(f"such {kind.noun}")
        return Decision("delete", None, last.version)

    return decide


def return_of(kind: Kind) -> Decide:
    """Brings back what was deleted."""

    def decide(last: RegistryFact | None) -> Decision:
        if last is None:
            raise not_found(f"such {kind.noun}")
        return Decision("restore", None, last.version)

    return decide


def entity_of(kind: Kind, body: BaseModel, given: dict[str, str]) -> Entity:
    """The entity that a body and its address describe. Raises Problem when they contradict."""
    values = {name: getattr(body, name) for name in type(body).model_fields}
    for name, value in given.items():
        if values[name] not in (None, value):
            raise invalid(name, f"is {values[name]!r} here and {value!r} in the address")
        values[name] = value
    return kind.cls(**values)


def merged(current: Any, patch: Any) -> Any:
    """JSON Merge Patch (RFC 7396): null removes, objects merge, everything else replaces."""
    if not isinstance(patch, dict):
        return patch
    found = dict(current) if isinstance(current, dict) else {}
    for name, value in patch.items():
        if value is None:
            found.pop(name, None)
        else:
            found[name] = merged(found.get(name), value)
    return found


def validated(model: type[BaseModel], value: Any) -> BaseModel:
    """The value as a body. Raises RequestValidationError with the fields that are wrong."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        found = [{**e, "loc": ("body", *e["loc"])} for e in error.errors(include_url=False)]
        raise RequestValidationError(found) from error


def _version(last: RegistryFact | None) -> int:
    return 0 if last is None else last.version


def _usable(kind: Kind, entity: Entity) -> None:
    for name in kind.ids:
        if getattr(entity, name) in kind.reserved:
            raise invalid(name, f"is part of the API's addresses: {', '.join(kind.reserved)}")


def ids_of(kind: Kind, given: Sequence[str]) -> dict[str, str]:
    """What the address says, by field."""
    return dict(zip(kind.ids, given, strict=True))
