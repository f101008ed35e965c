"""What suites and datasets have in common: versions that never change, the newest of which stands
for all."""

import dataclasses
from collections.abc import Iterator
from typing import Annotated, Any, TypeVar

import orjson
from fastapi import Query
from pydantic import BaseModel, Field, create_model
from starlette.responses import Response

from agents.access.authorise import Principal
from agents.access.scope import Scoped
from agents.evaluation.uses import refuse_used
from agents.registry.diff import diff
from api.crud import found
from api.kinds import Kind
from api.listing import Wanted, page, wanted_model
from api.problems import not_found
from api.render import OPTIONS, etag, json_response, page_body
from api.runtime import Api
from schemas.entities import Entity
from schemas.records import RegistryFact
from schemas.suites import Dataset, Suite
from schemas.types import Name

V = TypeVar("V", Suite, Dataset)
VersionGiven = Annotated[
    Name | None, Query(alias="version", description="Which version; left out: the newest.")
]
Before = Annotated[Name, Query(description="A version.")]
After = Annotated[Name, Query(description="Another version.")]


class DifferenceBody(BaseModel):
    """One field that differs; null stands for what is not there on that side."""

    field: str = Field(examples=["prompt[0].content"])
    before: Any
    after: Any


class Differences(BaseModel):
    """In the order of fields."""

    items: list[DifferenceBody]


def wanted_of(kind: Kind) -> Any:
    """The parameters of the list of names."""
    return create_model(
        f"{kind.cls.__name__}sWanted",
        __base__=wanted_model(kind.cls),
        all_versions=(bool, Field(False, description="Each version, not only the newest.")),
    )


def listed(kind: Kind, principal: Principal, scoped: Scoped, api: Api, wanted: Wanted) -> Response:
    """One entry a name, or one a version."""
    now = api.services.clock()
    every = getattr(wanted, "all_versions", False)
    if wanted.deleted:
        facts = scoped.deleted(kind.cls, wanted.org_id)
    elif every:
        facts = scoped.facts(kind.cls, wanted.org_id)
    else:
        facts = _newest(kind, scoped, wanted.org_id)
    shown, after = page(facts, wanted, f"{kind.noun}s {every}", now)
    return json_response(page_body((api.renderer.body(f, principal, now) for f in shown), after))


def _newest(kind: Kind, scoped: Scoped, org_id: str | None) -> Iterator[RegistryFact]:
    best: dict[tuple[str, str], RegistryFact] = {}
    for fact in scoped.facts(kind.cls, org_id):
        name = (fact.entity.org_id, str(getattr(fact.entity, kind.ids[0])))
        if name not in best or _age(best[name]) < _age(fact):
            best[name] = fact
    yield from best.values()


def _age(fact: RegistryFact) -> tuple[Any, str]:
    return fact.accepted_at, fact.entity.key


def chosen(kind: Kind, scoped: Scoped, org_id: str, name: str, version: str | None) -> RegistryFact:
    """The version named, or the newest. Raises Problem 404."""
    if version is not None:
        return found(kind, scoped, kind.key(org_id, (name, version)))
    of_name = (
        fact for fact in scoped.facts(kind.cls, org_id) if getattr(fact.entity, kind.ids[0]) == name
    )
    newest = max(of_name, key=_age, default=None)
    if newest is None:
        raise not_found(f"{kind.noun} {name}")
    return newest


def unused(held: Entity, scoped: Scoped, api: Api) -> None:
    """Raises CommandRefused when a run that is not over needs the suite or dataset."""
    assert isinstance(held, Suite | Dataset)
    if api.services.evaluations is not None:
        runs = api.services.evaluations.runs.wait_loaded(0)
        refuse_used(held, runs, scoped.registry)


def entity(cls: type[V], fact: RegistryFact) -> V:
    """What the fact holds."""
    assert isinstance(fact.entity, cls)
    return fact.entity


def shown(principal: Principal, api: Api, fact: RegistryFact) -> Response:
    """The answer that holds one."""
    body = api.renderer.body(fact, principal, api.services.clock())
    return json_response(body, headers={"ETag": etag(fact)})


def difference(one: RegistryFact, other: RegistryFact) -> list[dict[str, Any]]:
    """Every field that differs."""
    return [dataclasses.asdict(d) for d in diff(one.entity, other.entity)]


def as_json(value: object) -> Response:
    """Values of ours as an answer."""
    return json_response(orjson.dumps(value, option=OPTIONS))
