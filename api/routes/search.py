"""Finding models by what they can do: capability, features, level, context, price, status."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field, create_model
from starlette.responses import Response

from agents.access.scope import Scoped
from agents.policy.capabilities import Requirement, Vocabulary
from api import search
from api.access import Caller, Reads, TheApi
from api.answers import KeptResponse
from api.crud import add_route, paged
from api.listing import TEXT
from api.pages import DEFAULT_LIMIT, cursor, typed_place
from api.render import page_body, with_fields
from api.routes.models import Resource
from api.search import Found, Question
from api.versions import SERVING
from schemas.entities import Alias, Model, ModelCapability
from schemas.models import Level, Modality, ModelStatus
from schemas.types import Capability, Count, Feature, Name, NonNegative, Tag

router = APIRouter()
Order = Literal["match", "input_price", "output_price", "context"]
ORDERS: Mapping[Order, Callable[[Found], tuple[float, float]]] = {
    "match": search.best_match,
    "input_price": search.cheapest_input,
    "output_price": search.cheapest_output,
    "context": search.longest_context,
}


class Search(BaseModel):
    """What is asked of a model. Everything that is given must hold."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    capability: Capability | None = Field(
        None, description="Declared by the model, or above what it declares in the vocabulary."
    )
    feature: list[Feature] = Field([], max_length=50, description="Each must be supported.")
    min_level: Level | None = Field(None, description="At the capability.")
    min_context_tokens: Count | None = None
    max_input_usd_per_mtok: NonNegative | None = Field(None, description="Of the price now.")
    max_output_usd_per_mtok: NonNegative | None = Field(None, description="Of the price now.")
    status: list[ModelStatus] = Field(
        [], description="Any of these; left out: active and deprecated, those that serve."
    )
    provider: Name | None = None
    modality: Modality | None = None
    tag: list[Tag] = Field([], max_length=50, description="Each must be there.")
    q: str = Field("", max_length=TEXT, description="Text that any field holds.")
    org_id: Name | None = Field(None, description="Only of this organisation.")
    all_versions: bool = Field(False, description="Each version, not one for each model.")
    unmatched: bool = Field(
        False, description="Also those that do not fit, behind the others, with the reasons."
    )
    order: Order = "match"
    limit: int = Field(DEFAULT_LIMIT, ge=1, le=1000, description="Items a page.")
    cursor: str | None = Field(None, max_length=4096)


class MatchBody(BaseModel):
    """`declared`: what the model declares, the capability itself (exact) or an ancestor of it."""

    basis: Literal["exact", "ancestor"]
    declared: str
    level: Level | None


class PriceBody(BaseModel):
    """What counts now, in USD per million tokens."""

    input_usd_per_mtok: float
    output_usd_per_mtok: float
    cached_input_usd_per_mtok: float | None


FoundBody: Any = create_model(
    "FoundModel",
    __base__=Resource,
    match=(MatchBody | None, ...),
    price_now=(PriceBody | None, ...),
    reasons=(list[str], Field(description="What speaks against it; empty: it fits.")),
)


async def search_models(
    principal: Caller, scoped: Reads, api: TheApi, wanted: Annotated[Search, Query()]
) -> Response:
    """Models that fit, the best first; with `unmatched`, why the others do not."""
    now = api.services.clock()
    if wanted.all_versions:
        facts = scoped.facts(Model, wanted.org_id)
    else:
        facts = iter(api.models.all_current(scoped, wanted.org_id, now))
    found = search.search(facts, question(wanted), _vocabularies(scoped), now)
    rank = ORDERS[wanted.order]

    def place(f: Found) -> tuple[bool, float, float, str]:
        return (bool(f.reasons), *rank(f), f.fact.entity.key)

    listed = sorted((f for f in found if wanted.unmatched or not f.reasons), key=place)
    of = f"search {wanted.model_dump_json(exclude={'limit', 'cursor'})}"
    after = typed_place(of, wanted.cursor, bool, float, float, str)
    if after is not None:
        listed = [f for f in listed if place(f) > after]
    shown = listed[: wanted.limit]
    more = len(listed) > wanted.limit
    bodies = (
        with_fields(
            api.renderer.body(f.fact, principal, now),
            match=f.match,
            price_now=f.price,
            reasons=f.reasons,
        )
        for f in shown
    )
    body = page_body(bodies, cursor(of, place(shown[-1])) if more else None)
    until = api.models.next_change(scoped.registry, now)
    return KeptResponse(body, scoped.registry, [Model, Alias, ModelCapability], until)


def question(wanted: Search) -> Question:
    """The question in the search's own terms."""
    features = frozenset(wanted.feature)
    requirement = None
    if wanted.capability is not None:
        requirement = Requirement(
            wanted.capability, features, wanted.min_level, wanted.min_context_tokens
        )
    return Question(
        requirement=requirement,
        features=features,
        min_context_tokens=wanted.min_context_tokens,
        statuses=frozenset(wanted.status or SERVING),
        text=wanted.q.casefold(),
        provider=wanted.provider,
        modality=wanted.modality,
        tags=frozenset(wanted.tag),
        max_input_usd_per_mtok=wanted.max_input_usd_per_mtok,
        max_output_usd_per_mtok=wanted.max_output_usd_per_mtok,
    )


def _vocabularies(scoped: Scoped) -> Callable[[str], Vocabulary]:
    """The words of a model's organisation; of others', the caller's own."""
    principal = scoped.principal

    @cache
    def words(org_id: str) -> Vocabulary:
        found = (fact.entity for fact in scoped.facts(ModelCapability, org_id))
        return {w.capability: w for w in found if isinstance(w, ModelCapability)}

    return lambda org_id: words(org_id if principal.role == "operator" else principal.org_id)


add_route(
    router,
    search_models,
    "/models/search/",
    "GET",
    "Find models by what they can do",
    {200: paged(FoundBody)},
    "models",
)
