"""Money: whole nano-dollars, at the price that was valid when the call occurred."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.convert import from_record, to_record
from schemas.entities import Model, Price
from schemas.errors import MalformedMessage
from schemas.records import RegistryFact
from schemas.wire import Codec
from streams.price import PriceTable, price_table, to_nanos
from streams.rules import COST_USD_MAX, TOKENS_MAX
from tests.support.events import CODEC

DAY = datetime(2026, 3, 1, tzinfo=UTC)
KEY = ("acme", "small", "1")
tokens = st.integers(0, TOKENS_MAX)
rates = st.floats(0, 1_000_000).map(lambda usd: round(usd, 6))


def model(*prices: Price) -> Model:
    return Model(*KEY, "us", ("chat",), prices=prices)


def cost(table: PriceTable, at: datetime, *counts: int) -> tuple[int, bool]:
    """(nano-dollars, whether there is a price) of (input, output, cached input) tokens."""
    slots = np.array([table.slot.get(KEY, -1)], np.int64)
    moment = np.array([round(at.timestamp() * 1000)], np.int64)
    columns = [np.array([count], np.int64) for count in counts]
    rows = table.rows(slots, moment)
    nanos = table.cost_nanos(rows, (columns[0], columns[1], columns[2]))
    return int(nanos[0]), bool(rows[0] >= 0)


@given(tokens, tokens, tokens, rates, rates, st.none() | rates)
@settings(max_examples=300)
def test_a_cost_is_exact_to_the_nano_dollar(
    inputs: int,
    outputs: int,
    cached: int,
    rate_in: float,
    rate_out: float,
    rate_cached: float | None,
) -> None:
    """Against fractions, up to the most tokens and the highest price: no overflow, no float."""
    table = price_table([model(Price(DAY, rate_in, rate_out, rate_cached))])
    each = [
        round(r * 1_000_000)
        for r in (rate_in, rate_out, rate_in if rate_cached is None else rate_cached)
    ]
    charged = min(cached, inputs)
    pico = (inputs - charged) * each[0] + outputs * each[1] + charged * each[2]

    nanos, found = cost(table, DAY, inputs, outputs, cached)

    assert found
    assert nanos == int(Fraction(pico, 1000) + Fraction(1, 2))


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (timedelta(milliseconds=-1), None),
        (timedelta(0), 1_000),
        (timedelta(days=1, milliseconds=-1), 1_000),
        (timedelta(days=1), 2_000),
        (timedelta(days=2), 0),
        (timedelta(days=400), 0),
    ],
)
def test_the_price_in_force_at_event_time(after: timedelta, expected: int | None) -> None:
    """Before the first price there is none: not zero. A price of zero is a price."""
    prices = [Price(DAY + timedelta(days=i), usd, 9.0) for i, usd in enumerate((1.0, 2.0, 0.0))]
    table = price_table([model(*reversed(prices))])

    nanos, found = cost(table, DAY + after, 1, 0, 0)

    assert (nanos, found) == ((expected, True) if expected is not None else (0, False))


def test_neighbours_in_the_table_do_not_lend_prices() -> None:
    """Models stand side by side in one sorted list."""
    others = [
        Model("acme", name, "1", "us", ("chat",), prices=(Price(DAY, 7.0, 7.0),))
        for name in ("a", "z")
    ]
    late = model(Price(DAY + timedelta(days=9), 1.0, 1.0))
    for order in ([*others, late], [late, *others], [others[0], late, others[1]]):
        assert cost(price_table(order), DAY + timedelta(days=1), 1000, 0, 0) == (0, False)
    assert cost(price_table(others), DAY, 1000, 0, 0) == (0, False)
    assert cost(price_table([]), DAY, 1000, 0, 0) == (0, False)


@given(st.lists(st.integers(0, 10**9), max_size=200))
def test_declared_costs_add_up_to_the_nano_dollar(nanos: list[int]) -> None:
    usd = np.array([n / 1e9 for n in nanos], np.float64)
    assert int(to_nanos(usd).sum()) == sum(nanos)


def test_the_largest_declared_cost_keeps_its_nano_dollars() -> None:
    assert to_nanos(np.array([COST_USD_MAX])).tolist() == [10**15]


@pytest.mark.parametrize("usd", [-0.1, 1e300, float("nan"), float("inf"), 1_000_001.0])
def test_a_price_that_cannot_be_is_no_fact(usd: float) -> None:
    fact = RegistryFact(1, "test", DAY, "c", model(Price(DAY, usd, 1.0)))
    value: dict[str, Any] = Codec(CODEC.catalog).decode(
        CODEC.encode("RegistryFact", to_record(fact)), "RegistryFact"
    )
    with pytest.raises(MalformedMessage, match="input_usd_per_mtok"):
        from_record(RegistryFact, value)


def test_a_price_that_begins_and_ends_within_a_pane_counts() -> None:
    """The pane's both ends have no price, and not the same lack of one."""
    begin, end = DAY + timedelta(seconds=3), DAY + timedelta(seconds=6)
    table = price_table([model(Price(begin, 1.0, 1.0, valid_to=end))])
    moments = [DAY, DAY + timedelta(seconds=4), DAY + timedelta(seconds=9)]
    at = np.array([round(m.timestamp() * 1000) for m in moments], np.int64)
    before, within, after = table.rows(np.zeros(3, np.int64), at).tolist()
    assert before < 0 <= within
    assert after < 0
    assert before != after
