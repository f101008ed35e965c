"""The same change of many models in one command: all of them or none."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Annotated, Literal

import orjson
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from api.access import Org
from api.conditions import effects, failed
from api.crud import add_route
from api.editing import REPLAY, Edit, TheEdit
from api.problems import invalid, not_found
from api.render import json_response
from api.routes.models import TAG, chosen
from schemas.commands import Change
from schemas.entities import Model
from schemas.models import Moment
from schemas.records import RegistryFact
from schemas.types import Name, Tag

router = APIRouter()
Action = Literal["activate", "deprecate", "retire", "tag", "untag", "delete", "restore"]
MOST = 500


class Item(BaseModel):
    """One version of a model. `expected_version`: as If-Match, for this one."""

    model_config = ConfigDict(extra="forbid")

    model_id: Name
    model_version: Name | None = Field(
        None, description="Left out: the version that stands for the model."
    )
    expected_version: Annotated[int, Field(ge=0, lt=2**31)] | None = None


class Bulk(BaseModel):
    """What to do, to which models. `tags` for tag and untag, `retires_at` for deprecate."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "action": "deprecate",
                    "retires_at": "2027-01-31T00:00:00Z",
                    "models": [{"model_id": "small"}, {"model_id": "large", "model_version": "2"}],
                }
            ]
        },
    )

    action: Action
    models: Annotated[list[Item], Field(min_length=1, max_length=MOST)]
    tags: Annotated[list[Tag], Field(max_length=50)] = []
    retires_at: Moment | None = None


class Changed(BaseModel):
    """One entity and the version that it has now."""

    key: str
    version: int


class ChangedBody(BaseModel):
    """In the order of the request."""

    items: list[Changed]


async def change_models(edit: TheEdit, org_id: Org, body: Bulk) -> Response:
    """Changes every model named, or, if one of them cannot be changed, none."""
    again = effects(_involved(edit, org_id, body), edit.command_id)
    if again:
        return versions_response(again, REPLAY)
    change = _change_of(body)
    changes: dict[str, Change] = {}
    for i, item in enumerate(body.models):
        fact = _named(edit, org_id, item, body.action)
        if item.expected_version not in (None, fact.version):
            raise failed(f"{fact.entity.key} has version {fact.version}", fact.version)
        if fact.entity.key in changes:
            raise invalid(f"models[{i}]", f"names {fact.entity.key} twice")
        changes[fact.entity.key] = change(fact)
    return versions_response(await edit.apply_all(list(changes.values())), {})


def versions_response(made: Mapping[str, int], headers: dict[str, str]) -> Response:
    """The new versions by key."""
    items = [{"key": key, "version": version} for key, version in made.items()]
    return json_response(orjson.dumps({"items": items}), 200, headers)


def _change_of(body: Bulk) -> Callable[[RegistryFact], Change]:
    """What the action does to one. Raises Problem when the body lacks what it takes."""
    if body.action in ("tag", "untag") and not body.tags:
        raise invalid("tags", f"must be given to {body.action}")

    def change(fact: RegistryFact) -> Change:
        model = fact.entity
        assert isinstance(model, Model)
        if body.action in ("delete", "restore"):
            return Change(body.action, model.key, fact.version)
        return Change("update", model.key, fact.version, _changed(model, body))

    return change


def _changed(model: Model, body: Bulk) -> Model:
    tags = tuple(dict.fromkeys(body.tags))
    match body.action:
        case "activate":
            return replace(model, status="active", retires_at=None)
        case "deprecate":
            date = body.retires_at or model.retires_at
            return replace(model, status="deprecated", retires_at=date)
        case "retire":
            return replace(model, status="retired")
        case "tag":
            return replace(model, tags=(*model.tags, *(t for t in tags if t not in model.tags)))
    return replace(model, tags=tuple(t for t in model.tags if t not in tags))


def _named(edit: Edit, org_id: str, item: Item, action: Action) -> RegistryFact:
    if action != "restore":
        return chosen(edit.api, edit.scoped, org_id, item.model_id, item.model_version)
    gone = [
        f
        for f in edit.scoped.deleted(Model, org_id)
        if isinstance(f.entity, Model)
        and f.entity.model_id == item.model_id
        and item.model_version in (None, f.entity.model_version)
    ]
    if not gone:
        raise not_found(f"deleted model {item.model_id}")
    return max(gone, key=lambda f: f.accepted_at)


def _involved(edit: Edit, org_id: str, body: Bulk) -> Iterator[RegistryFact]:
    """Every version of the models named, also deleted ones."""
    names = {item.model_id for item in body.models}
    for fact in (*edit.scoped.facts(Model, org_id), *edit.scoped.deleted(Model, org_id)):
        if isinstance(fact.entity, Model) and fact.entity.model_id in names:
            yield fact


add_route(
    router,
    change_models,
    "/models/bulk/",
    "POST",
    "Change many models at once",
    {200: ChangedBody},
    TAG,
)
