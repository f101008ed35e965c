"""What a call cost: its own figure, else the registry's price valid when it occurred. Exact money.

Prices are kept in integer pico-dollars a token (1 USD per million tokens is 10^6 of them),
costs in integer nano-dollars, so that sums never round.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import zip_longest

import numpy as np

from schemas.entities import Model, Price
from streams.columns import Floats, Integers, Mask

PICO_PER_USD_PER_MTOK = 1_000_000
NANO_PER_USD = 1_000_000_000
PICO_PER_NANO = 1000
TIME_BITS = 44
"""Milliseconds since 1970 fit in this until the year 2527."""
NO_PRICE = -1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

ModelKey = tuple[str, str, str]
"""org_id, model_id, model_version."""


@dataclass(frozen=True, slots=True)
class PriceTable:
    """Every price of every model, sorted by (model, valid_from).

    `slot`: a small number for each model that has prices. Row i of `moment` is slot and time in one
    integer; `rates` holds (input, output, cached input) in pico-dollars a token from then on, all
    of them NO_PRICE where a price ended and no other has begun.
    """

    slot: Mapping[ModelKey, int]
    moment: Integers
    rates: Integers

    def rows(self, slots: Integers, time_ms: Integers) -> Integers:
        """The row that is valid for each slot and time; negative where there is none.

        `slots`: -1 where the model has no prices.
        """
        if not len(self.moment):
            return np.full(len(slots), -1, np.int64)
        at = np.searchsorted(self.moment, (slots << TIME_BITS) + time_ms, side="right") - 1
        found: Mask = (at >= 0) & (slots >= 0) & (self.moment[at] >> TIME_BITS == slots)
        # Each end of a price gives a number of its own, and one that is still a place in `rates`.
        ended: Mask = self.rates[at, 0] == NO_PRICE
        return np.where(found, np.where(ended, ~at, at), -1)

    def cost_nanos(self, rows: Integers, tokens: tuple[Integers, Integers, Integers]) -> Integers:
        """Nano-dollars at these rows' rates, rounded half up; 0 where there is no row.

        `tokens`: (input, output, cached input); cached tokens are a part of the input tokens and
        charged at their own rate.
        """
        if not len(self.rates):
            return np.zeros(len(rows), np.int64)
        cached = np.minimum(tokens[2], tokens[0])
        charged = (tokens[0] - cached, tokens[1], cached)
        # Whole nano-dollars a token and the rest apart: the pico-dollars of 2^31 tokens overflow.
        nano, rest = np.divmod(self.rates, PICO_PER_NANO)
        nanos = _cost(charged, nano, rows)
        if rest.any():
            nanos += (_cost(charged, rest, rows) + PICO_PER_NANO // 2) // PICO_PER_NANO
        return nanos if (rows >= 0).all() else np.where(rows >= 0, nanos, 0)


def _cost(tokens: tuple[Integers, Integers, Integers], rates: Integers, rows: Integers) -> Integers:
    inputs, outputs, cached = (rates[:, i][rows] for i in range(3))
    cost: Integers = tokens[0] * inputs + tokens[1] * outputs + tokens[2] * cached
    return cost


def price_table(models: Iterable[Model]) -> PriceTable:
    """The prices of registered models."""
    slot: dict[ModelKey, int] = {}
    rows: list[tuple[int, tuple[int, int, int]]] = []
    for model in models:
        if model.prices:
            number = slot.setdefault((model.org_id, model.model_id, model.model_version), len(slot))
            rows += [((number << TIME_BITS) + _ms(at), rates) for at, rates in _steps(model.prices)]
    rows.sort()
    moment = np.array([row[0] for row in rows], np.int64)
    rates = np.array([row[1] for row in rows], np.int64).reshape(len(rows), 3)
    return PriceTable(slot, moment, rates)


def to_nanos(usd: Floats) -> Integers:
    """Finite USD in nano-dollars, rounded half to even."""
    nanos: Integers = np.rint(usd * NANO_PER_USD).astype(np.int64)
    return nanos


def _steps(prices: Sequence[Price]) -> Iterator[tuple[datetime, tuple[int, int, int]]]:
    """When the rates change, and to what."""
    ordered = sorted(prices, key=lambda price: price.valid_from)
    for price, after in zip_longest(ordered, ordered[1:]):
        yield price.valid_from, _rates(price)
        if price.valid_to is not None and (after is None or price.valid_to < after.valid_from):
            yield price.valid_to, (NO_PRICE, NO_PRICE, NO_PRICE)


def _ms(moment: datetime) -> int:
    return max(0, (moment - _EPOCH) // timedelta(milliseconds=1))


def _rates(price: Price) -> tuple[int, int, int]:
    cached = price.cached_input_usd_per_mtok
    each = (
        price.input_usd_per_mtok,
        price.output_usd_per_mtok,
        price.input_usd_per_mtok if cached is None else cached,
    )
    inputs, outputs, cached_inputs = (round(usd * PICO_PER_USD_PER_MTOK) for usd in each)
    return inputs, outputs, cached_inputs
