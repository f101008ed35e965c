"""The end of whole models, and what brings them back, with all that belongs to them."""

from collections.abc import Iterator

from fastapi import APIRouter
from starlette.responses import Response

from api.access import Org
from api.conditions import effects
from api.crud import add_route
from api.editing import REPLAY, Edit, TheEdit, removal, return_of
from api.kinds import VERSIONS
from api.problems import not_found
from api.routes.models import ONE, TAG, ModelId, Resource, Version, chosen
from schemas.commands import Change
from schemas.entities import Alias, Model
from schemas.records import RegistryFact

router = APIRouter()


async def delete_model(
    edit: TheEdit, org_id: Org, model_id: ModelId, model_version: Version = None
) -> Response:
    """Deletes the version named; without one the model, with all its versions and aliases."""
    if model_version is not None:
        key = VERSIONS.key(org_id, (model_id, model_version))
        return await edit.apply(key, removal(VERSIONS), 204)
    if effects(_deleted(edit, org_id, model_id), edit.command_id):
        return Response(status_code=204, headers=REPLAY)
    current = chosen(edit.api, edit.scoped, org_id, model_id, None)
    edit.check(current.entity.key, current)
    facts = [*_versions(edit, org_id, model_id), *_aliases(edit, org_id, model_id)]
    await edit.apply_all([Change("delete", f.entity.key, f.version) for f in facts])
    return Response(status_code=204)


async def restore_model(
    edit: TheEdit, org_id: Org, model_id: ModelId, model_version: Version = None
) -> Response:
    """Brings back the version named; without one everything of the model that was deleted last."""
    if model_version is not None:
        key = VERSIONS.key(org_id, (model_id, model_version))
        return await edit.apply(key, return_of(VERSIONS))
    deleted = _deleted(edit, org_id, model_id)
    if effects(_versions(edit, org_id, model_id), edit.command_id):
        return edit.shown(chosen(edit.api, edit.scoped, org_id, model_id, None), 200, REPLAY)
    if not deleted:
        raise not_found(f"deleted model {model_id}")
    last = max(deleted, key=lambda f: f.accepted_at).command_id
    facts = [f for f in deleted if f.command_id == last]
    await edit.apply_all([Change("restore", f.entity.key, f.version) for f in facts])
    scoped = edit.renewed()
    return edit.shown(chosen(edit.api, scoped, org_id, model_id, None), 200, {})


def _versions(edit: Edit, org_id: str, model_id: str) -> list[RegistryFact]:
    return edit.api.models.shown(edit.scoped, org_id, model_id)


def _aliases(edit: Edit, org_id: str, model_id: str) -> Iterator[RegistryFact]:
    for fact in edit.scoped.facts(Alias, org_id):
        if isinstance(fact.entity, Alias) and fact.entity.model_id == model_id:
            yield fact


def _deleted(edit: Edit, org_id: str, model_id: str) -> list[RegistryFact]:
    """Versions and aliases of the model that were deleted."""
    found = [*edit.scoped.deleted(Model, org_id), *edit.scoped.deleted(Alias, org_id)]
    return [f for f in found if getattr(f.entity, "model_id", None) == model_id]


add_route(router, delete_model, ONE, "DELETE", "Delete a model", {204: None}, TAG)
add_route(
    router,
    restore_model,
    f"{ONE}restore/",
    "POST",
    "Bring back a deleted model",
    {200: Resource},
    TAG,
)
