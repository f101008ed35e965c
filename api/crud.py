"""The endpoints of one kind of entity: list, create, get, replace, change, delete, restore.

The same code for every kind: what differs is in its `Kind`.
"""

import inspect
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Depends, Path, Query
from starlette.responses import Response

from agents.access.scope import Scoped
from api.access import Addressed, Caller, Org, OrgGiven, Reads, TheApi, target
from api.answers import KeptResponse
from api.editing import (
    TheEdit,
    creation,
    entity_of,
    merged,
    merging,
    removal,
    replacement,
    return_of,
    validated,
)
from api.examples import PATCHES
from api.kinds import Input, Kind, fields_of, input_model, resource_model
from api.listing import page, wanted_model
from api.pages import Page
from api.problems import not_found
from api.render import etag, json_response, page_body, plain
from api.runtime import Api
from schemas.entities import Entity
from schemas.records import RegistryFact

Operation = Literal["list", "create", "get", "replace", "change", "delete", "restore"]
ALL: Sequence[Operation] = ("list", "create", "get", "replace", "change", "delete", "restore")
MERGE_PATCH = "application/merge-patch+json"


Guard = Callable[[Entity, Scoped, Api], None]


class Crud:
    """Adds a kind's endpoints to a router. `given`: the path's parameters are `kind.ids`.

    `guard`: is shown what is to be deleted, and raises when that cannot be.
    """

    def __init__(self, kind: Kind, router: APIRouter, tag: str, guard: Guard | None = None) -> None:
        self.kind = kind
        self.guard = guard
        self.router = router
        self.tag = tag
        self.new = input_model(kind.cls, ("org_id", *_parents(kind)), "New")
        self.put = input_model(kind.cls, ("org_id", *kind.ids), "")
        self.resource = resource_model(kind.cls, dict(kind.extras))

    def add(self, *operations: Operation) -> None:
        """The endpoints named, or all."""
        for name in operations or ALL:
            getattr(self, f"_{name}")()

    def _list(self) -> None:
        kind = self.kind
        wanted_type = wanted_model(kind.cls, _parents(kind))

        async def endpoint(
            principal: Caller, scoped: Reads, api: TheApi, parents: Any, wanted: Any
        ) -> Response:
            now = api.services.clock()
            facts = scoped.deleted if wanted.deleted else scoped.facts
            found = [f for f in facts(kind.cls, wanted.org_id) if within(f, parents)]
            if parents and not found and not wanted.deleted:
                _demand_owner(kind, scoped, wanted.org_id, parents)
            shown, after = page(found, wanted, f"{kind.path}{parents}", now)
            body = page_body((api.renderer.body(f, principal, now) for f in shown), after)
            if wanted.deleted:
                return json_response(body)
            until = api.models.next_change(scoped.registry, now)
            return KeptResponse(body, scoped.registry, [kind.cls], until)

        self._route(
            endpoint,
            kind.path,
            "GET",
            f"List {kind.noun}s",
            {200: paged(self.resource)},
            parents=address(_parents(kind)),
            wanted=Annotated[wanted_type, Query()],
        )

    def _create(self) -> None:
        kind = self.kind

        async def endpoint(
            edit: TheEdit, parents: Any, body: Any, org_id: OrgGiven = None
        ) -> Response:
            org = target(edit.principal, org_id or body.org_id)
            entity = entity_of(kind, body, {"org_id": org, **parents})
            return await edit.apply(entity.key, creation(kind, entity), 201)

        self._route(
            endpoint,
            kind.path,
            "POST",
            f"Create: {kind.noun}",
            {201: self.resource},
            parents=address(_parents(kind)),
            body=self.new,
        )

    def _get(self) -> None:
        kind = self.kind

        async def endpoint(
            principal: Caller, scoped: Reads, api: TheApi, org_id: Addressed, ids: Any
        ) -> Response:
            fact = found(kind, scoped, key_of(kind, org_id, ids))
            now = api.services.clock()
            return KeptResponse(
                api.renderer.body(fact, principal, now),
                scoped.registry,
                [kind.cls],
                api.models.next_change(scoped.registry, now),
                {"ETag": etag(fact)},
            )

        self._item(endpoint, "GET", f"Get: {kind.noun}", {200: self.resource})

    def _replace(self) -> None:
        kind = self.kind

        async def endpoint(edit: TheEdit, org_id: Org, ids: Any, body: Any) -> Response:
            entity = entity_of(kind, body, {"org_id": org_id, **ids})
            return await edit.apply(entity.key, replacement(kind, entity))

        answers = {200: self.resource, 201: self.resource}
        self._item(endpoint, "PUT", f"Create or replace: {kind.noun}", answers, body=self.put)

    def _change(self) -> None:
        kind, model = self.kind, self.put

        async def endpoint(edit: TheEdit, org_id: Org, ids: Any, patch: Any) -> Response:
            change = patching(kind, model, patch, {"org_id": org_id, **ids})
            return await edit.apply(key_of(kind, org_id, ids), merging(kind, change))

        self._item(
            endpoint,
            "PATCH",
            f"Change fields: {kind.noun}",
            {200: self.resource},
            patch=patch_type(kind.cls),
        )

    def _delete(self) -> None:
        kind = self.kind

        async def endpoint(edit: TheEdit, org_id: Org, ids: Any) -> Response:
            key = key_of(kind, org_id, ids)
            there = edit.scoped.get(key)
            if self.guard is not None and there is not None:
                self.guard(there.entity, edit.scoped, edit.api)
            return await edit.apply(key, removal(kind), 204)

        self._item(endpoint, "DELETE", f"Delete: {kind.noun}", {204: None})

    def _restore(self) -> None:
        kind = self.kind

        async def endpoint(edit: TheEdit, org_id: Org, ids: Any) -> Response:
            return await edit.apply(key_of(kind, org_id, ids), return_of(kind))

        self._item(
            endpoint,
            "POST",
            f"Bring back what was deleted: {kind.noun}",
            {200: self.resource},
            below="restore/",
        )

    def _item(
        self,
        endpoint: Any,
        method: str,
        summary: str,
        answers: dict[int, Any],
        below: str = "",
        **typed: Any,
    ) -> None:
        path = f"{self.kind.item}{below}"
        if "org_id" in self.kind.ids:  # an organisation's name is its address
            typed["org_id"] = Annotated[str, Depends(_address_itself)]
        self._route(endpoint, path, method, summary, answers, ids=address(self.kind.ids), **typed)

    def _route(
        self,
        endpoint: Any,
        path: str,
        method: str,
        summary: str,
        answers: dict[int, Any],
        **typed: Any,
    ) -> None:
        add_route(
            self.router, typed_as(endpoint, **typed), path, method, summary, answers, self.tag
        )


