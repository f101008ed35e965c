"""Selections: who leads, why, and what noise cannot change."""

import random
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from agents.policy.contributions import ModelKey
from agents.policy.selection import HEARTBEAT_S, Decision, Question, due, select
from agents.policy.sums import Sums, Tally, fixed
from schemas.entities import (
    Model,
    PolicyConstraints,
    PolicyScales,
    PolicyWeights,
    SelectionPolicy,
)
from schemas.records import Candidate, SelectionUpdate
from streams.sketch import keys as sketch_keys

NOW = datetime(2026, 6, 1, tzinfo=UTC)
POLICY = SelectionPolicy(
    "acme", "chat", PolicyWeights(quality=1, error=0), min_samples=100, min_dwell_s=60
)


def sums(mean: float, n: int, spread: float) -> Sums:
    """n values, half `spread` below and half above the mean."""
    each = [mean - spread, mean + spread]
    total_sq = sum(v * v for v in each) * n / 2
    return Sums(n, fixed(mean * n), fixed(total_sq))


def tally(
    quality: float, n: int = 1000, errors: int = 0, latency: float = 100, cost: float = 0.001
) -> Tally:
    key = int(sketch_keys(np.array([latency]))[0])
    return Tally(
        n, errors, sums(latency, n, 10), sums(cost, n, cost / 10), sums(quality, n, 0.1), {key: n}
    )


def models(*names: str, **status: Any) -> list[Model]:
    return [Model("acme", n, "1", "us", ("chat",), status=status.get(n, "active")) for n in names]


def ask(tallies: Mapping[str, Tally], policy: SelectionPolicy = POLICY, **status: Any) -> Question:
    named = status.pop("named", None) or list(tallies)
    held = {ModelKey(name, "1"): t for name, t in tallies.items()}
    return Question(policy, 1, models(*named, **status), held)


def chosen(question: Question, before: Decision | None = None) -> SelectionUpdate:
    return select(question, before, NOW)[0]


def of(update: SelectionUpdate, name: str) -> Candidate:
    return next(c for c in update.candidates if c.model_id == name)


def leader(update: SelectionUpdate) -> str:
    return update.candidates[0].model_id


def test_the_better_lower_bound_leads_and_the_weights_sum_to_one() -> None:
    update = chosen(ask({"a": tally(0.7), "b": tally(0.8), "c": tally(0.81, n=100)}))
    assert [c.model_id for c in update.candidates] == ["b", "c", "a"]
    assert [c.rank for c in update.candidates] == [1, 2, 3]
    assert sum(c.weight for c in update.candidates) == pytest.approx(1, abs=1e-12)
    assert [c.weight for c in update.candidates] == pytest.approx([0.9, 0.05, 0.05])
    c = of(update, "c")
    assert c.score == pytest.approx(0.81)
    assert c.score is not None
    assert c.score_lower is not None
    assert c.score_lower == pytest.approx(0.81 - 1.645 * 0.1 / 100**0.5, rel=1e-2)


def test_the_score_weighs_all_criteria_by_their_scales() -> None:
    policy = replace(
        POLICY,
        weights=PolicyWeights(quality=2, cost_usd=1, latency_ms=1, error=4),
        scales=PolicyScales(cost_usd=0.01, latency_ms=1000),
    )
    update = chosen(ask({"a": tally(0.8, errors=100, latency=500, cost=0.002)}, policy))
    expected = (2 * 0.8 - 0.002 / 0.01 - 500 / 1000 - 4 * 0.1) / 8
    assert of(update, "a").score == pytest.approx(expected)


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        (PolicyConstraints(max_error_rate=0.01), "error rate 5.00% is above 1.00%"),
        (PolicyConstraints(max_latency_p95_ms=400), "p95 latency"),
        (PolicyConstraints(max_cost_usd=0.001), "mean cost $0.002000 is above $0.001000"),
        (PolicyConstraints(min_quality=0.95), "quality 0.9000 is below 0.9500"),
    ],
)
def test_a_constraint_excludes_and_says_why(limits: PolicyConstraints, says: str) -> None:
    good = tally(0.96, latency=100, cost=0.0005)
    bad = tally(0.9, errors=50, latency=500, cost=0.002)
    policy = replace(POLICY, constraints=limits)
    update = chosen(ask({"good": good, "bad": bad}, policy))
    assert leader(update) == "good"
    barred = of(update, "bad")
    assert not barred.eligible
    assert barred.weight == 0
    assert any(says in reason for reason in barred.reasons), barred.reasons


