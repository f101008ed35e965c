"""The library beyond verdicts: merged anywhere, scaled, shifted, swapped; never NaN or infinite."""

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.sketch import keys
from streams.statistics import (
    clusters,
    means,
    offpolicy,
    pairs,
    quantiles,
    ranks,
    regression,
    sequential,
    strata,
    winsor,
)
from streams.statistics.adjustment import Adjusted, cuped
from streams.statistics.bandit import Logged
from streams.statistics.clusters import UnitSums
from streams.statistics.estimates import Estimate, NoEstimate
from streams.statistics.means import Difference
from streams.statistics.moments import Moments, moments
from streams.statistics.quantiles import Sketch
from streams.statistics.regression import Cross
from streams.statistics.sequential import Tuning
from streams.statistics.strata import Stratified
from streams.statistics.sums import Sums

small = st.floats(-100, 100).map(lambda v: round(v, 3))
values = st.lists(small, min_size=2, max_size=30)
wild = st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=12)
TUNING = Tuning(0.05, 100)
unhurried = settings(deadline=None)
"""Machines are busy; nothing here is about time."""


def sketched(found: list[float]) -> Sketch:
    bins, counts = np.unique(keys(np.array(found, float)), return_counts=True)
    return Sketch(bins.tolist(), counts.tolist())


def joined(one: Sketch, other: Sketch) -> Sketch:
    counts: dict[int, int] = {}
    for part in (one, other):
        for key, count in zip(part.bins, part.counts, strict=True):
            counts[key] = counts.get(key, 0) + count
    return Sketch(sorted(counts), [counts[key] for key in sorted(counts)])


def of(found: list[float]) -> Moments | NoEstimate:
    try:
        return moments(Sums.of_values(found))
    except OverflowError:
        return NoEstimate("too large")


def finite(found: Any) -> None:
    """Every number inside is."""
    if isinstance(found, float):
        assert math.isfinite(found)
    elif dataclasses.is_dataclass(found):
        for field in dataclasses.fields(found):
            finite(getattr(found, field.name))


@unhurried
@given(values, values, values)
def test_sketches_merge_anywhere(a: list[float], b: list[float], c: list[float]) -> None:
    whole, base = sketched(a + b), sketched(c)
    merged = joined(sketched(b), sketched(a))
    assert ranks.superiority(merged, base) == ranks.superiority(whole, base)
    assert ranks.mann_whitney(merged, base) == ranks.mann_whitney(whole, base)
    assert quantiles.fixed(merged, 0.5, 0.2) == quantiles.fixed(whole, 0.5, 0.2)
    assert winsor.caps([merged, base]) == winsor.caps([base, whole])


steps = st.lists(st.integers(-40, 40), min_size=2, max_size=30)


@unhurried
@given(steps, steps, st.floats(1e-6, 1e6))
def test_ranks_do_not_know_the_unit(a: list[int], b: list[int], scale: float) -> None:
    """Values that are 5 % apart are in bins of their own, in any unit."""
    sides = [[1.05**step for step in side] for side in (a, b)]
    plain = ranks.superiority(*map(sketched, sides))
    scaled = ranks.superiority(*(sketched([v * scale for v in side]) for side in sides))
    assert scaled == plain


@unhurried
@given(values, values)
def test_swapped_arms_flip_the_sign(a: list[float], b: list[float]) -> None:
    one, other = of(a), of(b)
    forth = ranks.superiority(sketched(a), sketched(b))
    back = ranks.superiority(sketched(b), sketched(a))
    if isinstance(forth, Difference) and isinstance(back, Difference):
        assert back.value == pytest.approx(-forth.value, abs=1e-12)
        assert back.error == pytest.approx(forth.error, rel=1e-9)
    if isinstance(one, NoEstimate) or isinstance(other, NoEstimate):
        return
    for method in (means.student, means.welch):
        left, right = method(one, other, 0.05), method(other, one, 0.05)
        if isinstance(left, Estimate) and isinstance(right, Estimate):
            assert (right.value, right.lower) == pytest.approx((-left.value, -left.upper))
            assert right.p_value == pytest.approx(left.p_value)
    found = strata.stratified({"x": (one, other)}), strata.stratified({"x": (other, one)})
    if all(isinstance(side, Stratified) for side in found):
        assert found[0].difference.value == -found[1].difference.value  # type: ignore[union-attr] # just seen
    pair = pairs.every_pair({"a": one, "b": other})[0]
    paired = pairs.every_pair({"b": other, "a": one})[0]
    assert pair.p_value == pytest.approx(paired.p_value)


