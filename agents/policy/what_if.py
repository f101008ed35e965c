"""What would have to change for another candidate to lead: how far it is behind, criterion by
criterion, and what bars it. Pure.

A candidate leads when its lower bound exceeds that of the best who may serve (agents.policy.score):

    lower = (w_q quality - w_e error_rate - w_c cost / s_c - w_l latency / s_l - Z width) / W

so, everything else unchanged, a gap in the bound is closed by a quality that is gap * W / w_q
higher, a mean cost that is gap * W * s_c / w_c lower, and so on. With more calls like those so far
the width falls as 1 / sqrt(calls).
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from agents.policy.candidates import Assessed, Field, assess
from agents.policy.contributions import ModelKey
from agents.policy.score import criteria
from agents.policy.selection import Question
from agents.policy.sums import Tally
from schemas.entities import SelectionPolicy

Lever = Literal["quality", "error_rate", "cost_usd_mean", "latency_ms_mean", "samples"]


@dataclass(frozen=True, slots=True)
class Step:
    """One change that would be enough by itself. `possible`: whether such a value can exist."""

    lever: Lever
    present: float
    needed: float
    possible: bool


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What keeps a candidate from serving, whatever its score. `measured` and `limit`: of a
    constraint or of the number of calls; `limit` may be met exactly."""

    code: str
    text: str
    measured: float | None = None
    limit: float | None = None


@dataclass(frozen=True, slots=True)
class WhatIf:
    """About one candidate that does not lead.

    `obstacles` have to go first, all of them. `gap`: by how much its lower bound is behind that of
    `behind`; None: it is not behind, or has no score. Each of `steps` closes the gap alone.
    """

    key: ModelKey
    behind: ModelKey | None
    gap: float | None
    obstacles: tuple[Obstacle, ...]
    steps: tuple[Step, ...]

    @property
    def text(self) -> str:
        """In words."""
        parts = []
        if self.obstacles:
            parts.append("first: " + "; ".join(o.text for o in self.obstacles))
        if self.gap is not None and self.behind is not None:
            able = [_said(s) for s in self.steps if s.possible]
            ways = ", or ".join(able) or "no single change is enough"
            name = f"{self.behind.model_id} {self.behind.model_version}"
            parts.append(f"to pass {name} ({self.gap:.4f} ahead): {ways}")
        return ". ".join(parts) or "it has the best lower bound of those that may serve"


def what_if(question: Question) -> Mapping[ModelKey, WhatIf]:
    """For every candidate but the one with the best lower bound of those that may serve.

    Statuses must be those of now (see `select`). Whoever leads by the fallback order has no
    bound to pass: then only obstacles are given.
    """
    field = assess(question.policy, question.models, question.tallies)
    best = _best(field)
    used = criteria(question.policy, _enough(question))
    return {
        a.key: _about(question, a, best, used)
        for a in field.everyone
        if best is None or a.key != best.key
    }


def _enough(question: Question) -> Iterator[Tally]:
    """The tallies that decide which criteria count, as in agents.policy.candidates."""
    for model in question.models:
        tally = question.tallies.get(ModelKey(model.model_id, model.model_version))
        serves = model.status in ("active", "deprecated")
        if serves and tally is not None and tally.events >= question.policy.min_samples:
            yield tally


def _best(field: Field) -> Assessed | None:
    if field.basis not in ("measured", "deprecated"):
        return None
    ranked = sorted(field.eligible, key=lambda a: (-_lower(a), a.key))
    return ranked[0] if ranked else None


def _lower(candidate: Assessed) -> float:
    return candidate.score.lower if candidate.score else float("-inf")


def _about(
    question: Question, one: Assessed, best: Assessed | None, used: frozenset[str]
) -> WhatIf:
    obstacles = tuple(_obstacles(question.policy, one, best))
    gap = None
    if best is not None and best.score is not None and one.score is not None:
        gap = best.score.lower - one.score.lower
    if best is None or gap is None or gap < 0:
        return WhatIf(one.key, best.key if best else None, None, obstacles, ())
    tally = question.tallies[one.key]
    steps = tuple(_steps(question.policy, one, tally, gap, used, best))
    return WhatIf(one.key, best.key, gap, obstacles, steps)


def _obstacles(policy: SelectionPolicy, one: Assessed, best: Assessed | None) -> Iterator[Obstacle]:
    measured, limits = one.measured, policy.constraints
    if one.bar is not None and not one.violates and one.bar.code != "too_few":
        yield Obstacle(one.bar.code, one.bar.text)
    elif one.bar is None and best is not None and one.status != best.status:
        yield Obstacle("spare", f"its status is {one.status}: only if nobody active qualifies")
    if measured.samples < policy.min_samples:
        text = f"{policy.min_samples - measured.samples} more calls, to have {policy.min_samples}"
        yield Obstacle("too_few", text, measured.samples, policy.min_samples)
    for code, value, limit, below in (
        ("max_error_rate", measured.error_rate, limits.max_error_rate, True),
        ("max_latency_p95_ms", measured.latency_p95_ms, limits.max_latency_p95_ms, True),
        ("max_cost_usd", measured.cost_usd_mean, limits.max_cost_usd, True),
        ("min_quality", measured.quality, limits.min_quality, False),
    ):
        if limit is None:
            continue
        if value is None:
            yield Obstacle(code, f"{code} is {limit:g} and nothing was measured", None, limit)
        elif value > limit if below else value < limit:
            text = f"{code} is {limit:g}, measured is {value:.6g}: {abs(value - limit):.6g} beyond"
            yield Obstacle(code, text, value, limit)


def _steps(
    policy: SelectionPolicy,
    one: Assessed,
    tally: Tally,
    gap: float,
    used: frozenset[str],
    best: Assessed,
) -> Iterator[Step]:
    weights, scales = policy.weights, policy.scales
    total = sum(getattr(weights, name) for name in used)
    levers: tuple[tuple[str, Lever, float | None, float], ...] = (
        ("quality", "quality", one.measured.quality, 1.0),
        ("error", "error_rate", one.measured.error_rate, -1.0),
        ("cost_usd", "cost_usd_mean", one.measured.cost_usd_mean, -scales.cost_usd),
        ("latency_ms", "latency_ms_mean", tally.latency_ms.mean, -scales.latency_ms),
    )
    for name, lever, present, scale in levers:
        weight = getattr(weights, name)
        if name in used and weight and present is not None:
            needed = present + gap * total / weight * scale
            most = 1.0 if lever == "quality" else math.inf
            yield Step(lever, present, needed, 0 <= needed <= most)
    assert one.score is not None
    assert best.score is not None
    room, width = one.score.value - best.score.lower, one.score.value - one.score.lower
    if room > 0:
        needed = math.ceil(tally.events * (width / room) ** 2) + 1
        yield Step("samples", tally.events, needed, True)


def _said(step: Step) -> str:
    match step.lever:
        case "samples":
            return f"{step.needed - step.present:.0f} more calls like those so far"
        case "quality":
            return f"quality above {step.needed:.4f} (now {step.present:.4f})"
        case "error_rate":
            return f"an error rate below {step.needed:.2%} (now {step.present:.2%})"
        case "cost_usd_mean":
            return f"a mean cost below ${step.needed:.6f} (now ${step.present:.6f})"
        case "latency_ms_mean":
            return f"a mean latency below {step.needed:.0f} ms (now {step.present:.0f} ms)"