def test_what_is_limited_but_not_measured_does_not_pass() -> None:
    unpriced = replace(tally(0.9), cost_usd=Sums())
    policy = replace(POLICY, constraints=PolicyConstraints(max_cost_usd=1))
    update = chosen(ask({"a": tally(0.8), "b": unpriced}, policy))
    assert not of(update, "b").eligible
    assert of(update, "b").reasons[0] == "mean cost is limited but not measured"
    assert of(update, "b").cost_usd_mean is None


def test_status_decides_who_is_a_candidate() -> None:
    everyone = {name: tally(0.9) for name in ("old", "draft", "gone", "stranger")}
    question = ask(
        {**everyone, "a": tally(0.5)},
        named=["a", "old", "draft", "gone"],
        old="deprecated",
        draft="draft",
        gone="retired",
    )
    update = chosen(question)
    assert [c.model_id for c in update.candidates if c.eligible] == ["a"]
    assert "the registry has no such model" in of(update, "stranger").reasons[0]
    assert "deprecated" in of(update, "old").reasons[0]
    question = ask(
        everyone, named=["old", "draft", "gone"], old="deprecated", draft="draft", gone="retired"
    )
    assert [c.model_id for c in chosen(question).candidates if c.eligible] == ["old"]


def test_too_little_data_falls_back_to_the_declared_order_and_says_so() -> None:
    policy = replace(POLICY, fallback=("b", "a", "missing"))
    update = chosen(ask({"a": tally(0.9, n=99), "b": tally(0.1, n=3)}, policy, named=["a", "b"]))
    assert [c.model_id for c in update.candidates] == ["b", "a"]
    assert "Fallback" in update.reason
    assert "100 calls" in update.reason
    assert "3 calls in the last 60 min; the policy asks for 100" in of(update, "b").reasons
    assert sum(c.weight for c in update.candidates) == pytest.approx(1)


def test_a_fallback_prefers_models_that_do_not_violate() -> None:
    policy = replace(
        POLICY, fallback=("bad", "new"), constraints=PolicyConstraints(max_error_rate=0.01)
    )
    question = ask({"bad": tally(0.9, errors=500)}, policy, named=["bad", "new"])
    assert leader(chosen(question)) == "new"
    alone = ask({"bad": tally(0.9, errors=500)}, policy, named=["bad"])
    update = chosen(alone)
    assert update.candidates[0].eligible
    assert "breaks a constraint" in update.reason


def test_a_model_of_the_fallback_that_is_not_measured_yet_is_explored_and_never_leads() -> None:
    policy = replace(POLICY, fallback=("new", "old"))
    question = ask({"old": tally(0.5), "new": tally(1.0, n=99), "other": tally(1.0, n=5)}, policy)
    update = chosen(question)
    assert [(c.model_id, c.eligible) for c in update.candidates[:2]] == [
        ("old", True),
        ("new", True),
    ]
    assert [c.weight for c in update.candidates] == pytest.approx([0.9, 0.1, 0.0])
    assert "not measured yet" in of(update, "new").reasons[0]
    assert not of(update, "other").eligible
    measured = ask({"old": tally(0.5), "new": tally(1.0, n=100)}, policy)
    before = select(question, None, NOW)[1]
    assert leader(select(measured, before, NOW + timedelta(minutes=2))[0]) == "new"


def test_a_retired_newcomer_is_not_explored() -> None:
    policy = replace(POLICY, fallback=("new",))
    update = chosen(ask({"old": tally(0.5), "new": tally(1.0, n=9)}, policy, new="retired"))
    assert [c.weight for c in update.candidates] == [1.0, 0.0]


def test_nobody_is_eligible_without_data_and_fallback() -> None:
    update = chosen(ask({}, named=["a"]))
    assert [c.eligible for c in update.candidates] == [False]
    assert "No candidate may serve" in update.reason
    assert of(update, "a").quality is None


