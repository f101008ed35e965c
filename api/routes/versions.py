"""The versions of a model, and the aliases, such as champion, that move between them."""

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from agents.registry.rules import CHAMPION
from api.access import Addressed, Caller, Org, Reads, TheApi
from api.crud import Crud, add_route
from api.editing import TheEdit, replacement
from api.kinds import ALIASES, VERSIONS
from api.model_view import model_page
from api.routes.models import ONE, TAG, ModelId, ModelPage, chosen
from schemas.entities import Alias
from schemas.types import Name

router = APIRouter()
versions = Crud(VERSIONS, router, TAG)
versions.add("list", "create", "replace", "change", "delete", "restore")
aliases = Crud(ALIASES, router, TAG)
aliases.add()


class Promotion(BaseModel):
    """Which version becomes champion, and the A/B test whose verdict speaks for it."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"model_version": "2026-11", "ab_test_id": "small-2026-11"}]
        },
    )

    model_version: Name
    ab_test_id: Name | None = Field(
        None, description="Needed where the organisation has promotion_requires_verdict."
    )


async def get_version(
    principal: Caller,
    scoped: Reads,
    api: TheApi,
    org_id: Addressed,
    model_id: ModelId,
    model_version: ModelId,
) -> Response:
    """With its aliases, and what was measured beside the capabilities that it declares."""
    fact = chosen(api, scoped, org_id, model_id, model_version)
    return await model_page(api, principal, scoped, fact)


async def promote(edit: TheEdit, org_id: Org, model_id: ModelId, body: Promotion) -> Response:
    """Moves the alias champion. Refused where a decided verdict is asked for and there is none."""
    alias = Alias(org_id, model_id, CHAMPION, body.model_version, body.ab_test_id)
    return await edit.apply(alias.key, replacement(ALIASES, alias))


add_route(
    router, get_version, VERSIONS.item, "GET", "Get a version of a model", {200: ModelPage}, TAG
)
add_route(
    router,
    promote,
    f"{ONE}promote/",
    "POST",
    "Make a version the champion",
    {200: aliases.resource, 201: aliases.resource},
    TAG,
)
