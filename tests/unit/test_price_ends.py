"""Prices by the time of the call: from valid_from until valid_to or the next price."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from schemas.entities import Model, Price
from streams.price import price_table

START = datetime(2026, 1, 1, tzinfo=UTC)


def day(number: float) -> datetime:
    return START + timedelta(days=number)


def model(name: str, *prices: Price) -> Model:
    return Model("acme", name, "1", "us", ("chat",), prices=prices)


def cost(models: list[Model], at: datetime, name: str = "m") -> int | None:
    """Nano-dollars of a thousand input tokens."""
    table = price_table(models)
    slot = table.slot.get(("acme", name, "1"), -1)
    when = np.array([int(at.timestamp() * 1000)], np.int64)
    rows = table.rows(np.array([slot], np.int64), when)
    tokens = (np.array([1000], np.int64), np.zeros(1, np.int64), np.zeros(1, np.int64))
    nanos = table.cost_nanos(rows, tokens)
    assert rows[0] >= 0 or nanos[0] == 0
    return int(nanos[0]) if rows[0] >= 0 else None


@pytest.mark.parametrize(
    ("at", "nanos"),
    [
        (day(-1), None),
        (day(0), 1_000_000),
        (day(2) - timedelta(milliseconds=1), 1_000_000),
        (day(2), None),
        (day(3), 2_000_000),
        (day(4), 3_000_000),
        (day(400), 3_000_000),
    ],
)
def test_a_price_ends_where_it_says_and_the_next_begins(at: datetime, nanos: int | None) -> None:
    prices = (
        Price(day(0), 1, 1, valid_to=day(2)),
        Price(day(3), 2, 1, valid_to=day(4)),
        Price(day(4), 3, 1),
    )
    later = model("n", Price(day(-100), 9, 9))
    assert cost([model("m", *prices), later], at) == nanos
    assert cost([later, model("m", *prices)], at) == nanos


def test_an_ended_price_does_not_run_into_another_model() -> None:
    ended = model("m", Price(day(0), 1, 1, valid_to=day(1)))
    assert cost([ended, model("z", Price(day(0), 5, 5))], day(2)) is None
    assert cost([ended], day(2), "unknown") is None
