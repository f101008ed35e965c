"""Tests whose weights changed: compared period by period, like times with like times."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from agents.policy.periods import (
    Stretch,
    Version,
    advice,
    changes_of,
    estimates,
    from_first_call,
    stretches,
)
from agents.policy.split import SETTLING_MS
from agents.policy.trial import Cell
from schemas.entities import AbTest, Arm
from streams.statistics.means import difference
from streams.statistics.moments import Moments, moments
from streams.statistics.sums import Sums
from tests.support.trials import TEST

BEGIN = datetime(2026, 6, 1, tzinfo=UTC)
BEGIN_MS = int(BEGIN.timestamp() * 1000)
METRIC = TEST.metrics[0].metric


def weighed(a: float, b: float) -> AbTest:
    return replace(TEST, arms=(Arm("a", "small", a), Arm("b", "large", b)))


def at(minutes: float, test: AbTest) -> Version:
    return Version(BEGIN + timedelta(minutes=minutes), test)


def ms(minutes: float) -> int:
    return BEGIN_MS + int(minutes * 60_000)


def test_a_stratum_is_a_period_of_the_same_weights_and_the_settling_after_a_change() -> None:
    even, uneven = weighed(1, 1), weighed(1, 9)
    found = stretches(
        [
            at(0, replace(even, status="draft")),
            at(1, even),
            at(2, replace(even, alpha=0.01)),
            at(3, weighed(2, 2)),
            at(5, uneven),
            at(8, replace(uneven, status="paused")),
            at(9, uneven),
            at(10, replace(uneven, status="stopped")),
        ]
    )
    assert [(each.start_ms, each.stratum) for each in found] == [
        (ms(0), None),
        (ms(1), "period 1"),
        (ms(5), "change 1"),
        (ms(5) + SETTLING_MS, "period 2"),
        (ms(8), None),
        (ms(9), "period 2"),
        (ms(10), None),
    ]
    assert changes_of(found) == 1


def test_calls_from_before_the_registration_count_with_the_first_period() -> None:
    running, later = Stretch(ms(0), "period 1"), Stretch(ms(9), None)
    early = [Stretch(ms(-30), "period 1"), later]
    assert from_first_call([running, later], ms(-30) + 1234) == early
    assert from_first_call([running, later], ms(0) + 999) == [running, later]
    assert from_first_call([running, later], ms(12)) == [running, later]
    # What is known not to have run stays out.
    draft = [Stretch(ms(0), None), Stretch(ms(3), "period 1")]
    assert from_first_call(draft, ms(2)) == draft
    assert from_first_call(draft, ms(-5)) == [Stretch(ms(-5), "period 1"), *draft]
    assert from_first_call([Stretch(ms(0), None)], ms(-5)) == [Stretch(ms(0), None)]


def test_a_change_within_the_settling_of_another_cuts_it_short() -> None:
    found = stretches([at(0, weighed(1, 1)), at(5, weighed(1, 2)), at(5.5, weighed(1, 3))])
    assert found[1:] == [
        Stretch(ms(5), "change 1"),
        Stretch(ms(5.5), "change 2"),
        Stretch(ms(5.5) + SETTLING_MS, "period 3"),
    ]
    assert changes_of(found) == 2


def test_another_edit_within_the_settling_does_not_cut_it_short() -> None:
    uneven = weighed(1, 2)
    found = stretches(
        [at(0, weighed(1, 1)), at(5, uneven), at(5.25, replace(uneven, hypothesis="b is better"))]
    )
    assert found[1:] == [
        Stretch(ms(5), "change 1"),
        Stretch(ms(5) + SETTLING_MS, "period 2"),
    ]


def test_weights_that_never_changed_are_one_stratum() -> None:
    paused = replace(TEST, status="paused")
    found = stretches([at(0, TEST), at(1, paused), at(2, TEST)])
    assert changes_of(found) == 0
    assert {each.stratum for each in found} == {"period 1", None}


def quality(mean: float, n: int, seed: int) -> Sums:
    rng = random.Random(seed)
    return Sums.of_values([rng.gauss(mean, 0.1) for _ in range(n)])


def cells(a: Sums, b: Sums) -> dict[Cell, Sums]:
    return {Cell("a", METRIC): a, Cell("b", METRIC): b}


SIMPSON = {
    "period 1": cells(quality(0.8, 900, 1), quality(0.85, 100, 2)),
    "period 2": cells(quality(0.5, 100, 3), quality(0.55, 900, 4)),
}
"""b is better by 0.05 at any time, and is served mostly when calls are hard."""


def test_by_periods_the_better_arm_is_better_whatever_the_mix() -> None:
    (found,) = estimates(TEST, SIMPSON)
    assert found.plain is not None
    assert found.plain == pytest.approx(-0.19, abs=0.02), "in all, b looks far worse"
    assert found.difference == pytest.approx(0.05, abs=0.02)
    assert found.verdict == "better"
    assert (found.strata, found.left_out, found.note) == (2, 0, None)
    assert found.anytime_lower is not None
    assert found.fixed_lower is not None
    assert 0 < found.anytime_lower < found.fixed_lower
    text = advice(TEST, 1, [found])
    assert "Weights changed 1 time while" in text
    assert "outside of the interval by periods: quality of b" in text


def test_swapped_arms_turn_the_sign() -> None:
    swapped = {
        name: cells(pair[Cell("b", METRIC)], pair[Cell("a", METRIC)])
        for name, pair in SIMPSON.items()
    }
    (one,), (other,) = estimates(TEST, SIMPSON), estimates(TEST, swapped)
    assert one.difference is not None
    assert other.difference == pytest.approx(-one.difference)
    assert one.anytime_lower is not None
    assert other.anytime_upper == pytest.approx(-one.anytime_lower)


def test_a_single_period_is_the_plain_comparison() -> None:
    (found,) = estimates(TEST, {"period 1": SIMPSON["period 1"]})
    one, other = (moments(SIMPSON["period 1"][Cell(arm, METRIC)]) for arm in "ba")
    assert isinstance(one, Moments)
    assert isinstance(other, Moments)
    gap = difference(one, other)
    assert found.difference == pytest.approx(found.plain) == pytest.approx(gap.value)
    assert found.fixed_upper is not None
    assert found.difference is not None
    assert found.fixed_upper - found.difference == pytest.approx(1.959964 * gap.error, rel=1e-6)


def test_a_period_without_failures_is_no_certainty_and_one_arm_alone_is_left_out() -> None:
    passes, some = Sums.of_values([1.0] * 50), Sums.of_values([1.0] * 450 + [0.0] * 50)
    strata = {"period 1": cells(passes, passes), "period 2": cells(some, some)}
    (found,) = estimates(TEST, strata)
    assert (found.difference, found.left_out) == (0, 0)
    assert found.fixed_upper is not None
    assert found.fixed_upper > 0
    alone = {**strata, "change 1": cells(Sums.of_values([1.0] * 20), Sums())}
    (found,) = estimates(TEST, alone)
    assert found.left_out == pytest.approx(20 / 1120)
    most = {**strata, "change 1": cells(Sums.of_values([1.0] * 500), Sums())}
    (found,) = estimates(TEST, most)
    assert (found.difference, found.verdict) == (None, "no_estimate")
    assert "hold 31% of the units" in (found.note or "")


def test_nothing_counted_is_no_estimate() -> None:
    (found,) = estimates(TEST, {})
    assert (found.difference, found.plain, found.verdict) == (None, None, "no_estimate")
    assert found.note
