"""Shares that follow the evidence: models of a capability, arms of a test, priors."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from agents.policy.allocation import Believed, shares
from agents.policy.contributions import ModelKey
from agents.policy.prior import weighed, with_priors
from agents.policy.reweigh import due, reweighed
from agents.policy.selection import select
from agents.policy.split import SETTLING_MS
from agents.policy.sums import Tally
from agents.policy.trial import Trial, add
from agents.policy.verdicts import SRM_ALPHA, judge
from schemas.entities import AbTest, Allocation, AllocationMethod
from schemas.records import RegistryFact
from tests.support.trials import TEST, calls, rows
from tests.unit.policy.test_selection import POLICY, ask, of, tally

NOW = datetime(2026, 6, 1, tzinfo=UTC)
METHODS: tuple[AllocationMethod, ...] = ("thompson", "top_two")


@pytest.mark.parametrize("method", METHODS)
def test_the_better_gets_more_nobody_less_than_the_floor(method: AllocationMethod) -> None:
    own = Allocation(method, floor=0.05)
    choices = [Believed(0.5, 0.01), Believed(0.52, 0.01), Believed(0.3, 0.01)]
    found = shares(own, choices, "seed")
    assert sum(found) == pytest.approx(1)
    assert found[1] >= found[0] > found[2] == pytest.approx(0.05)
    assert found[1] > 0.8 or method == "top_two", "of two, top-two gives each about a half"
    assert shares(own, choices, "seed") == found, "the same question, the same answer"
    assert shares(own, choices[:1], "seed") == [1.0]
    assert shares(replace(own, floor=0.5), choices, "s") == pytest.approx([1 / 3] * 3)


@pytest.mark.parametrize("method", METHODS)
def test_a_policy_shares_traffic_by_the_score_and_holds_for_a_period(
    method: AllocationMethod,
) -> None:
    policy = replace(POLICY, allocation=Allocation(method, floor=0.1, period_s=600))
    question = ask({"good": tally(0.62), "fair": tally(0.615), "poor": tally(0.2)}, policy)
    update, decision = select(question, None, NOW)
    weights = {c.model_id: c.weight for c in update.candidates}
    assert sum(weights.values()) == pytest.approx(1)
    assert weights["good"] >= weights["fair"] > weights["poor"] == pytest.approx(0.1)
    turned = ask({"good": tally(0.62), "fair": tally(0.7), "poor": tally(0.2)}, policy)
    soon, later = NOW + timedelta(seconds=599), NOW + timedelta(seconds=600)
    kept, _ = select(turned, decision, soon)
    assert {c.model_id: c.weight for c in kept.candidates} == weights
    changed, _ = select(turned, decision, later)
    assert of(changed, "fair").weight > (0.7 if method == "thompson" else 0.4)
    gone = ask({"good": tally(0.62), "fair": tally(0.615)}, policy)
    assert sum(c.weight for c in select(gone, decision, soon)[0].candidates) == pytest.approx(1)


def test_newcomers_get_the_floor_and_a_fallback_is_shared_as_ever() -> None:
    policy = replace(POLICY, allocation=Allocation("thompson", floor=0.08), fallback=("new",))
    named = ["good", "fair", "new"]
    update, _ = select(
        ask({"good": tally(0.7), "fair": tally(0.6)}, policy, named=named), None, NOW
    )
    assert of(update, "new").weight == pytest.approx(0.08)
    assert sum(c.weight for c in update.candidates) == pytest.approx(1)
    nobody, _ = select(ask({}, replace(policy, fallback=("new", "good")), named=named), None, NOW)
    assert of(nobody, "new").weight == pytest.approx(0.9)


def test_a_prior_keeps_its_mean_and_weighs_so_many_calls() -> None:
    found = weighed(tally(0.8, n=1000, errors=100), 50)
    assert (found.events, found.errors, found.quality.n) == (50, 5, 50)
    assert found.quality.mean == pytest.approx(0.8)
    whole = tally(0.8, n=1000)
    assert whole.quality.standard_error is not None
    assert found.quality.standard_error == pytest.approx(
        whole.quality.standard_error * (50 / 1000 * 999 * 1000 / 49 / 50) ** 0.5, rel=1e-6
    )
    assert weighed(whole, 2000) is whole
    assert weighed(Tally(), 10) == Tally()


def test_evaluations_count_as_calls_if_the_policy_lets_them() -> None:
    key = ModelKey("new", "1")
    evaluated = {key: tally(0.9, n=400)}
    both, counted = with_priors({}, evaluated, 150)
    assert (both[key].events, counted[key]) == (150, 150)
    assert with_priors({}, evaluated, 0) == ({}, {})
    question = replace(ask({}, POLICY, named=["new"]), tallies=both, priors=counted)
    candidate = of(select(question, None, NOW)[0], "new")
    assert candidate.eligible
    assert any("150 calls, 150 of them evaluations" in reason for reason in candidate.reasons)


BANDIT = replace(TEST, allocation=Allocation("thompson", floor=0.1, period_s=600))


def judged(test: AbTest, better: float) -> tuple[RegistryFact, Trial]:
    events = [*calls("a", 400, quality=0.6), *calls("b", 400, quality=better)]
    trial = add(Trial(), test, rows(events))
    return RegistryFact(3, "me", NOW - timedelta(hours=1), "c", test), trial


def test_arms_get_new_weights_through_the_registry() -> None:
    fact, trial = judged(BANDIT, 0.612)
    verdict = judge(trial, BANDIT, NOW)[1]
    assert verdict.status == "collecting"
    assert due(fact, BANDIT, verdict, None, NOW)
    assert not due(fact, BANDIT, verdict, NOW - timedelta(seconds=599), NOW)
    assert not due(fact, replace(BANDIT, status="paused"), verdict, None, NOW)
    assert not due(fact, TEST, verdict, None, NOW)
    command = reweighed(fact, BANDIT, verdict, NOW)
    assert command is not None
    (change,) = command.changes
    assert (change.action, change.key, change.expected_version) == ("update", BANDIT.key, 3)
    assert isinstance(change.entity, AbTest)
    weights = {arm.arm: arm.weight for arm in change.entity.arms}
    assert weights["b"] > weights["a"] >= 0.1
    assert sum(weights.values()) == pytest.approx(1, abs=1e-3)
    assert command.org_id == BANDIT.org_id


def test_without_enough_values_weights_stay() -> None:
    trial = add(
        Trial(), BANDIT, rows([*calls("a", 50, quality=0.6), *calls("b", 400, quality=0.9)])
    )
    fact = RegistryFact(1, "me", NOW, "c", BANDIT)
    assert reweighed(fact, BANDIT, judge(trial, BANDIT, NOW)[1], NOW) is None


def test_changed_weights_do_not_look_like_a_mismatch() -> None:
    """1 : 1 for a while, then 1 : 9; each by its own weights."""
    skewed = replace(
        BANDIT,
        arms=tuple(replace(a, weight=w) for a, w in zip(BANDIT.arms, (0.1, 0.9), strict=True)),
    )
    trial = Trial()
    for minute in range(30):
        trial = add(trial, BANDIT, rows([*calls("a", 50), *calls("b", 50)], 60 * minute))
    settled = 30 * 60 + SETTLING_MS // 1000
    for minute in range(60):
        even = minute * 60 < settled - 1800
        counts = (50, 50) if even else (10, 90)
        more = [*calls("a", counts[0]), *calls("b", counts[1])]
        trial = add(trial, skewed, rows(more, 1800 + 60 * minute))
    verdict = judge(trial, skewed, NOW)[1]
    assert verdict.srm_p_value is not None
    assert verdict.srm_p_value > SRM_ALPHA
    wrong = judge(trial, BANDIT, NOW)[0]
    for minute in range(30):
        more = [*calls("a", 10), *calls("b", 90)]
        wrong = add(wrong, BANDIT, rows(more, 7200 + 60 * minute))
    assert judge(wrong, BANDIT, NOW)[1].recommendation == "invalid"
