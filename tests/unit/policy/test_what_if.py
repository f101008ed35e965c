"""What would have to change: true when it is done, and not with any less."""

from dataclasses import replace

import pytest

from agents.policy.contributions import ModelKey
from agents.policy.selection import Question, select
from agents.policy.sums import Tally
from agents.policy.what_if import WhatIf, what_if
from schemas.entities import Model, PolicyConstraints, PolicyScales, PolicyWeights, SelectionPolicy
from tests.unit.policy.test_selection import NOW, ask, sums, tally

POLICY = SelectionPolicy(
    "acme",
    "chat",
    PolicyWeights(quality=1, cost_usd=0.5, latency_ms=0.2, error=1),
    PolicyScales(cost_usd=0.01, latency_ms=1000),
    min_samples=100,
)
BEST, OTHER = tally(0.8, cost=0.002, latency=1500), tally(0.75, cost=0.004, latency=1600)


def question(changed: Tally = OTHER, policy: SelectionPolicy = POLICY, **status: str) -> Question:
    return ask({"best": BEST, "other": changed}, policy, **status)


def about(asked: Question, name: str = "other") -> WhatIf:
    return what_if(asked)[ModelKey(name, "1")]


def leads(asked: Question) -> str:
    return select(asked, None, NOW)[0].candidates[0].model_id


@pytest.mark.parametrize("lever", ["quality", "cost_usd_mean", "latency_ms_mean"])
def test_each_step_alone_is_just_enough(lever: str) -> None:
    step = next(s for s in about(question()).steps if s.lever == lever)
    assert step.possible
    for much, leader in ((1.0001, "other"), (0.999, "best")):
        value = step.present + (step.needed - step.present) * much
        changed = replace(OTHER)
        # The spread stays what it was, as the step says.
        if lever == "quality":
            changed.quality = sums(value, 1000, 0.1)
        elif lever == "cost_usd_mean":
            changed.cost_usd = sums(value, 1000, 0.0004)
        else:
            changed.latency_ms = sums(value, 1000, 10)
        assert leads(question(changed)) == leader, (lever, much)


def test_more_calls_are_a_step_only_where_the_estimate_itself_is_ahead() -> None:
    few = tally(0.82, n=110, cost=0.002, latency=1500)
    few.quality = sums(0.82, 110, 0.3)
    step = next(s for s in about(question(few)).steps if s.lever == "samples")
    many = tally(0.82, n=int(step.needed) + 10, cost=0.002, latency=1500)
    many.quality = sums(0.82, int(step.needed) + 10, 0.3)
    assert leads(question(few)) == "best"
    assert leads(question(many)) == "other"
    assert all(s.lever != "samples" for s in about(question()).steps)


def test_what_cannot_be_is_called_impossible() -> None:
    hopeless = tally(0.2, cost=0.002, latency=1500)
    steps = {s.lever: s.possible for s in about(question(hopeless)).steps}
    assert steps == {
        "quality": True,
        "error_rate": False,
        "cost_usd_mean": False,
        "latency_ms_mean": False,
    }


def test_constraints_and_calls_stand_in_the_way_first() -> None:
    limits = PolicyConstraints(max_cost_usd=0.003, min_quality=0.7)
    found = about(question(policy=replace(POLICY, constraints=limits)))
    (obstacle,) = found.obstacles
    assert obstacle.code == "max_cost_usd"
    assert [obstacle.measured, obstacle.limit] == pytest.approx([0.004, 0.003])
    scarce = about(question(tally(0.9, n=40)))
    assert [o.code for o in scarce.obstacles] == ["too_few"]
    assert "60 more calls" in scarce.text


def test_statuses_and_strangers_are_obstacles() -> None:
    assert [o.code for o in about(question(other="draft")).obstacles] == ["draft"]
    assert [o.code for o in about(question(other="deprecated")).obstacles] == ["spare"]
    unknown = ask({"best": BEST, "other": OTHER}, POLICY, named=["best"])
    assert [o.code for o in about(unknown).obstacles] == ["unregistered"]


def test_the_best_has_nothing_to_change_and_nobody_is_passed_in_a_fallback() -> None:
    assert ModelKey("best", "1") not in what_if(question())
    nobody = what_if(Question(POLICY, 1, [Model("acme", "m", "1", "us", ("chat",))], {}))
    (found,) = nobody.values()
    assert (found.gap, found.behind, found.steps) == (None, None, ())
    assert "calls" in found.text
