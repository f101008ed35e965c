"""Who may serve a capability, and why or why not: every model gets its reasons in words.

A model is a candidate when it declares the capability, or one above it in the vocabulary. Models
that were seen in traffic without being registered are listed too, never eligible. In turns, the
first that leaves anybody eligible wins:

1. active models with enough samples that meet every constraint;
2. deprecated models of which the same holds: better measured than guessed, but only if nothing
   active qualifies;
3. the policy's declared fallback order (active, else deprecated), those that measurably violate a
   constraint only if all of them do.

While measured models serve, active models of the fallback list with too few samples are newcomers:
the owner declared them acceptable, so they get a share of the exploration, or they would never be
measured.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from agents.policy.contributions import ModelKey
from agents.policy.score import Measured, NoScore, Score, criteria, measure, score
from agents.policy.sums import Tally
from schemas.entities import Model, SelectionPolicy

Basis = Literal["measured", "deprecated", "fallback", "nobody"]
_CRITERIA = ("quality", "cost_usd", "latency_ms", "error")


@dataclass(frozen=True, slots=True)
class Reason:
    """`code` tells kinds of reasons apart; the text carries numbers, which change all the time."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Assessed:
    """One candidate with what is known of it. `bar` None: nothing speaks against it."""

    key: ModelKey
    status: str
    measured: Measured
    score: Score | None
    bar: Reason | None
    notes: tuple[Reason, ...] = ()

    @property
    def violates(self) -> bool:
        """Whether measurements with enough samples break a constraint."""
        return self.bar is not None and self.bar.code.startswith("over_")


@dataclass(frozen=True, slots=True)
class Field:
    """All candidates, those that may serve, and on what basis."""

    everyone: tuple[Assessed, ...]
    eligible: tuple[Assessed, ...]
    basis: Basis
    left_out: tuple[str, ...]
    """Criteria with a weight that no candidate has measurements of."""
    newcomers: tuple[Assessed, ...] = ()
    """May be explored, never lead."""

    @property
    def serving(self) -> tuple[Assessed, ...]:
        """Everybody with a share of the traffic."""
        return (*self.eligible, *self.newcomers)

    @property
    def barred(self) -> tuple[Assessed, ...]:
        """Those that may not serve."""
        able = {a.key for a in self.serving}
        return tuple(a for a in self.everyone if a.key not in able)


def assess(
    policy: SelectionPolicy, models: Sequence[Model], tallies: Mapping[ModelKey, Tally]
) -> Field:
    """`models`: the organisation's models that can serve the capability, in any status, which is
    the one they have now."""
    registered = {ModelKey(m.model_id, m.model_version): m for m in models}
    enough = {
        key: tallies[key]
        for key, model in registered.items()
        if model.status in ("active", "deprecated")
        and key in tallies
        and tallies[key].events >= policy.min_samples
    }
    used = criteria(policy, enough.values())
    everyone = tuple(
        _assessed(policy, key, registered.get(key), tallies.get(key, Tally()), used)
        for key in sorted({*registered, *tallies})
    )
    left_out = tuple(n for n in _CRITERIA if getattr(policy.weights, n) and n not in used)
    for basis, eligible in _turns(policy, everyone):
        if eligible:
            newcomers = _newcomers(policy, everyone) if basis in ("measured", "deprecated") else ()
            return Field(everyone, eligible, basis, left_out if enough else (), newcomers)
    return Field(everyone, (), "nobody", left_out if enough else ())


def _turns(
    policy: SelectionPolicy, everyone: Sequence[Assessed]
) -> Iterator[tuple[Basis, tuple[Assessed, ...]]]:
    free = tuple(a for a in everyone if a.bar is None)
    yield "measured", tuple(a for a in free if a.status == "active")
    yield "deprecated", tuple(a for a in free if a.status == "deprecated")
    named = _named(policy, everyone)
    active = tuple(a for a in named if a.status == "active")
    able = active or tuple(a for a in named if a.status == "deprecated")
    yield "fallback", tuple(a for a in able if not a.violates)
    yield "fallback", able


