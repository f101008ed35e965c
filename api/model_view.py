"""A model as its own page shows it: the entity, its aliases, and what was measured beside what it
declares."""

from typing import Any

from pydantic import BaseModel, Field
from starlette.responses import Response

from agents.access.authorise import Principal
from agents.access.scope import Scoped
from api.answers import KeptResponse
from api.measurements import SPAN, Known
from api.render import etag, is_foreign, with_fields
from api.runtime import Api
from schemas.entities import Alias, Model
from schemas.models import ModelStatus
from schemas.records import RegistryFact


class MeasuredMetricBody(BaseModel):
    """One metric in its own unit; null: no estimate."""

    metric: str = Field(examples=["latency_ms"])
    n: int
    mean: float
    deviation: float | None
    p50: float | None
    p95: float | None


class MeasuredCapability(BaseModel):
    """What was measured at one capability. `source`: production or evaluation."""

    capability: str
    source: str
    latest: str = Field(description="The newest 10 seconds, or hour, with a value.")
    metrics: list[MeasuredMetricBody]


class MeasuredBody(BaseModel):
    """`absent_because`: why nothing is shown; null: what is not listed was not measured."""

    days: int
    capabilities: list[MeasuredCapability]
    absent_because: str | None


EXTRAS: dict[str, Any] = {"status_now": (ModelStatus, ...)}
PAGE_EXTRAS: dict[str, Any] = {
    **EXTRAS,
    "aliases": (list[str], ...),
    "measured": (MeasuredBody, ...),
}


async def model_page(
    api: Api, principal: Principal, scoped: Scoped, fact: RegistryFact
) -> Response:
    """The answer to GET for one version of a model."""
    model = fact.entity
    assert isinstance(model, Model)
    known = await _known(api, principal, model)
    now = api.services.clock()
    body = with_fields(
        api.renderer.body(fact, principal, now),
        aliases=api.models.aliases(scoped.registry, model),
        measured=_measured(known, model),
    )
    moments = (known.until, api.models.next_change(scoped.registry, now))
    until = min(moment for moment in moments if moment is not None)
    return KeptResponse(body, scoped.registry, [Model, Alias], until, {"ETag": etag(fact)})


async def _known(api: Api, principal: Principal, model: Model) -> Known:
    if is_foreign(principal, model):
        return Known(api.services.clock(), {}, "the model belongs to another organisation")
    return await api.measurements.of(model.org_id)


def _measured(known: Known, model: Model) -> dict[str, Any]:
    found: dict[str, Any] = {"days": SPAN.days, "capabilities": [], "absent_because": None}
    rows = known.by_version.get((model.model_id, model.model_version), [])
    shown = [
        {"capability": r.capability, "source": r.source, "latest": r.latest, "metrics": r.metrics}
        for r in rows
    ]
    return found | {"capabilities": shown, "absent_because": known.absent_because}
