"""Assignments are the same everywhere, for ever: the vectors in client/vectors may not change."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rheostat_client import Arm, Assignment, InvalidValue, NotAssigned, assign, wire
from rheostat_client.ab_tests import AbTests
from rheostat_client.errors import MalformedMessage
from schemas.entities import AbTest, AbTestStatus, MetricGoal, Model, SelectionPolicy
from schemas.entities import Arm as RegisteredArm
from tests.support.selections import fact

VECTORS = json.loads(Path("client/vectors/assign.json").read_text())
GOAL = MetricGoal("quality", "primary", "higher")
ARMS = (RegisteredArm("a", "small"), RegisteredArm("b", "large"))


def ab_test(status: AbTestStatus = "running", org_id: str = "acme") -> AbTest:
    return AbTest(org_id, "t-1", "chat", "user", ARMS, "a", (GOAL,), status=status)


def model(model_id: str, version: str, **changes: Any) -> Model:
    return Model("acme", model_id, version, "p", ("chat",), **changes)


def known_from(*entities: Any) -> AbTests:
    known = AbTests("acme", wire.packaged())
    for entity in entities:
        known.apply(entity.key, fact(entity))
    return known


@pytest.mark.parametrize("vector", VECTORS["answers"], ids=str)
def test_known_answers(vector: dict[str, str]) -> None:
    arms = [Arm(name, weight) for name, weight in VECTORS["arms"][vector["arms"]]]
    for order in (arms, arms[::-1]):
        found = assign(vector["ab_test_id"], vector["unit_id"], order)
        assert found.arm == vector["arm"]


def test_an_assignment_carries_what_the_event_needs() -> None:
    found = assign("t", "u", [Arm("a", 1.0, "small", "7"), Arm("b", 0.0)], "chat")
    assert found == Assignment("t", "a", "u", 1.0, "small", "7", "chat")
    assert assign("t", "u", [Arm("a", 1.0), Arm("b", 3.0)]).propensity in (0.25, 0.75)


@pytest.mark.parametrize(
    ("test", "unit", "arms", "field"),
    [
        ("", "u", [Arm("a")], "ab_test_id"),
        ("t", "", [Arm("a")], "unit_id"),
        ("t", "u", [], "arms"),
        ("t", "u", [Arm("a", 0.0)], "arms"),
        ("t", "u", [Arm("a"), Arm("a")], "arms"),
        ("t", "u", [Arm("")], "arm"),
        ("t", "u", [Arm("a", -1.0)], "weight of a"),
        ("t", "u", [Arm("a", float("nan"))], "weight of a"),
    ],
)
def test_wrong_arms_are_told(test: str, unit: str, arms: list[Arm], field: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        assign(test, unit, arms)
    assert caught.value.field == field


def test_only_running_tests_assign() -> None:
    assert isinstance(known_from(ab_test()).assign("t-1", "u"), Assignment)
    offline = known_from(replace(ab_test(), mode="offline")).assign("t-1", "u")
    assert offline == NotAssigned("t-1", "the test is offline: it has no traffic")
    for status in ("draft", "paused", "stopped"):
        found = known_from(ab_test(status)).assign("t-1", "u")
        assert found == NotAssigned("t-1", f"the test is {status}")
    assert isinstance(known_from().assign("t-1", "u"), NotAssigned)
    assert isinstance(known_from(ab_test(org_id="other")).assign("t-1", "u"), NotAssigned)


def test_an_arm_names_the_only_active_version() -> None:
    retired = model("small", "1", status="retired")
    known = known_from(ab_test(), retired, model("small", "2"), SelectionPolicy("acme", "chat"))

    def versions() -> dict[str, str | None]:
        found = [known.assign("t-1", f"u-{i}") for i in range(50)]
        return {a.arm: a.model_version for a in found if isinstance(a, Assignment)}

    assert versions() == {"a": "2", "b": None}
    known.apply(model("small", "3").key, fact(model("small", "3")))
    assert versions()["a"] is None
    known.apply(model("small", "2").key, fact(model("small", "2", status="deprecated"), 2))
    assert versions()["a"] == "3"
    known.apply(model("small", "3").key, None)
    assert versions()["a"] is None


def test_a_fact_under_another_key_is_refused() -> None:
    known = known_from()
    with pytest.raises(MalformedMessage):
        known.apply("acme/ab_test/t-1", fact(ab_test(org_id="other")))
