"""What a call costs, or can cost at most, by the registry's prices. Pure; exact integer money.

As in streams.price: prices in pico-dollars a token, costs in nano-dollars rounded half up.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from schemas.evaluations import CaseResult
from schemas.models import Model, Price
from streams.price import PICO_PER_NANO, PICO_PER_USD_PER_MTOK

NANOS_PER_USD = 1_000_000_000
MESSAGE_TOKENS = 16
"""More than any chat format puts around a message."""


class Tokens(NamedTuple):
    """Of one answer; `cached_input` is a part of `input`."""

    input: int
    output: int
    cached_input: int


def price_at(model: Model, now: datetime) -> Price | None:
    """The price that is valid at `now`."""
    begun = [p for p in model.prices if p.valid_from <= now]
    latest = max(begun, key=lambda p: p.valid_from, default=None)
    if latest is None or (latest.valid_to is not None and latest.valid_to <= now):
        return None
    return latest


def cost_nanos(result: CaseResult, model: Model | None) -> int | None:
    """Of a result: its own figure, else by the price when it occurred; None: not known."""
    if result.cost_usd is not None:
        return round(result.cost_usd * NANOS_PER_USD)
    price = None if model is None else price_at(model, result.occurred_at)
    tokens = Tokens(result.input_tokens, result.output_tokens, result.cached_input_tokens)
    return None if price is None else tokens_nanos(price, tokens)


def judge_nanos(result: CaseResult) -> int | None:
    """Of the judges of a result, 0 when it asked none; None: not known."""
    if result.judge_calls == 0:
        return 0
    cost_usd = result.judge_cost_usd
    return None if cost_usd is None else round(cost_usd * NANOS_PER_USD)


def known_usd(cost_nanos: int, unpriced: int) -> float | None:
    """What results cost, of which so many have a cost that nobody knows: then at least this, or
    None when nothing of it is known."""
    return None if unpriced and not cost_nanos else cost_nanos / NANOS_PER_USD


def tokens_nanos(price: Price, tokens: Tokens) -> int:
    """What an answer of so many tokens costs."""
    cached = min(tokens.cached_input, tokens.input)
    cached_usd = price.cached_input_usd_per_mtok
    pico = (tokens.input - cached) * _pico(price.input_usd_per_mtok)
    pico += cached * _pico(price.input_usd_per_mtok if cached_usd is None else cached_usd)
    pico += tokens.output * _pico(price.output_usd_per_mtok)
    return (pico + PICO_PER_NANO // 2) // PICO_PER_NANO


def bound_nanos(
    model: Model,
    prompt: Iterable[str],
    output_tokens_max: int | None,
    now: datetime,
    more_tokens: int = 0,
) -> int | None:
    """The most that one answered call can cost, in nano-dollars; None: there is no such bound.

    No tokeniser makes more tokens of a text than it has bytes. `more_tokens`: of what the prompt
    will hold besides.
    """
    price = price_at(model, now)
    limits = [n for n in (output_tokens_max, model.max_output_tokens) if n is not None]
    if price is None or not limits:
        return None
    input_tokens = more_tokens + sum(len(text.encode()) + MESSAGE_TOKENS for text in prompt)
    dearest = max(price.input_usd_per_mtok, price.cached_input_usd_per_mtok or 0.0)
    pico = input_tokens * _pico(dearest) + min(limits) * _pico(price.output_usd_per_mtok)
    return -(-pico // PICO_PER_NANO)


def _pico(usd_per_mtok: float) -> int:
    return round(usd_per_mtok * PICO_PER_USD_PER_MTOK)