def add_route(
    router: APIRouter,
    endpoint: Any,
    path: str,
    method: str,
    summary: str,
    answers: dict[int, Any],
    tag: str,
    extra: dict[str, Any] | None = None,
    **typed: Any,
) -> None:
    """An endpoint that answers with a Response; `answers` are for the documentation. `typed`: the
    types of parameters that are only known when the program runs. `extra`: more for the
    documentation."""
    documented: dict[int | str, dict[str, Any]] = {
        status: {"description": "Done."}
        if model is None
        else {"description": "The answer.", "model": model}
        for status, model in answers.items()
    }
    router.add_api_route(
        path,
        typed_as(endpoint, **typed),
        methods=[method],
        summary=summary,
        responses=documented,
        status_code=min(answers),
        response_model=None,
        tags=[tag],
        openapi_extra=extra,
        operation_id=f"{method.lower()}{path}".replace("{", "").replace("}", "").replace("/", "_"),
    )


def paged(resource: Any) -> Any:
    """The model of a page of these."""
    return Page[resource]


def typed_as(endpoint: Callable[..., Any], **types_by_name: Any) -> Callable[..., Any]:
    """The endpoint with the types of some parameters set, which differ by kind."""
    endpoint.__annotations__.update(types_by_name)
    return endpoint


def address(names: Sequence[str]) -> Any:
    """The parameters of a path, as a mapping by name."""

    async def given(**values: str) -> dict[str, str]:
        return values

    parameters = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=_in_path(name))
        for name in names
    ]
    given.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return Annotated[dict[str, str], Depends(given)]


def patching(
    kind: Kind, model: type[Input], patch: dict[str, Any], given: dict[str, str]
) -> Callable[[Entity], Entity]:
    """Merges a patch into an entity, and checks what comes out."""

    def change(current: Entity) -> Entity:
        body = validated(model, merged(plain(current), patch))
        return entity_of(kind, body, given)

    return change


def patch_type(cls: type[Entity]) -> Any:
    """The body of a merge patch: any of the entity's fields."""
    text = "JSON Merge Patch: fields that are given replace, null sets the default, lists whole."
    fields = sorted(name for name in fields_of(cls) if name != "org_id")
    schema = {"propertyNames": {"enum": fields}}
    shown = [dict(PATCHES[cls.kind])]
    return Annotated[
        dict[str, Any], Body(description=text, examples=shown, json_schema_extra=schema)
    ]


def key_of(kind: Kind, org_id: str, ids: dict[str, str]) -> str:
    """The key that an address means."""
    return kind.key(org_id, [ids[name] for name in kind.ids])


def found(kind: Kind, scoped: Scoped, key: str) -> RegistryFact:
    """What there is under the key. Raises Problem 404, also for what the caller may not see."""
    fact = scoped.get(key)
    if fact is None:
        raise not_found(f"such {kind.noun}: {key.split('/', 2)[2]}")
    return fact


def within(fact: RegistryFact, parents: dict[str, str]) -> bool:
    """Whether the entity belongs to the collection at the path."""
    return all(getattr(fact.entity, name) == value for name, value in parents.items())


def _demand_owner(kind: Kind, scoped: Scoped, org_id: str | None, parents: dict[str, str]) -> None:
    """Raises Problem 404 when what a collection belongs to is not there for the caller."""
    owners = scoped.facts(kind.owner or kind.cls, org_id)
    if not any(within(fact, parents) for fact in owners):
        name, value = list(parents.items())[-1]
        raise not_found(f"{name.removesuffix('_id')} {value}")


def _parents(kind: Kind) -> Sequence[str]:
    return kind.ids[:-1]


def _in_path(name: str) -> Any:
    return Annotated[str, Path(min_length=1, max_length=256, description=f"The {name}.")]


async def _address_itself(
    org_id: Annotated[str, Path(min_length=1, max_length=256)],
) -> str:
    return org_id