def test_a_criterion_that_nobody_measures_is_left_out_and_said() -> None:
    unrated = {
        n: replace(tally(0.5, latency=lat), quality=Sums())
        for n, lat in (("slow", 900), ("fast", 100))
    }
    policy = replace(POLICY, weights=PolicyWeights(quality=1, latency_ms=1, error=0))
    update = chosen(ask(unrated, policy))
    assert leader(update) == "fast"
    assert "measured for nobody: quality" in update.reason


class TestHysteresis:
    """b leads; a challenges."""

    def led(self, seconds: float) -> Decision:
        _, decision = select(ask({"b": tally(0.8)}), None, NOW - timedelta(seconds=seconds))
        return decision

    def test_a_better_bound_alone_does_not_unseat(self) -> None:
        update = chosen(ask({"a": tally(0.805), "b": tally(0.8)}), self.led(3600))
        assert leader(update) == "b"
        assert "stays leader" in update.candidates[0].reasons[0]

    def test_a_bound_above_the_leaders_score_does(self) -> None:
        update = chosen(ask({"a": tally(0.82), "b": tally(0.8)}), self.led(3600))
        assert leader(update) == "a"
        assert "exceeds the score of b 1" in update.candidates[0].reasons[0]

    def test_but_not_before_the_dwell_time(self) -> None:
        question = ask({"a": tally(0.82), "b": tally(0.8)})
        assert leader(chosen(question, self.led(59))) == "b"
        assert leader(chosen(question, self.led(60))) == "a"

    def test_an_ineligible_leader_goes_at_once(self) -> None:
        question = ask({"a": tally(0.5), "b": tally(0.8)}, b="retired")
        assert leader(chosen(question, self.led(1))) == "a"

    def test_since_when_it_leads_is_kept_through_republication(self) -> None:
        before = self.led(100)
        _, after = select(ask({"b": tally(0.81)}), before, NOW)
        assert after.leader_since == before.leader_since
        assert after.sequence == before.sequence + 1

    def test_noise_does_not_flip_the_leader(self) -> None:
        """Two equal models, 500 windows of fresh noise. A bound passes the other's score with
        probability 1 - Phi(1.645 / sqrt 2) = 0.12; without hysteresis every other window would
        flip."""
        rng = random.Random(7)
        before, seen, at = None, [], NOW
        for _ in range(500):
            noisy = {n: tally(0.8 + rng.gauss(0, 0.1 / 1000**0.5)) for n in ("a", "b")}
            update, before = select(ask(noisy), before, at)
            seen.append(leader(update))
            at += timedelta(seconds=61)
        assert sum(x != y for x, y in pairwise(seen)) <= 80


class TestPublication:
    def test_a_relevant_change_is_due_at_once_and_numbers_once_a_second(self) -> None:
        _, first = select(ask({"a": tally(0.8)}), None, NOW)
        soon, later = NOW + timedelta(seconds=0.5), NOW + timedelta(seconds=1)
        _, same = select(ask({"a": tally(0.81)}), first, soon)
        assert not due(same, first, numbers_changed=True)
        _, same = select(ask({"a": tally(0.81)}), first, later)
        assert due(same, first, numbers_changed=True)
        _, other = select(ask({"a": tally(0.81), "b": tally(0.1)}), first, soon)
        assert due(other, first, numbers_changed=True)

    def test_a_heartbeat_comes_before_the_selection_expires(self) -> None:
        update, first = select(ask({"a": tally(0.8)}), None, NOW)
        at = NOW + timedelta(seconds=HEARTBEAT_S)
        _, again = select(ask({"a": tally(0.8)}), first, at)
        assert due(again, first, numbers_changed=False)
        assert at < update.expires_at

    def test_every_publication_has_its_own_id_and_a_repetition_the_same(self) -> None:
        question = ask({"a": tally(0.8)})
        one, decision = select(question, None, NOW)
        again, _ = select(question, None, NOW)
        two, _ = select(question, decision, NOW)
        assert one.selection_id == again.selection_id != two.selection_id
