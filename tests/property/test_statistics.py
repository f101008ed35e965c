"""Verdicts: the same whatever the order and splitting; equivariant; never NaN or infinite."""

import math
import random
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

import orjson
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.policy.comparisons import Level, Sample, contrast
from agents.policy.trial import Trial, add, dump_trial, load_trial
from agents.policy.verdicts import judge
from schemas.entities import MetricGoal
from streams.statistics.estimates import Estimate
from streams.statistics.moments import Moments, moments
from streams.statistics.sums import Sums, dump, fixed, load
from tests.support.trials import TEST, rows

NOW = datetime(2026, 6, 1, tzinfo=UTC)
LEVEL = Level.shared(0.05, 1, 500)
doubles = st.floats(-1e150, 1e150, allow_nan=False)
METRICS = ("quality", "score")
BOTH = replace(TEST, metrics=tuple(MetricGoal(m, "primary", "higher", 0.1) for m in METRICS))


@st.composite
def partial_rows(draw: st.DrawFn) -> dict[str, Any]:
    values = draw(st.lists(doubles | st.sampled_from([0.0, 1.0]), min_size=1, max_size=5))
    metric = draw(st.sampled_from(["error", "error", "latency_ms", *METRICS]))
    if metric == "latency_ms":
        values = [abs(value) for value in values]
    at_s = draw(st.integers(0, 3000))
    return {"arm": draw(st.sampled_from("abx")), "metric": metric, "values": values, "at_s": at_s}


@given(st.lists(doubles, max_size=8), st.lists(doubles, max_size=8), st.lists(doubles, max_size=8))
def test_sums_merge_in_any_grouping_to_the_last_bit(
    a: list[float], b: list[float], c: list[float]
) -> None:
    one, two, three = Sums.of_values(a), Sums.of_values(b), Sums.of_values(c)
    assert (one + two) + three == three + (one + two) == one + (two + three)
    assert one + Sums() == Sums() + one == one
    assert load(orjson.loads(orjson.dumps(dump(one + two)))) == one + two
    if a:
        assert one.mean == pytest.approx(math.fsum(a) / len(a), rel=1e-15)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_double_is_exact_in_fixed_point(value: float) -> None:
    assert fixed(value) / fixed(1.0) == value


@given(st.lists(partial_rows(), min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_order_and_splitting_of_messages_change_nothing(
    found: list[dict[str, Any]], rng: random.Random
) -> None:
    together = judge(add(Trial(), BOTH, rows(found)), BOTH, NOW)
    shuffled = rng.sample(found, len(found))
    trial = Trial()
    while shuffled:
        cut = rng.randint(1, len(shuffled))
        trial = add(trial, BOTH, rows(shuffled[:cut]))
        shuffled = shuffled[cut:]
        trial = load_trial(orjson.loads(orjson.dumps(dump_trial(trial))))
    assert judge(trial, BOTH, NOW) == together


@given(st.lists(partial_rows(), min_size=1, max_size=12))
def test_no_nan_or_infinity_leaves(found: list[dict[str, Any]]) -> None:
    _, verdict = judge(add(Trial(), BOTH, rows(found)), BOTH, NOW)
    for comparison in verdict.comparisons:
        for name, value in asdict(comparison).items():
            if isinstance(value, float):
                assert math.isfinite(value), name
        for low, high in (("fixed_lower", "fixed_upper"), ("anytime_lower", "anytime_upper")):
            lower, upper = getattr(comparison, low), getattr(comparison, high)
            assert (lower is None) == (upper is None)
            assert lower is None or lower < upper
        assert comparison.note


samples = st.lists(st.floats(-100, 100).map(lambda v: round(v, 3)), min_size=2, max_size=6)


def both(
    a: list[float], b: list[float], scale: float = 1, shift: float = 0
) -> tuple[Sample, Sample]:
    """Many copies, so that intervals exist whatever the shares and the spreads."""
    one, other = (
        Sample.of(
            copies(Sums.of_values([v * scale + shift for v in [*values, values[0] + 1]]), 170)
        )
        for values in (a, b)
    )
    return one, other


def copies(sums: Sums, times: int) -> Sums:
    scaled = times * sums.n, times * sums.total, times * sums.total_sq
    return Sums(*scaled, sums.minimum, sums.maximum)


@given(samples, samples, st.sampled_from([0.25, -2.0, 1024.0]), st.integers(-1000, 1000))
def test_scaling_and_shifting_scale_and_shift(
    a: list[float], b: list[float], scale: float, shift: int
) -> None:
    plain = contrast(*both(a, b), LEVEL)
    moved = contrast(*both(a, b, scale, shift), LEVEL)
    if plain.method != moved.method:
        return  # 0/1 values are no longer 0 and 1
    for before, after in ((plain.fixed, moved.fixed), (plain.anytime, moved.anytime)):
        assert isinstance(before, Estimate)
        assert isinstance(after, Estimate)
        ends = sorted((before.lower * scale, before.upper * scale))
        width = ends[1] - ends[0]
        assert after.value == pytest.approx(before.value * scale, abs=1e-6 * width)
        assert [after.lower, after.upper] == pytest.approx(ends, abs=1e-6 * width)
        assert after.p_value == pytest.approx(before.p_value, rel=1e-4)


@given(samples, samples)
def test_swapped_arms_flip_the_sign(a: list[float], b: list[float]) -> None:
    one, other = both(a, b)
    forth, back = contrast(one, other, LEVEL), contrast(other, one, LEVEL)
    for left, right in ((forth.fixed, back.fixed), (forth.anytime, back.anytime)):
        assert isinstance(left, Estimate)
        assert isinstance(right, Estimate)
        assert right.value == -left.value
        assert right.p_value == pytest.approx(left.p_value, rel=1e-12)
        assert (right.lower, right.upper) == pytest.approx((-left.upper, -left.lower), rel=1e-9)


@given(samples, samples, samples)
def test_moments_merge_like_sums(a: list[float], b: list[float], c: list[float]) -> None:
    parts = [Sums.of_values([*v, v[0] + 1]) for v in (a, b, c)]
    found = [moments(part) for part in parts]
    whole = moments(sum(parts, Sums()))
    assert isinstance(whole, Moments)
    one, two, three = (m for m in found if isinstance(m, Moments))
    for merged in (one.merge(two).merge(three), three.merge(two.merge(one))):
        assert merged.n == whole.n
        assert merged.mean == pytest.approx(whole.mean, rel=1e-9, abs=1e-9)
        assert merged.m2 == pytest.approx(whole.m2, rel=1e-9)


def test_rows_of_other_arms_and_metrics_are_left_out() -> None:
    stray = [{"arm": "x", "metric": "error", "values": [0.0]}]
    unknown = [{"arm": "a", "metric": "thumbs", "values": [1.0]}]
    trial = add(Trial(), TEST, pl.concat([rows(stray), rows(unknown)]))
    assert trial.sums == {}
    assert judge(trial, TEST, NOW)[1].srm_p_value is None
