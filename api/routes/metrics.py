"""What models were measured to do: over time, as a whole, side by side."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Depends, Path, Query
from starlette.responses import Response

from agents.access.scope import Scoped
from api import formats, spans, summaries
from api.access import Org, Reads, TheServices
from api.formats import Wanted
from api.metric_bodies import DIFFERENCE_COLUMNS, SUMMARY_COLUMNS, Compared, Metrics
from api.problems import Problem, invalid, not_found
from api.services import Services
from api.spans import Stretch
from api.summaries import Side
from schemas.entities import Model
from schemas.types import Capability, MetricName, Name
from sinks.metric_points import ROWS_MAX, Points, PointsQuestion, Source, points

router = APIRouter(tags=["metrics"])
CORE = ("latency_ms", "ttft_ms", "input_tokens", "output_tokens", "cost_usd", "quality", "error")
ALPHA = 0.05
CAUTION = (
    "Nobody chose at random which of these models served what: a difference may come from what "
    "they were asked. Only an A/B test can tell."
)
ModelId = Annotated[Name, Path(description="The model.", examples=["small"])]
Version = Annotated[Name | None, Query(description="Of this version only.", examples=["3"])]


@dataclass(frozen=True, slots=True)
class Asked:
    """The parameters that all three have in common."""

    org_id: str
    metrics: tuple[str, ...]
    capability: str
    source: Source
    since: datetime | None
    until: datetime | None
    alpha: float


async def _asked(
    org_id: Org,
    metric: Annotated[
        list[MetricName] | None,
        Query(
            max_length=20,
            description="Repeat for several; without it the core metrics.",
            examples=[["latency_ms"]],
        ),
    ] = None,
    capability: Annotated[
        Capability | None, Query(description="Without it all together.", examples=["chat"])
    ] = None,
    source: Annotated[Source, Query(description="Which population: never both.")] = "production",
    since: Annotated[
        datetime | None,
        Query(alias="from", description="Without it a day before `to`."),
    ] = None,
    until: Annotated[
        datetime | None, Query(alias="to", description="Exclusive; without it now.")
    ] = None,
    alpha: Annotated[float, Query(gt=0, lt=1, description="Intervals at 1 - alpha.")] = ALPHA,
) -> Asked:
    metrics = tuple(dict.fromkeys(metric or CORE))
    return Asked(org_id, metrics, capability or "", source, since, until, alpha)


AskedFor = Annotated[Asked, Depends(_asked)]
Step = Annotated[
    int | None,
    Query(ge=10, le=366 * 86_400, description="Seconds, a multiple of 10.", examples=[3600]),
]


@router.get(
    "/models/{model_id}/metrics/", summary="Metrics over time", responses=formats.responses(Metrics)
)
async def metrics(
    model_id: ModelId,
    asked: AskedFor,
    held: TheServices,
    seen: Reads,
    kind: Wanted,
    version: Version = None,
    step: Step = None,
) -> Response:
    """Metrics over time, versions apart. Without a step about 120 steps.

    Steps of whole hours over more than a day are read from hourly sums, finer ones from panes of
    10 s, which are kept for 90 days.
    """
    _visible(seen, asked.org_id, model_id)
    stretch = spans.cut(asked.since, asked.until, step, len(asked.metrics), held.clock())
    found = await _found(held, asked, stretch, (model_id,), version or "")
    return await to_thread.run_sync(_metrics, kind, asked, stretch, model_id, found, True)


@router.get(
    "/models/{model_id}/metrics/aggregated/",
    summary="Metrics as a whole",
    responses=formats.responses(Metrics),
)
async def aggregated(
    model_id: ModelId,
    asked: AskedFor,
    held: TheServices,
    seen: Reads,
    kind: Wanted,
    version: Version = None,
) -> Response:
    """Metrics of a stretch of time as a whole, versions apart."""
    _visible(seen, asked.org_id, model_id)
    stretch = spans.whole(asked.since, asked.until, held.clock())
    found = await _found(held, asked, stretch, (model_id,), version or "")
    return await to_thread.run_sync(_metrics, kind, asked, stretch, model_id, found, False)


@router.get(
    "/models/{model_id}/metrics/compare/",
    summary="Models side by side",
    responses=formats.responses(Compared),
)
async def compare(
    model_id: ModelId,
    asked: AskedFor,
    held: TheServices,
    seen: Reads,
    kind: Wanted,
    others: Annotated[
        list[str],
        Query(
            alias="with",
            min_length=1,
            max_length=100,
            description="The other models, repeated or with commas; model@version for one version.",
            examples=[["large", "small@2"]],
        ),
    ],
    version: Version = None,
    step: Step = None,
) -> Response:
    """This model and others side by side; differences are the other minus this one.

    With a step, step by step. Versions are together unless one is named.
    """
    _visible(seen, asked.org_id, model_id)
    base = Side(model_id, version or "")
    sides = [base, *(_side(seen, asked.org_id, text) for text in _listed(others))]
    if len({side.label for side in sides}) < len(sides):
        raise invalid("with", "names a side twice")
    if step is None:
        stretch = spans.whole(asked.since, asked.until, held.clock())
    else:
        lines = len(asked.metrics) * len(sides)
        stretch = spans.cut(asked.since, asked.until, step, lines, held.clock())
    ids = tuple(dict.fromkeys(side.model_id for side in sides))
    found = await _found(held, asked, stretch, ids, "")
    return await to_thread.run_sync(_compared, kind, asked, stretch, sides, found)


def _visible(seen: Scoped, org_id: str, model_id: str) -> None:
    """Raises Problem 404 unless the organisation has the model and shows it to the caller.

    A public model of others shows its entry, never what it was measured to do. A deleted one keeps
    its past.
    """
    facts = (*seen.facts(Model, org_id), *seen.deleted(Model, org_id))
    if not any(isinstance(f.entity, Model) and f.entity.model_id == model_id for f in facts):
        raise not_found(f"model {model_id}")


def _listed(texts: list[str]) -> list[str]:
    found = [name.strip() for text in texts for name in text.split(",")]
    if not all(found) or len(found) > 100:
        raise invalid("with", "takes 1 to 100 models, none of them empty")
    return found


def _side(seen: Scoped, org_id: str, text: str) -> Side:
    """A model, or model@version; a model's own name may hold an @."""
    try:
        _visible(seen, org_id, text)
    except Problem:
        model_id, at, version = text.rpartition("@")
        if not (at and version):
            raise
        _visible(seen, org_id, model_id)
        return Side(model_id, version)
    return Side(text, "")