def _named(policy: SelectionPolicy, everyone: Sequence[Assessed]) -> list[Assessed]:
    """Those of the fallback list, in its order."""
    place = {model_id: i for i, model_id in enumerate(policy.fallback)}
    found = (a for a in everyone if a.key.model_id in place)
    return sorted(found, key=lambda a: place[a.key.model_id])


def _newcomers(policy: SelectionPolicy, everyone: Sequence[Assessed]) -> tuple[Assessed, ...]:
    return tuple(
        a
        for a in _named(policy, everyone)
        if a.status == "active" and a.bar is not None and a.bar.code == "too_few"
    )


def _assessed(
    policy: SelectionPolicy,
    key: ModelKey,
    model: Model | None,
    tally: Tally,
    used: frozenset[str],
) -> Assessed:
    measured = measure(tally)
    found = score(policy, tally, used) if measured.samples else NoScore("no calls in the window")
    status = "unregistered" if model is None else model.status
    bar = (
        _status_bar(policy, model)
        or _too_few(policy, measured)
        or next(_violations(policy, measured), None)
        or (Reason("no_score", found.reason) if isinstance(found, NoScore) else None)
    )
    notes = tuple(_violations(policy, measured))[1:] if bar and bar.code.startswith("over_") else ()
    known = found if isinstance(found, Score) else None
    return Assessed(key, status, measured, known, bar, (*notes, *_leaving(model)))


def _status_bar(policy: SelectionPolicy, model: Model | None) -> Reason | None:
    if model is None:
        return Reason(
            "unregistered",
            f"seen in traffic, but the registry has no such model with {policy.capability}",
        )
    if model.status in ("draft", "retired"):
        date = f" (deprecation date {model.retires_at:%Y-%m-%d})" if model.retires_at else ""
        return Reason(model.status, f"its status is {model.status}{date}")
    return None


def _leaving(model: Model | None) -> tuple[Reason, ...]:
    if model is None or model.retires_at is None or model.status == "retired":
        return ()
    return (Reason("leaving", f"will retire on {model.retires_at:%Y-%m-%d}"),)


def _too_few(policy: SelectionPolicy, measured: Measured) -> Reason | None:
    if measured.samples >= policy.min_samples:
        return None
    text = (
        f"{measured.samples} calls in the last {policy.window_minutes:g} min; "
        f"the policy asks for {policy.min_samples}"
    )
    return Reason("too_few", text)


def _violations(policy: SelectionPolicy, measured: Measured) -> Iterator[Reason]:
    """Estimates beyond the policy's limits. What is not measured cannot be said to hold."""
    limits = policy.constraints
    upper = (
        ("error rate", measured.error_rate, limits.max_error_rate, _percent),
        ("p95 latency", measured.latency_p95_ms, limits.max_latency_p95_ms, _ms),
        ("mean cost", measured.cost_usd_mean, limits.max_cost_usd, _usd),
    )
    for name, value, limit, shown in upper:
        if limit is None:
            continue
        if value is None:
            yield Reason(f"over_{name}_unknown", f"{name} is limited but not measured")
        elif value > limit:
            yield Reason(f"over_{name}", f"{name} {shown(value)} is above {shown(limit)}")
    if limits.min_quality is not None:
        if measured.quality is None:
            yield Reason("over_quality_unknown", "quality is limited but not measured")
        elif measured.quality < limits.min_quality:
            text = f"quality {measured.quality:.4f} is below {limits.min_quality:.4f}"
            yield Reason("over_quality", text)


def _percent(value: float) -> str:
    return f"{value:.2%}"


def _ms(value: float) -> str:
    return f"{value:.0f} ms"


def _usd(value: float) -> str:
    return f"${value:.6f}"
