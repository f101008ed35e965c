"""Which models can do what is asked, and why the others cannot. Pure."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from agents.policy.capabilities import LEVELS, Match, NoMatch, Requirement, Vocabulary, match
from api.listing import text_of
from schemas.entities import Model, Price
from schemas.models import Modality, ModelStatus
from schemas.records import RegistryFact

NOT_KNOWN = 1e300
"""Where a model without a price or a window stands in an order: behind all others."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of a model; None and empty: anything. Prices are those valid now."""

    requirement: Requirement | None = None
    features: frozenset[str] = frozenset()
    min_context_tokens: int | None = None
    statuses: frozenset[ModelStatus] = frozenset()
    text: str = ""
    provider: str | None = None
    modality: Modality | None = None
    tags: frozenset[str] = frozenset()
    max_input_usd_per_mtok: float | None = None
    max_output_usd_per_mtok: float | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A model and how it answers. `match` None: no capability was asked for, or `reasons` say what
    speaks against it."""

    fact: RegistryFact
    model: Model
    price: Price | None
    match: Match | None
    reasons: tuple[str, ...]


def search(
    facts: Iterable[RegistryFact],
    asked: Question,
    vocabulary: Callable[[str], Vocabulary],
    now: datetime,
) -> Iterable[Found]:
    """Every model with its answer. `vocabulary`: of the organisation that a model belongs to."""
    for fact in facts:
        model = fact.entity
        if isinstance(model, Model) and (not asked.text or asked.text in text_of(model)):
            price = price_at(model, now)
            answer = _match(model, asked, vocabulary)
            reasons = list(answer.reasons) if isinstance(answer, NoMatch) else []
            reasons += _reasons(model, asked, price, now)
            fits = answer if isinstance(answer, Match) and not reasons else None
            yield Found(fact, model, price, fits, tuple(reasons))


def price_at(model: Model, now: datetime) -> Price | None:
    """The price that is valid at `now`."""
    valid = [p for p in model.prices if p.valid_from <= now]
    last = max(valid, key=lambda p: p.valid_from, default=None)
    if last is None or (last.valid_to is not None and last.valid_to <= now):
        return None
    return last


def best_match(found: Found) -> tuple[float, float]:
    """Those that declare the capability itself first, then by level."""
    if found.match is None:
        return 2.0, 0.0
    level = found.match.level
    rank = 0 if level is None else 1 + LEVELS.index(level)
    return (0.0 if found.match.basis == "exact" else 1.0), float(-rank)


def cheapest_input(found: Found) -> tuple[float, float]:
    """By the price of input tokens."""
    return (NOT_KNOWN if found.price is None else found.price.input_usd_per_mtok), 0.0


def cheapest_output(found: Found) -> tuple[float, float]:
    """By the price of output tokens."""
    return (NOT_KNOWN if found.price is None else found.price.output_usd_per_mtok), 0.0


def longest_context(found: Found) -> tuple[float, float]:
    """The longest context window first."""
    window = found.model.context_window_tokens
    return (NOT_KNOWN if window is None else -float(window)), 0.0


def _match(
    model: Model, asked: Question, vocabulary: Callable[[str], Vocabulary]
) -> Match | NoMatch | None:
    if asked.requirement is None:
        return None
    return match(model, asked.requirement, vocabulary(model.org_id))


def _reasons(model: Model, asked: Question, price: Price | None, now: datetime) -> Iterable[str]:
    status = model.status_at(now)
    if asked.statuses and status not in asked.statuses:
        yield f"is {status}"
    if asked.provider not in (None, model.provider):
        yield f"is {model.provider}'s"
    if asked.modality not in (None, model.modality):
        yield f"is for {model.modality}"
    if missing := sorted(asked.tags - set(model.tags)):
        yield f"has no tag {', '.join(missing)}"
    if asked.requirement is None:
        if missing := sorted(asked.features - set(model.features)):
            yield f"lacks {', '.join(missing)}"
        window = model.context_window_tokens
        if asked.min_context_tokens is not None and (window or 0) < asked.min_context_tokens:
            yield f"has a context window of {window or 'unknown'} tokens"
    yield from _dear(
        "input", asked.max_input_usd_per_mtok, price.input_usd_per_mtok if price else None
    )
    yield from _dear(
        "output", asked.max_output_usd_per_mtok, price.output_usd_per_mtok if price else None
    )


def _dear(what: str, most: float | None, price: float | None) -> Iterable[str]:
    if most is None:
        return
    if price is None:
        yield f"has no {what} price now"
    elif price > most:
        yield f"costs {price:g} USD per million {what} tokens"