async def _found(
    held: Services, asked: Asked, stretch: Stretch, model_ids: tuple[str, ...], version: str
) -> Points:
    question = PointsQuestion(
        org_id=asked.org_id,
        model_ids=model_ids,
        metrics=asked.metrics,
        since_s=stretch.since_s,
        until_s=stretch.until_s,
        step_s=stretch.step_s,
        resolution=stretch.resolution,
        source=asked.source,
        capability=asked.capability,
        model_version=version,
    )
    found = await held.clickhouse.ask(lambda clickhouse: points(clickhouse, question))
    if found.cut:
        text = f"there are more than {ROWS_MAX:,} points: ask for one version, or for longer steps"
        raise invalid("step", text)
    return found


def _about(asked: Asked, stretch: Stretch, model_id: str, found: Points) -> dict[str, Any]:
    return {
        "model_id": model_id,
        "source": asked.source,
        "capability": asked.capability or None,
        "from": stretch.since,
        "to": stretch.until,
        "step": stretch.step_s or None,
        "resolution": stretch.resolution,
        "watermark": found.watermark,
        "alpha": asked.alpha,
    }


def _metrics(
    kind: formats.Format, asked: Asked, stretch: Stretch, model_id: str, found: Points, steps: bool
) -> Response:
    states = summaries.grouped(found.points, steps, versions=True)
    rows = [summaries.summary(group, state, asked.alpha) for group, state in states.items()]
    about = _about(asked, stretch, model_id, found)
    return formats.answer(kind, {**about, "points": rows}, rows, SUMMARY_COLUMNS)


def _compared(
    kind: formats.Format, asked: Asked, stretch: Stretch, sides: list[Side], found: Points
) -> Response:
    mine = [point for side in sides for point in side.of(found.points)]
    states = summaries.grouped(mine, steps=bool(stretch.step_s), versions=False)
    rows = [summaries.summary(group, state, asked.alpha) for group, state in states.items()]
    base, *others = (side.label for side in sides)
    differences = summaries.compared(states, base, others, asked.alpha)
    body = {
        **_about(asked, stretch, base, found),
        "caution": CAUTION,
        "points": rows,
        "differences": differences,
    }
    return formats.answer(kind, body, differences, DIFFERENCE_COLUMNS)
