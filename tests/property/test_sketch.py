"""The sketch keeps its promise for every finite double, however it was put together."""

import math
import sys
from collections import Counter
from collections.abc import Sequence

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from streams import sketch
from streams.sketch import OFFSET, RELATIVE_ERROR

SMALLEST = 5e-324
LARGEST = sys.float_info.max
doubles = st.floats(allow_nan=False, allow_infinity=False)
quantiles = st.floats(0, 1)


def bins_of(values: Sequence[float]) -> Counter[int]:
    return Counter(sketch.keys(np.array(values, np.float64)).tolist())


def quantile(bins: Counter[int], q: float) -> float | None:
    ordered = sorted(bins)
    return sketch.quantile(ordered, [bins[key] for key in ordered], q)


@given(st.lists(doubles, min_size=1, max_size=200), quantiles)
@example([SMALLEST, -SMALLEST, 0.0, -0.0], 0.5)
@example([LARGEST, -LARGEST], 1.0)
@example([LARGEST, -LARGEST], 0.0)
@example([2.2250738585072014e-308, 1e-310], 0.0)
@settings(deadline=None, max_examples=300)
def test_a_quantile_is_within_one_percent(values: list[float], q: float) -> None:
    """Against numpy's lower quantile. Denormals have no finer neighbours than SMALLEST."""
    exact = float(np.quantile(values, q, method="lower"))

    estimate = quantile(bins_of(values), q)

    assert estimate is not None
    assert abs(estimate - exact) <= RELATIVE_ERROR * abs(exact) * (1 + 1e-9) + SMALLEST
    assert math.copysign(1, estimate) == math.copysign(1, exact) or exact == 0


@given(st.lists(doubles, min_size=2, max_size=50, unique=True))
@settings(deadline=None)
def test_keys_keep_the_order_of_values(values: list[float]) -> None:
    keys = sketch.keys(np.array(sorted(values), np.float64))
    assert (np.diff(keys) >= 0).all()


@given(doubles)
def test_keys_are_symmetric_and_zero_stands_alone(value: float) -> None:
    up, down = sketch.keys(np.array([value, -value])).tolist()
    assert up == -down
    assert (up == 0) == (value == 0)
    assert abs(up) < 2 * OFFSET


@given(st.lists(st.lists(doubles, max_size=30), min_size=1, max_size=4), quantiles)
@settings(deadline=None)
def test_merged_parts_are_the_whole(parts: list[list[float]], q: float) -> None:
    whole = bins_of([value for part in parts for value in part])
    forward, backward = Counter[int](), Counter[int]()
    for part in parts:
        forward += bins_of(part)
    for part in reversed(parts):
        backward = bins_of(part) + backward

    assert forward == backward == whole
    assert quantile(forward, q) == quantile(whole, q)


def test_no_values_are_no_estimate() -> None:
    assert sketch.quantile([], [], 0.5) is None
    assert sketch.quantile([OFFSET], [0], 0.5) is None


@given(doubles)
@example(LARGEST)
@example(SMALLEST)
@example(0.0)
def test_a_value_lies_between_the_ends_of_its_bin(value: float) -> None:
    lower, upper = sketch.ends_of(int(sketch.keys(np.array([value]))[0]))

    slack = 1e-9 * abs(value) + SMALLEST
    assert lower - slack <= value <= upper + slack
    assert lower <= upper
    # 2 gamma / (gamma + 1) on either side of the value that stands for the bin.
    assert upper - lower <= 2.1 * RELATIVE_ERROR * abs(value) + 2 * SMALLEST


@given(st.integers(-2 * OFFSET, 2 * OFFSET))
def test_bins_that_meet_share_an_end(key: int) -> None:
    if key not in (-1, 0):
        assert sketch.ends_of(key)[1] == sketch.ends_of(key + 1)[0]
