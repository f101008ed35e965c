"""What the registry's entities may become, given their past and their neighbours."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from schemas.access import OPERATORS
from schemas.entities import (
    AbTest,
    Alias,
    ApiKey,
    Arm,
    Endpoint,
    Entity,
    MetricGoal,
    Model,
    ModelCapability,
    Organisation,
    Spending,
    User,
)
from schemas.records import AbVerdict
from tests.support.commands import NOW, Registry, change
from tests.support.runs import snapshot

MODEL = Model(
    "acme", "small", "1", "us", ("chat",), endpoint=Endpoint("https://a.example/v1", "openai-chat")
)
SECOND = replace(MODEL, model_version="2")
TEST = AbTest(
    "acme",
    "sizes",
    "chat",
    "user",
    (Arm("a", "small", 1.0, "1"), Arm("b", "small", 1.0, "2")),
    "a",
    (MetricGoal("quality", "primary", "higher"),),
)
CHAMPION = Alias("acme", "small", "champion", "1")
KEY = ApiKey("acme", "abcdefghijkl", "editor", "0" * 64, NOW)


def verdict(status: Any = "decided", winner: str | None = "b") -> AbVerdict:
    return AbVerdict("sizes", "acme", "chat", NOW, status, winner, NOW, None, None, 0.05, (), ())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("provider", "them"),
        ("modality", "image"),
        ("context_window_tokens", 8),
        ("max_output_tokens", 8),
        ("features", ("tools",)),
        ("endpoint", Endpoint("https://b.example/v1", "openai-chat")),
        ("status", "draft"),
    ],
)
def test_a_version_that_was_active_keeps_what_a_call_to_it_does(field: str, value: Any) -> None:
    changed = replace(MODEL, **{field: value})
    for status in ("active", "deprecated", "retired"):
        registry = Registry(replace(MODEL, status=status))
        [(where, _)] = registry.refusal(change("update", changed))
        assert where == field
    assert Registry(replace(MODEL, status="draft")).send(change("update", changed)).facts


def test_a_deleted_version_cannot_come_back_as_another_one() -> None:
    registry = Registry(MODEL)
    registry.send(change("delete", MODEL))
    [(field, text)] = registry.refusal(change("create", replace(MODEL, provider="them")))
    assert field == "provider"
    assert "register a new version" in text
    assert registry.send(change("create", MODEL)).facts


def test_an_endpoint_that_no_adapter_speaks_with_is_refused_unless_it_stood_there() -> None:
    odd = replace(MODEL, endpoint=Endpoint("https://a.example/v1", "openai-chatt"))
    text = (
        "no adapter speaks 'openai-chatt'; there are "
        "anthropic-messages, openai-chat, openai-completions"
    )
    assert Registry().refusal(change("create", odd)) == [("endpoint.api_style", text)]
    draft = replace(MODEL, status="draft")
    changed = replace(draft, endpoint=odd.endpoint)
    assert Registry(draft).refusal(change("update", changed)) == [("endpoint.api_style", text)]
    # What was accepted before can still be looked after.
    registry = Registry()
    registry.snapshot = snapshot(odd)
    assert registry.send(change("update", replace(odd, status="retired"))).facts


def test_the_circumstances_of_an_active_version_may_change() -> None:
    kept = Endpoint("https://a.example/v1", "openai-chat", "env:ANOTHER_NAME")
    changed = replace(
        MODEL, status="deprecated", retires_at=NOW, tags=("eu",), endpoint=kept, description="d"
    )
    assert Registry(MODEL).send(change("update", changed)).facts


def test_aliases_move_between_versions_that_exist_and_champions_serve() -> None:
    registry = Registry(MODEL, replace(SECOND, status="draft"), CHAMPION)
    moved = replace(CHAMPION, model_version="2")
    [(_, text)] = registry.refusal(change("update", moved))
    assert text == "a version that is draft cannot be champion: activate it first"
    both = registry.send(change("update", moved), change("update", SECOND))
    assert both.outcome.versions == (2, 2)
    [(_, text)] = registry.refusal(change("update", replace(moved, model_version="3")))
    assert text == "small has no version 3"
    retired = replace(MODEL, retires_at=NOW - timedelta(days=1))
    registry.send(change("update", retired))
    [(_, text)] = registry.refusal(change("update", CHAMPION))
    assert text.startswith("a version that is retired")


@pytest.mark.parametrize(
    ("verdict_", "arms", "says"),
    [
        (None, TEST.arms, "has no verdict yet"),
        (verdict("collecting", None), TEST.arms, "is collecting, not decided"),
        (verdict(winner=None), TEST.arms, "was decided without a winner"),
        (verdict(winner="a"), TEST.arms, "was won by version 1"),
        (verdict(), (Arm("a", "small"), Arm("b", "small")), "names no model_version"),
        (verdict(), (Arm("a", "small"), Arm("b", "big")), "was won by big"),
        (verdict(), TEST.arms, None),
    ],
)
def test_promotion_may_take_a_decided_verdict(
    verdict_: AbVerdict | None, arms: tuple[Arm, ...], says: str | None
) -> None:
    strict = Organisation("acme", promotion_requires_verdict=True)
    registry = Registry(MODEL, SECOND, CHAMPION, strict, replace(TEST, arms=arms))
    if verdict_ is not None:
        registry.verdicts = {("acme", "sizes"): verdict_}
    moved = replace(CHAMPION, model_version="2", ab_test_id="sizes")
    if says is None:
        assert registry.send(change("update", moved)).facts
    else:
        [(field, text)] = registry.refusal(change("update", moved))
        assert field == "ab_test_id"
        assert says in text


def test_promotion_is_free_where_the_organisation_does_not_ask() -> None:
    moved = replace(CHAMPION, model_version="2")
    assert Registry(MODEL, SECOND, CHAMPION).send(change("update", moved)).facts
    strict = Organisation("acme", promotion_requires_verdict=True)
    [(_, text)] = Registry(MODEL, SECOND, CHAMPION, strict).refusal(change("update", moved))
    assert text.startswith("needs the A/B test that it won")
    # A deletion is no way around it.
    registry = Registry(MODEL, SECOND, CHAMPION, strict)
    registry.send(change("delete", CHAMPION))
    assert registry.refusal(change("create", moved))


def test_what_is_still_needed_cannot_be_deleted() -> None:
    registry = Registry(MODEL, SECOND, CHAMPION, TEST)
    assert [text for _, text in registry.refusal(change("delete", MODEL))] == [
        "is the model's champion: move or delete the alias first",
        "serves the arm a of sizes, which is running",
    ]
    registry.send(change("update", replace(TEST, status="stopped")))
    assert registry.send(change("delete", MODEL), change("delete", CHAMPION)).facts


def test_the_last_version_of_a_model_in_a_running_test_stays() -> None:
    loose = replace(TEST, arms=(Arm("a", "small"), Arm("b", "big")))
    registry = Registry(MODEL, SECOND, loose)
    assert registry.send(change("delete", MODEL)).facts
    [(_, text)] = registry.refusal(change("delete", SECOND))
    assert text == "serves the arm a of sizes, which is running"


@pytest.mark.parametrize(
    ("wrong", "field", "why"),
    [
        ({"mode": "offline"}, "spending", "an offline test is looked at once"),
        ({"planned_n": 3}, "spending.looks", "are more than planned_n, 3"),
    ],
)
def test_planned_looks_are_of_online_tests_and_all_differ(
    wrong: dict[str, Any], field: str, why: str
) -> None:
    test = replace(TEST, spending=Spending("obrien_fleming", 4))
    assert Registry().send(change("create", test)).facts
    [(where, said)] = Registry().refusal(change("create", replace(test, **wrong)))
    assert where == field
    assert said.startswith(why)


def test_a_test_that_has_run_keeps_what_its_statistics_rest_on() -> None:
    longer = replace(TEST, planned_n=7)
    assert Registry(TEST).refusal(change("update", longer))[0][0] == "planned_n"
    assert Registry(replace(TEST, status="draft")).send(change("update", longer)).facts
    looked_at = replace(TEST, spending=Spending("pocock", 4))
    assert Registry(TEST).refusal(change("update", looked_at))[0][0] == "spending"
    assert Registry(looked_at).refusal(change("update", TEST))[0][0] == "spending"
    assert Registry(TEST).send(change("update", replace(TEST, status="paused"))).facts
    assert Registry(TEST).refusal(change("update", replace(TEST, status="draft")))[0][0] == "status"


def test_capabilities_form_a_tree() -> None:
    code = ModelCapability("acme", "code")
    python = ModelCapability("acme", "code/python", "code")
    [(_, text)] = Registry().refusal(change("create", python))
    assert text == "there is no capability 'code'"
    registry = Registry(code, python)
    [(_, text)] = registry.refusal(change("update", replace(code, parent="code/python")))
    assert text == "'code' is below 'code' already"
    [(_, text)] = registry.refusal(change("delete", code))
    assert text == "is the parent of 'code/python'"
    assert registry.send(change("delete", code), change("delete", python)).facts


def test_a_key_can_be_renamed_and_revoked_and_nothing_else() -> None:
    registry = Registry(KEY)
    assert registry.refusal(change("update", replace(KEY, role="admin")))[0][0] == "role"
    other = replace(KEY, secret_sha256="1" * 64)
    assert registry.refusal(change("update", other))[0][0] == "secret_sha256"
    assert registry.send(change("update", replace(KEY, name="n", revoked_at=NOW))).facts
    [(field, text)] = registry.refusal(change("update", KEY))
    assert (field, text) == ("revoked_at", "a revoked key stays revoked: create another")
    assert registry.refusal(change("create", replace(KEY, org_id="globex")))[0][0] == "key_id"


@pytest.mark.parametrize(
    ("entity", "field"),
    [
        (replace(KEY, role="operator"), "role"),
        (replace(KEY, org_id=OPERATORS), "role"),
        (User("acme", "ann", "operator"), "role"),
        (replace(MODEL, org_id=OPERATORS), "org_id"),
        (Organisation(OPERATORS), "org_id"),
    ],
)
def test_operators_and_nobody_else_belong_to_no_organisation(entity: Entity, field: str) -> None:
    assert [where for where, _ in Registry().refusal(change("create", entity))] == [field]
    assert Registry().send(change("create", replace(KEY, org_id="*", role="operator"))).facts


def test_a_subject_is_one_user() -> None:
    ann = User("acme", "ann", "viewer", subject="sub-1")
    registry = Registry(ann)
    [(field, _)] = registry.refusal(change("create", User("globex", "x", "admin", subject="sub-1")))
    assert field == "subject"
    assert registry.send(change("update", replace(ann, name="Ann"))).facts
