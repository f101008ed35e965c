"""Which models judge, and the most that it can cost. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from agents.errors import AgentError
from agents.evaluation.prices import bound_nanos
from agents.evaluation.scorers.base import AskingScorer, Call
from agents.evaluation.scorers.run import prepared
from schemas.entities import Model
from schemas.suites import ScorerUse
from streams.registry_view import RegistrySnapshot

BYTES_PER_TOKEN = 16
"""No answer that is worth judging has more bytes a token, on average: words have four or five."""
BYTES_PER_CHARACTER = 4

Judge = tuple[str, str | None]
"""A model_id, and a version where one is named."""


class CallsUnknown(AgentError):
    """A scorer does not say what it may ask. The text says which one, why, and what to do."""


def judge_model(
    registry: RegistrySnapshot, org_id: str, judge: Judge, now: datetime
) -> Model | None:
    """The version that is named, else the active one that was registered last."""
    model_id, version = judge
    if version is not None:
        return registry.entity(Model, f"{org_id}/{Model.kind}/{model_id}/{version}")
    found = [
        (fact.accepted_at, fact.entity.model_version, fact.entity)
        for fact in registry.models.values()
        if isinstance(fact.entity, Model)
        and (fact.entity.org_id, fact.entity.model_id) == (org_id, model_id)
        and fact.entity.status_at(now) == "active"
    ]
    return max(found, key=lambda each: each[:2])[2] if found else None


def calls(uses: Sequence[ScorerUse], fields: Mapping[str, Any]) -> list[Call]:
    """What scorers would ask judges about an answer to a case with these fields.

    A scorer that cannot be used asks nobody; one whose package is not installed here is not known.
    Raises CallsUnknown.
    """
    return [call for use in uses for call in _calls(use, fields)]


def _calls(use: ScorerUse, fields: Mapping[str, Any]) -> list[Call]:
    try:
        ready = prepared(use.scorer, use.options)
        if not (isinstance(ready, tuple) and isinstance(ready[0], AskingScorer)):
            return []
        found = list(ready[0].calls(fields, ready[1]))
        if strange := [each for each in found if not isinstance(each, Call)]:
            raise TypeError(f"{type(strange[0]).__name__} is no Call")
    except Exception as error:  # other people's code: it must not end the rounds of all runs
        raise CallsUnknown(
            f"the scorer {use.scorer} does not say what it may ask: its `calls` failed with "
            f"{type(error).__name__}: {error}; correct it, also for a case without any field"
        ) from error
    return found


def judging_bound_nanos(
    asked: Sequence[Call], judges: Mapping[Judge, Model | None], answer_bytes: int, now: datetime
) -> int | None:
    """The most that these calls can cost, in nano-dollars, with an answer of so many bytes.

    A judge that is not there costs nothing. None: there is no bound, as one has no price.
    """
    found = 0
    for call in asked:
        model = judges.get(call.judge)
        if model is None:
            continue
        answer_tokens = min(answer_bytes, BYTES_PER_CHARACTER * call.characters_max)
        bound = bound_nanos(model, [call.prompt], call.output_tokens_max, now, answer_tokens)
        if bound is None:
            return None
        found += bound
    return found