@unhurried
@given(values, values, st.sampled_from([0.5, -2.0, 1024.0]), st.integers(-50, 50))
def test_scale_and_shift_go_through(
    a: list[float], b: list[float], scale: float, shift: int
) -> None:
    plain = of(a), of(b)
    moved = of([v * scale + shift for v in a]), of([v * scale + shift for v in b])
    sides = (*plain, *moved)
    if not all(isinstance(side, Moments) and side.m2 > 1e-3 for side in sides):
        return
    one, other, third, fourth = (side for side in sides if isinstance(side, Moments))
    before, after = means.student(one, other, 0.05), means.student(third, fourth, 0.05)
    assert isinstance(before, Estimate)
    assert isinstance(after, Estimate)
    assert after.value == pytest.approx(before.value * scale, rel=1e-6, abs=1e-6)
    assert after.p_value == pytest.approx(before.p_value, rel=1e-4, abs=1e-9)


@unhurried
@given(st.lists(st.tuples(small, small, small), min_size=12, max_size=40), st.integers(1, 11))
def test_adjustments_merge_anywhere(rows: list[tuple[float, float, float]], cut: int) -> None:
    y = [row[0] for row in rows]
    x = np.array([row[1:] for row in rows])
    whole = Cross.of_units(y, x)
    merged = Cross.of_units(y[cut:], x[cut:]) + Cross.of_units(y[:cut], x[:cut])
    assert merged.n == whole.n
    assert merged.means == pytest.approx(whole.means, abs=1e-9)
    assert merged.products == pytest.approx(whole.products, rel=1e-9, abs=1e-6)
    first = x[:, 0].tolist()
    parts = UnitSums.of_units(y[:cut], first[:cut]), UnitSums.of_units(y[cut:], first[cut:])
    together = clusters.moments(parts[0] + parts[1])
    again = clusters.moments(parts[1] + parts[0])
    assert type(together) is type(again)
    base = UnitSums.of_units([1.0, 2.0, 4.0], [1.0, 3.0, 2.0])
    found = cuped(parts[0] + parts[1], base), cuped(parts[1] + parts[0], base)
    if all(isinstance(side, Adjusted) for side in found):
        assert found[0].theta == pytest.approx(found[1].theta, rel=1e-6, abs=1e-9)  # type: ignore[union-attr] # just seen


weights = st.lists(st.tuples(st.floats(0, 1e6), st.floats(-1e6, 1e6)), max_size=30)


@unhurried
@given(weights, weights)
def test_logs_merge_in_any_order(
    a: list[tuple[float, float]], b: list[tuple[float, float]]
) -> None:
    one, other = (Logged.of_calls([w for w, _ in p], [y for _, y in p]) for p in (a, b))
    assert one + other == other + one
    assert (one + Logged()) == one
    finite(offpolicy.inverse_propensity(one + other))
    finite(offpolicy.propensities_p(one + other))


@unhurried
@given(wild, wild)
def test_nothing_infinite_leaves(a: list[float], b: list[float]) -> None:
    one, other = of(a), of(b)
    with np.errstate(all="ignore"):
        finite(ranks.superiority(sketched(a), sketched(b)))
        finite(ranks.mann_whitney(sketched(a), sketched(b)))
        finite(quantiles.difference(sketched(a), sketched(b), 0.5, 0.3))
        caps = winsor.caps([sketched(a), sketched(b)], 0.1, 0.9)
        if isinstance(caps, winsor.Caps) and isinstance(one, Moments):
            finite(winsor.winsorised(Sums.of_values(a), sketched(a), caps))
        x = np.array(a, float)[:, None]
        finite(
            regression.adjusted(Cross.of_units(a, x**2), Cross.of_units(b, np.array(b)[:, None]))
        )
    finite(strata.stratified({"x": (one, other)}))
    if isinstance(one, Moments) and isinstance(other, Moments):
        finite(means.student(one, other, 0.05))
        finite(means.welch(one, other, 0.05))
        share = means.relative(one, other)
        finite(share)
        if isinstance(share, Difference):
            finite(means.normal(share, 0.05))
            finite(sequential.evidence(share, TUNING))
