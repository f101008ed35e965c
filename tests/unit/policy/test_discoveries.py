"""All A/B tests at a rate of false discoveries: evidence of one, levels in order, by hand."""

import math
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from agents.policy.discoveries import INVALID, NONE_YET, UNPLACED, Begun, discoveries, evidence_of
from schemas.records import AbVerdict
from streams.statistics.online_fdr import EStream, share
from tests.support.verdicts import BEGIN, verdict


def with_e(*e_values: float | None, name: str = "t") -> AbVerdict:
    """A verdict of as many primary comparisons, and a strong secondary one that does not count."""
    made = verdict(200)
    primary, other = made.comparisons[0], made.comparisons[2]
    logs = [None if e is None else math.log(e) for e in e_values]
    asked = [replace(primary, arm=f"arm{i}", log_e_value=log) for i, log in enumerate(logs)]
    kept = (*asked, replace(other, log_e_value=math.log(1e9)))
    return replace(made, ab_test_id=name, comparisons=kept)


def begun(name: str, day: int, *e_values: float | None) -> Begun:
    return Begun(BEGIN + timedelta(days=day), with_e(*e_values, name=name))


def test_evidence_is_the_mean_over_primary_comparisons_and_nothing_counts_as_one() -> None:
    found = evidence_of(with_e(39, None, 0.5))
    assert math.exp(found.log_e) == pytest.approx((39 + 1 + 0.5) / 3)
    assert (found.comparisons, found.measured, found.note) == (3, 2, None)
    assert found.strongest is not None
    assert found.strongest.arm == "arm0"


@pytest.mark.parametrize("made", [with_e(None), replace(with_e(1e9), status="invalid")])
def test_what_is_unknown_or_invalid_is_no_evidence(made: AbVerdict) -> None:
    found = evidence_of(made)
    assert (found.log_e, found.strongest) == (0.0, None)
    assert found.note == (INVALID if made.status == "invalid" else NONE_YET)


def test_each_test_gets_the_level_of_its_place_and_discoveries_pay() -> None:
    """Level of place t after d discoveries: share(t) q (d + 1); e must reach 1 / level."""
    first = 1 / (share(1) * 0.05)
    second = 1 / (share(2) * 0.05 * 2)
    rows = discoveries(
        [
            begun("late", 3, 1e9),
            begun("second", 1, second * 0.999),
            begun("first", 0, first * 1.001),
            begun("b", 2, None),
            begun("a", 2, second * 1.001),
        ]
    )
    assert [row.ab_test_id for row in rows] == ["first", "second", "a", "b", "late"]
    assert [row.place for row in rows] == [1, 2, 3, 4, 5]
    assert [row.discovery for row in rows] == [True, False, False, False, True]
    paid = [1, 2, 2, 2, 2]
    assert [row.level for row in rows] == pytest.approx(
        [share(t) * 0.05 * d for t, d in enumerate(paid, start=1)]
    )
    assert all(row.discovery == (row.p_value <= row.level) for row in rows)
    assert rows[0].p_value == pytest.approx(1 / (first * 1.001))
    assert rows[3].p_value == 1
    # e-BH: five tests, the largest e-value of 1e9.
    assert rows[4].least_q == pytest.approx(5 / 1e9)


def test_the_procedure_for_independent_tests_spends_its_own_wealth() -> None:
    """LORD++: share(1) q / 2 at first; a first discovery pays q / 2."""
    rows = discoveries([begun("a", 0, 1e6), begun("b", 1, 1.0)], 0.1, "lord")
    assert rows[0].level == pytest.approx(share(1) * 0.05)
    assert rows[1].level == pytest.approx(share(2) * 0.05 + share(1) * 0.05)
    assert [row.discovery for row in rows] == [True, False]


def test_a_test_of_unknown_begin_stands_where_its_verdict_is_from() -> None:
    known, unknown = begun("known", 30, 2.0), Begun(None, with_e(2.0, name="unknown"))
    rows = discoveries([known, unknown])
    assert [row.ab_test_id for row in rows] == ["unknown", "known"]
    assert rows[0].note == UNPLACED
    assert (rows[0].began_at, rows[1].note) == (None, None)
    assert discoveries([]) == []


@pytest.mark.parametrize("shared", [False, True])
def test_false_discoveries_stay_below_q_also_of_tests_that_share_all_calls(shared: bool) -> None:
    """e-values of true nulls with mean 1: one in 400 is 400. Shared: all of a stream are equal."""
    rng = np.random.default_rng(7)
    wrong = 0
    for _ in range(4000):
        stream = EStream(0.2)
        false = rng.random(30) < 1 / 400
        for hit in [false[0]] * 30 if shared else false:
            _, stream = stream.decide(math.log(400.0) if hit else -math.inf)
        wrong += stream.discoveries > 0
    assert wrong / 4000 <= 0.2
