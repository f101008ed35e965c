"""What the demo answers about its A/B test: what cannot be answered says so."""

from datetime import UTC, datetime
from typing import Any

from agents.ab_plan import Plan
from agents.policy.method_rows import MethodRow
from agents.policy.replay import Difference
from agents.reproduce import Reproduction
from api.ab_methods import MethodsBody
from infra.demo import asked
from schemas.entities import AbTest, Arm, MetricGoal
from streams.statistics.estimates import NoEstimate

TEST = AbTest(
    "demo",
    "law",
    "law",
    "request",
    (Arm("old", "a", 0.5), Arm("new", "b", 0.5)),
    "old",
    (MetricGoal("quality", "primary", "higher"), MetricGoal("cost_usd", "secondary", "lower")),
)
ROW: dict[str, Any] = {
    "metric": "quality",
    "arm": "new",
    "baseline": "old",
    "method": "beta_binomial",
    "quantity": "difference",
    "when": "at every look",
    "by": "calls",
    "n_arm": 700,
    "n_baseline": 800,
    "value": 0.2,
    "lower": 0.125,
    "upper": 0.275,
    "p_value": None,
    "margin": None,
    "level": 0.95,
    "corrected_for": 1,
    "note": None,
}


def said(*rows: MethodRow, **more: Any) -> tuple[str, ...]:
    body = {
        "ab_test_id": "law",
        "alpha": 0.05,
        "as_of": datetime.now(UTC),
        "warnings": (),
        "group_sequential": (),
    }
    return asked.by_methods(TEST, MethodsBody(**{**body, "rows": rows, **more}))


def row(**changes: Any) -> MethodRow:
    return MethodRow(**{**ROW, **changes})


def test_what_holds_at_every_look_stands_for_one_look() -> None:
    once = row(when="once", lower=0.15, upper=0.25, p_value=0.01)
    assert said(row(), once) == (
        "quality, beta-binomial, difference: 0.2 [0.125, 0.275] (at every look)",
    )
    assert said(once) == ("quality, beta-binomial, difference: 0.2 [0.15, 0.25] p 0.01 (once)",)


def test_other_metrics_arms_alone_and_no_estimates_are_left_to_the_command() -> None:
    others = (
        row(metric="cost_usd"),
        row(baseline=None),
        row(method="equivalence"),
        row(value=None, lower=None, upper=None, note="too few values"),
    )
    assert said(*others) == ("too few values for any of them",)


def test_warnings_come_first_and_no_rows_say_why() -> None:
    assert said(row(), warnings=("1 call is not counted",))[0] == "1 call is not counted"
    assert said(why_none="no calls are stored") == ("none: no calls are stored",)


def test_an_unknown_health_says_why() -> None:
    assert asked.sound(NoEstimate("ClickHouse does not answer")) == (
        "not known: ClickHouse does not answer",
    )


def test_without_a_difference_to_find_there_is_no_plan() -> None:
    nothing = (None,) * 10
    plan = Plan("new", "quality", 700, None, None, *nothing, 0.8, "no spread yet")
    assert asked.to_find(plan) == "quality, new: no spread yet"


def test_a_verdict_that_differs_is_told() -> None:
    none = Reproduction("none", 0, (), ("the log is gone",), None)
    assert asked.again_the_same(none) == "not computed again: the log is gone"
    verdict: Any = object()
    differs = Reproduction("log", 3, (Difference("winner", "a", "b"),), (), verdict)
    assert asked.again_the_same(differs) == "no: 1 fields differ, from 3 messages of the log"
