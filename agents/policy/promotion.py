"""Whether the latest verdict of an A/B test lets a version become champion."""

from schemas.entities import AbTest, Alias
from schemas.records import AbVerdict


def why_not(alias: Alias, test: AbTest | None, verdict: AbVerdict | None) -> str | None:
    """The reason against it, None when the evidence holds.

    `test`, `verdict`: of `alias.ab_test_id`, as they are now. An arm speaks for a version only if
    it names it: an arm without a version took whichever served.
    """
    if alias.ab_test_id is None:
        return "needs the A/B test that it won: the organisation asks for a decided verdict"
    name = alias.ab_test_id
    if test is None:
        return f"there is no A/B test {name}"
    if verdict is None:
        return f"{name} has no verdict yet"
    if verdict.status != "decided":
        return f"{name} is {verdict.status}, not decided"
    arm = next((a for a in test.arms if a.arm == verdict.winner), None)
    if arm is None:
        return f"{name} was decided without a winner"
    if arm.model_id != alias.model_id:
        return f"{name} was won by {arm.model_id}"
    if arm.model_version is None:
        return f"the winning arm {arm.arm} of {name} names no model_version"
    if arm.model_version != alias.model_version:
        return f"{name} was won by version {arm.model_version}"
    return None
