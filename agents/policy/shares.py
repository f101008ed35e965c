"""Who gets how much of the traffic of a capability.

fixed       EXPLORATION is shared equally by all that do not lead, the leader gets the rest.
thompson,   every eligible model in proportion to how probably its score is the best (or is that of
top_two     the two best), none below the policy's floor; newcomers, of whom nothing is known, get
            the floor. Shares hold for `period_s`, or until others are eligible.

A fallback order is not measured: it is always shared as 'fixed'.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from agents.policy.allocation import Believed, shares
from agents.policy.candidates import Assessed, Field
from agents.policy.contributions import ModelKey
from agents.policy.score import Z
from schemas.entities import Allocation, SelectionPolicy

EXPLORATION = 0.10
LEAST_ERROR = 1e-9
"""Of a score: a model without any spread is known well, not infinitely well."""


@dataclass(frozen=True, slots=True)
class Shares:
    """Of each model that serves, adding up to 1. `since`: when they were drawn."""

    by_model: tuple[tuple[ModelKey, float], ...]
    since: datetime

    def of(self, key: ModelKey) -> float:
        """0 for a model that does not serve."""
        return next((share for model, share in self.by_model if model == key), 0.0)


def shared(
    policy: SelectionPolicy,
    field: Field,
    order: Sequence[Assessed],
    before: Shares | None,
    asked: tuple[int, datetime],
) -> Shares:
    """`order`: everyone by rank, those that serve first. `asked`: the number of the decision, which
    seeds the draw, and now."""
    sequence, now = asked
    serving = [a.key for a in order[: len(field.serving)]]
    if policy.allocation.method == "fixed" or field.basis not in ("measured", "deprecated"):
        return Shares(tuple(zip(serving, _fixed(len(serving)), strict=True)), now)
    if before is not None and {key for key, _ in before.by_model} == set(serving):
        age_s = (now - before.since).total_seconds()
        if age_s < policy.allocation.period_s:
            return before
    seed = f"{policy.org_id}/{policy.capability}/{sequence}"
    drawn = _drawn(policy.allocation, field, seed)
    return Shares(tuple((key, drawn[key]) for key in serving), now)


def _fixed(serving: int) -> list[float]:
    """Leader first; empty without anybody."""
    if serving < 2:
        return [1.0] * serving
    other = EXPLORATION / (serving - 1)
    return [1.0 - EXPLORATION, *[other] * (serving - 1)]


def _drawn(allocation: Allocation, field: Field, seed: str) -> Mapping[ModelKey, float]:
    floor = min(allocation.floor, 1 / len(field.serving))
    found = {a.key: floor for a in field.newcomers}
    rest = 1.0 - floor * len(found)
    own = Allocation(allocation.method, min(floor / rest, 0.5), allocation.period_s)
    drawn = shares(own, [_believed(a) for a in field.eligible], seed)
    return {**found, **{a.key: rest * s for a, s in zip(field.eligible, drawn, strict=True)}}


def _believed(candidate: Assessed) -> Believed:
    score = candidate.score
    assert score is not None, "who is eligible by measurement has a score"
    return Believed(score.value, max((score.value - score.lower) / Z, LEAST_ERROR))
