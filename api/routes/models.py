"""Models and their versions. A model without a named version is its champion's, else the newest
that serves, else the newest."""

import dataclasses
from datetime import datetime
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field, create_model
from starlette.responses import Response

from agents.access.scope import Scoped
from agents.registry.diff import diff
from api.access import Addressed, Caller, Org, OrgGiven, Reads, TheApi, target
from api.answers import KeptResponse
from api.crud import add_route, found, paged, patch_type, patching
from api.editing import TheEdit, creation, entity_of, merging, replacement
from api.kinds import VERSIONS, input_model, resource_model
from api.listing import page, wanted_model
from api.model_view import EXTRAS, PAGE_EXTRAS, model_page
from api.problems import not_found
from api.render import OPTIONS, json_response, page_body, shown_to
from api.runtime import Api
from schemas.entities import Alias, Model
from schemas.records import RegistryFact
from schemas.types import Name

router = APIRouter()
TAG = "models"
NewModel: Any = input_model(Model, ("org_id",), "Create")
ModelBody: Any = input_model(Model, ("org_id", "model_id", "model_version"), "Body")
ModelPage: Any = resource_model(Model, PAGE_EXTRAS)
Resource: Any = resource_model(Model, EXTRAS)
ModelPatch = patch_type(Model)
ModelsWanted: Any = create_model(
    "ModelsWanted",
    __base__=wanted_model(Model),
    all_versions=(bool, Field(False, description="Each version, not one for each model.")),
)
ModelId = Annotated[str, Path(min_length=1, max_length=256, description="The model_id.")]
Version = Annotated[
    Name | None, Query(description="Which version; left out: the one that stands for the model.")
]


class DifferenceBody(BaseModel):
    """One field that differs; null stands for what is not there on that side."""

    field: str = Field(examples=["prices[0].input_usd_per_mtok"])
    before: Any
    after: Any


class Differences(BaseModel):
    """In the order of fields."""

    items: list[DifferenceBody]


async def list_models(principal: Caller, scoped: Reads, api: TheApi, wanted: Any) -> Response:
    """One entry for each model: the version that stands for it."""
    now = api.services.clock()
    if wanted.deleted:
        facts = scoped.deleted(Model, wanted.org_id)
    elif wanted.all_versions:
        facts = scoped.facts(Model, wanted.org_id)
    else:
        facts = iter(api.models.all_current(scoped, wanted.org_id, now))
    shown, after = page(facts, wanted, f"models {wanted.all_versions}", now)
    body = page_body((api.renderer.body(f, principal, now) for f in shown), after)
    if wanted.deleted:
        return json_response(body)
    return KeptResponse(
        body, scoped.registry, [Model, Alias], api.models.next_change(scoped.registry, now)
    )


async def create_model_version(edit: TheEdit, body: Any, org_id: OrgGiven = None) -> Response:
    """Registers a model with its first version, or another version of one there is."""
    model = entity_of(VERSIONS, body, {"org_id": target(edit.principal, org_id or body.org_id)})
    return await edit.apply(model.key, creation(VERSIONS, model), 201)


async def get_model(
    principal: Caller,
    scoped: Reads,
    api: TheApi,
    org_id: Addressed,
    model_id: ModelId,
    model_version: Version = None,
) -> Response:
    """With its aliases, and what was measured beside the capabilities that it declares."""
    fact = chosen(api, scoped, org_id, model_id, model_version)
    return await model_page(api, principal, scoped, fact)


async def replace_model(
    edit: TheEdit, org_id: Org, model_id: ModelId, body: Any, model_version: Version = None
) -> Response:
    """Replaces the version that the address or the body names, or makes it."""
    named = model_version or body.model_version
    if named is None:
        named = _model(chosen(edit.api, edit.scoped, org_id, model_id, None)).model_version
    given = {"org_id": org_id, "model_id": model_id, "model_version": named}
    model = entity_of(VERSIONS, body, given)
    return await edit.apply(model.key, replacement(VERSIONS, model))


async def change_model(
    edit: TheEdit, org_id: Org, model_id: ModelId, patch: Any, model_version: Version = None
) -> Response:
    """Changes some fields of one version."""
    model = _model(chosen(edit.api, edit.scoped, org_id, model_id, model_version))
    given = {"org_id": org_id, "model_id": model_id, "model_version": model.model_version}
    change = patching(VERSIONS, ModelBody, patch, given)
    return await edit.apply(model.key, merging(VERSIONS, change))


async def compare_versions(
    principal: Caller,
    api: TheApi,
    scoped: Reads,
    org_id: Addressed,
    model_id: ModelId,
    before: Annotated[Name, Query(description="A version.")],
    after: Annotated[Name, Query(description="Another version.")],
) -> Response:
    """Every field that differs between two versions of a model."""
    one, other = (
        shown_to(principal, chosen(api, scoped, org_id, model_id, version).entity)
        for version in (before, after)
    )
    items = [dataclasses.asdict(d) for d in diff(one, other)]
    return json_response(orjson.dumps({"items": items}, option=OPTIONS))


def chosen(
    api: Api, scoped: Scoped, org_id: str, model_id: str, model_version: str | None
) -> RegistryFact:
    """The version named, or the one that stands for the model. Raises Problem 404."""
    if model_version is not None:
        return found(VERSIONS, scoped, VERSIONS.key(org_id, (model_id, model_version)))
    now: datetime = api.services.clock()
    fact = api.models.current(scoped, org_id, model_id, now)
    if fact is None:
        raise not_found(f"model {model_id}")
    return fact


def _model(fact: RegistryFact) -> Model:
    assert isinstance(fact.entity, Model)
    return fact.entity


ONE = "/models/{model_id}/"
add_route(
    router,
    list_models,
    "/models/",
    "GET",
    "List models",
    {200: paged(Resource)},
    TAG,
    wanted=Annotated[ModelsWanted, Query()],
)
add_route(
    router,
    create_model_version,
    "/models/",
    "POST",
    "Create a model",
    {201: Resource},
    TAG,
    body=NewModel,
)
add_route(router, get_model, ONE, "GET", "Get a model", {200: ModelPage}, TAG)
add_route(
    router,
    replace_model,
    ONE,
    "PUT",
    "Replace a model",
    {200: Resource, 201: Resource},
    TAG,
    body=ModelBody,
)
add_route(
    router,
    change_model,
    ONE,
    "PATCH",
    "Change fields of a model",
    {200: Resource},
    TAG,
    patch=ModelPatch,
)
add_route(
    router,
    compare_versions,
    f"{ONE}diff/",
    "GET",
    "Compare two versions of a model",
    {200: Differences},
    TAG,
)
