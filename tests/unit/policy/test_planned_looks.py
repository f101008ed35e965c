"""Group-sequential rows: which verdict is which look, its bound, and what was seen at it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from scipy import stats

from agents.policy.planned_looks import LookRow, LookSeen, look_rows, needed
from schemas.entities import AbTest, Arm, MetricGoal, Spending, SpendingFamily
from streams.statistics import spending
from tests.support.trials import TEST

BEGIN = datetime(2026, 6, 1, tzinfo=UTC)
PLANNED = replace(TEST, planned_n=1000, spending=Spending("obrien_fleming", 4))
ERROR = 0.1


def seen(due: int, n: int, z: float, other: int | None = None) -> LookSeen:
    """The first verdict with `due` values, in which the arm has n; its difference is z errors."""
    value, half = z * ERROR, float(stats.norm.ppf(0.975)) * ERROR
    p = 2 * float(stats.norm.sf(abs(z)))
    at = BEGIN + timedelta(seconds=n)
    n_baseline = n + 7 if other is None else other
    return LookSeen(due, at, n, n_baseline, value, value - half, value + half, p, None)


def rows_of(test: AbTest, *found: LookSeen) -> Sequence[LookRow]:
    return look_rows(test, {("quality", "b"): found})


@pytest.mark.parametrize("family", ["obrien_fleming", "pocock"])
def test_a_look_has_the_bound_of_the_information_that_there_was(family: SpendingFamily) -> None:
    test = replace(PLANNED, spending=Spending(family, 4))
    rows = rows_of(test, seen(250, 260, 1.0), seen(500, 500, -3.2), seen(750, 750, 2.0))
    bounds = spending.bounds([0.26, 0.5, 0.75, 1.0], 0.05, family)
    assert [row.bound for row in rows] == pytest.approx(bounds)
    assert [row.needed for row in rows] == [250, 500, 750, 1000]
    assert [row.fraction for row in rows] == [0.26, 0.5, 0.75, 1.0]
    assert [row.crossed for row in rows] == [False, True, False, None]
    assert [row.note for row in rows] == [None, None, None, "not reached"]
    second, last = rows[1], rows[3]
    assert second.as_of == BEGIN + timedelta(seconds=500)
    assert (second.n_arm, second.n_baseline) == (500, 507)
    assert second.z == pytest.approx(-3.2)
    assert second.p_value == pytest.approx(2 * stats.norm.sf(3.2))
    assert second.p_needed == pytest.approx(2 * stats.norm.sf(bounds[1]))
    assert (second.lower, second.upper) == pytest.approx(
        (-0.32 - 0.1 * bounds[1], -0.32 + 0.1 * bounds[1])
    )
    assert (second.level, second.corrected_for) == (0.95, 1)
    assert (last.as_of, last.n_arm, last.z, last.value, last.p_value) == (None,) * 5
    assert {row.when for row in rows} == {"at the planned looks only"}


def test_a_look_is_crossed_exactly_from_its_bound_on() -> None:
    (bound,) = spending.bounds([0.25], 0.05, "obrien_fleming")
    for z, crossed in ((bound - 1e-6, False), (bound + 1e-6, True), (-bound - 1e-6, True)):
        row = rows_of(PLANNED, seen(250, 250, z))[0]
        assert row.crossed is crossed
        assert row.lower is not None
        assert row.upper is not None
        assert (row.lower > 0 or row.upper < 0) is crossed
    certain = replace(seen(250, 250, 9.0), p_value=0.0)
    row = rows_of(PLANNED, certain)[0]
    assert row.crossed is True
    assert row.z is not None
    assert 30 < row.z < 40


def test_the_smaller_arm_says_when_a_look_is_due() -> None:
    row = rows_of(PLANNED, seen(250, 900, 0.0, other=300))[0]
    assert row.fraction == 0.3


def test_one_verdict_that_is_due_for_several_is_one_look() -> None:
    """The monitor was away from before the first look to after the third."""
    rows = rows_of(PLANNED, *(seen(due, 800, 3.0) for due in (250, 500, 750)))
    assert [row.bound is None for row in rows] == [True, True, False, False]
    assert [row.crossed for row in rows] == [None, None, True, None]
    assert [r.bound for r in rows[2:]] == pytest.approx(
        spending.bounds([0.8, 1.0], 0.05, "obrien_fleming")
    )
    assert rows[0].note is not None
    assert rows[0].note.startswith("not a look of its own")
    assert (rows[0].n_arm, rows[0].value, rows[0].p_value) == (800, None, None)
    beyond = rows_of(PLANNED, *(seen(due, 5000, 2.0) for due in (250, 500, 750, 1000)))
    assert beyond[3].bound == pytest.approx(stats.norm.ppf(0.975))
    assert (beyond[3].fraction, beyond[3].crossed) == (1.0, True)


def test_a_verdict_right_after_a_look_is_none() -> None:
    test = replace(PLANNED, planned_n=100_000)
    rows = rows_of(test, seen(25_000, 49_990, 1.0), seen(50_000, 50_000, 9.0))
    assert [row.bound is None for row in rows] == [False, True, False, False]
    assert rows[1].crossed is None
    assert [rows[i].bound for i in (0, 2, 3)] == pytest.approx(
        spending.bounds([0.4999, 0.75, 1.0], 0.05, "obrien_fleming")
    )


def test_a_look_without_an_estimate_says_why() -> None:
    nothing = replace(
        seen(250, 250, 0.0), difference=None, lower=None, upper=None, p_value=None, note="no spread"
    )
    rows = rows_of(PLANNED, nothing)
    assert (rows[0].crossed, rows[0].note, rows[0].value) == (None, "no spread", None)
    assert rows[0].bound is not None


def test_comparisons_share_alpha_as_in_the_verdict() -> None:
    test = replace(
        PLANNED,
        arms=(*TEST.arms, Arm("c", "huge")),
        metrics=(
            MetricGoal("quality", "primary", "higher"),
            MetricGoal("latency_ms", "primary", "lower"),
            MetricGoal("error", "guardrail", "lower"),
        ),
    )
    rows = look_rows(test, {})
    assert [(r.metric, r.arm) for r in rows[::4]] == [
        ("quality", "b"),
        ("quality", "c"),
        ("latency_ms", "b"),
        ("latency_ms", "c"),
        ("error", "b"),
        ("error", "c"),
    ]
    first = {row.metric: row for row in reversed(rows)}
    for metric, family in (("quality", 4), ("error", 2)):
        assert first[metric].corrected_for == family
        assert first[metric].level == pytest.approx(1 - 0.05 / family)
        wanted = spending.bounds([0.25], 0.05 / family, "obrien_fleming")
        assert [first[metric].bound] == pytest.approx(wanted)


def test_looks_are_spread_evenly_and_only_where_they_are_planned() -> None:
    assert needed(replace(PLANNED, planned_n=10, spending=Spending("pocock", 3))) == (4, 7, 10)
    assert needed(TEST) == ()
    assert rows_of(TEST, seen(250, 250, 9.0)) == ()
