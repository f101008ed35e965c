"""Evidence of two tests of one comparison, by hand: e-values of 8 and 5."""

import math
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from agents.policy.joint_evidence import Judged, NothingInCommon, joint
from schemas.entities import AbTest, Arm, MetricGoal
from tests.support.verdicts import BEGIN, verdict

ARMS = (Arm("mixtral", "m"), Arm("gpt4", "g"))
GOALS = (MetricGoal("quality", "primary", "higher"), MetricGoal("latency_ms", "primary", "lower"))


def judged(name: str, e: float | None = 8.0, **changes: Any) -> Judged:
    test = AbTest("acme", name, "chat", "request", ARMS, "mixtral", GOALS)
    test = replace(test, **changes)
    compared = {goal.metric: goal.direction for goal in test.metrics}
    log_e = None if e is None else math.log(e)
    arm = next(a.arm for a in test.arms if a.arm != test.baseline)
    comparisons = tuple(
        replace(
            each,
            log_e_value=log_e,
            arm=arm,
            baseline=test.baseline,
            direction=compared[each.metric],
        )
        for each in verdict(200).comparisons
        if each.metric in compared
    )
    return Judged(test, replace(verdict(200), ab_test_id=name, comparisons=comparisons))


ONLINE, OFFLINE = judged("live"), judged("cases", 5.0, mode="offline")


def test_an_offline_and_an_online_test_multiply() -> None:
    found = joint(ONLINE, OFFLINE)
    assert (found.how, [c.metric for c in found.comparisons]) == (
        "product",
        ["quality", "latency_ms"],
    )
    quality = found.comparisons[0]
    assert quality.log_e_value == pytest.approx(math.log(40))
    assert quality.p_value == pytest.approx(1 / 40)
    assert [side.p_value for side in quality.tests] == pytest.approx([1 / 8, 1 / 5])
    assert (quality.model_id, quality.baseline_model_id, quality.agree) == ("g", "m", True)
    assert quality.note is None


def test_tests_that_may_share_units_are_averaged_unless_one_says_otherwise() -> None:
    other = judged("again", 5.0)
    for first, second in ((ONLINE, other), (other, ONLINE)):
        found = joint(first, second, "quality")
        assert found.how == "mean"
        (quality,) = found.comparisons
        assert quality.p_value == pytest.approx(1 / 6.5)
    assert joint(ONLINE, other, "quality", True).comparisons[0].p_value == pytest.approx(1 / 40)
    assert joint(ONLINE, OFFLINE, "quality", False).how == "mean"


def test_a_test_that_began_after_the_other_multiplies_in_either_order() -> None:
    after = judged("after", 5.0)
    began = ONLINE.verdict.as_of
    after = replace(after, verdict=replace(after.verdict, started_at=began))
    for found in (joint(ONLINE, after), joint(after, ONLINE)):
        assert (found.how, found.why) == (
            "product",
            "after began when the newest verdict of live was known",
        )
    early = replace(after.verdict, started_at=BEGIN + timedelta(seconds=199))
    assert joint(ONLINE, replace(after, verdict=early)).how == "mean"


def test_arms_are_matched_by_their_models_not_by_their_names() -> None:
    arms = (Arm("old", "m"), Arm("new", "g", model_version="2"))
    other = judged("cases", 5.0, mode="offline", arms=arms, baseline="old")
    quality = joint(ONLINE, other, "quality").comparisons[0]
    assert [side.arm for side in quality.tests] == ["gpt4", "new"]


def test_what_is_missing_invalid_or_contrary_is_said() -> None:
    quality = joint(ONLINE, judged("cases", None, mode="offline")).comparisons[0]
    assert (quality.log_e_value, quality.p_value) == (None, None)
    assert quality.note == "one of the tests has no evidence on this comparison"
    broken = replace(OFFLINE, verdict=replace(OFFLINE.verdict, status="invalid"))
    quality = joint(ONLINE, broken).comparisons[0]
    assert (quality.p_value, quality.tests[1].p_value) == (None, None)
    assert "invalid" in (quality.tests[1].note or "")
    worse = tuple(replace(c, difference=-0.1) for c in OFFLINE.verdict.comparisons)
    contrary = replace(OFFLINE, verdict=replace(OFFLINE.verdict, comparisons=worse))
    quality = joint(ONLINE, contrary, "quality").comparisons[0]
    assert quality.agree is False
    assert "opposite directions" in (quality.note or "")
    assert quality.p_value == pytest.approx(1 / 40)


@pytest.mark.parametrize(
    ("changes", "metric", "text"),
    [
        (
            {"metrics": (MetricGoal("cost_usd", "primary", "lower"),)},
            None,
            "live and o have no metric in common: live has quality, latency_ms; o has cost_usd",
        ),
        ({}, "ttft_ms", "not both the metric ttft_ms in common"),
        (
            {"metrics": (MetricGoal("quality", "primary", "lower"),)},
            None,
            "no direction in common: quality is better higher in the first, lower in the other",
        ),
        (
            {"arms": (Arm("mixtral", "m"), Arm("gpt4", "h"))},
            "quality",
            "on quality: live compares g against m; o compares h against m. Both need",
        ),
        (
            {"arms": (Arm("gpt4", "g"), Arm("mixtral", "m")), "baseline": "gpt4"},
            None,
            "same models",
        ),
    ],
)
def test_tests_without_a_comparison_in_common_are_told_why(
    changes: dict[str, Any], metric: str | None, text: str
) -> None:
    with pytest.raises(NothingInCommon) as raised:
        joint(ONLINE, judged("o", **changes), metric)
    assert text in str(raised.value)


def test_two_versions_of_a_model_are_two_models() -> None:
    one = judged("one", arms=(ARMS[0], Arm("gpt4", "g", model_version="1")))
    two = judged("two", arms=(ARMS[0], Arm("gpt4", "g", model_version="2")))
    with pytest.raises(NothingInCommon, match="g 1 against m; two compares g 2 against m"):
        joint(one, two)
    assert joint(one, ONLINE).comparisons, "a test without a version takes whichever serves"
