"""Where a choice comes from, what a request may ask, and what is said about it."""

import random
from collections import Counter
from typing import Any

import pytest

from rheostat_client import (
    Config,
    InvalidValue,
    NoChoice,
    Requirements,
    Rule,
    Selector,
    SelectorOptions,
)
from rheostat_client.chooser import Chooser
from rheostat_client.fallback import Rules, checked
from rheostat_client.selections import Update
from rheostat_client.shelf import RuleShelf, Shelf
from tests.support.selections import NOW_MS, candidate, update

RULES: Rules = {"chat": [Rule("ruled", "1"), Rule("spare", "2")]}
UNITS = [f"user-{i}" for i in range(2000)]


def chooser(
    found: Update | None = None,
    rules: Rules = RULES,
    at_ms: int = NOW_MS,
    confirmed: bool = True,
) -> Chooser:
    shelves = {} if found is None else {"chat": Shelf(found, confirmed)}
    shelved = {name: RuleShelf(name, c) for name, c in checked(rules).items()}
    return Chooser(shelves, shelved, 86_400.0, lambda: at_ms / 1000, random.Random(7))


def models(made: Chooser, requirements: Requirements | None = None) -> Counter[str]:
    return Counter(made.choose("chat", unit, requirements).model_id for unit in UNITS)


def test_live_then_snapshot_then_rules() -> None:
    found = update({"a": 1.0})
    expired = found.expires_at_ms
    for at_ms, source, model_id in (
        (NOW_MS, "live", "a"),
        (expired - 1, "live", "a"),
        (expired, "snapshot", "a"),
        (expired + 86_400_000, "snapshot", "a"),
        (expired + 86_400_001, "rules", "ruled"),
    ):
        choice = chooser(found, at_ms=at_ms).choose("chat", "u", None)
        assert (choice.source, choice.model_id) == (source, model_id)
    assert chooser(found, confirmed=False).choose("chat", "u", None).source == "snapshot"
    assert chooser().choose("chat", "u", None).source == "rules"


def test_a_choice_says_why_and_how_likely_it_was() -> None:
    candidates = (
        candidate("lead", 0.9, 1, reasons=("has the best bound",)),
        candidate("other", 0.1, 2),
    )
    made = chooser(update({}, candidates=candidates))
    found = {c.model_id: c for c in (made.choose("chat", unit, None) for unit in UNITS)}
    assert found["lead"].propensity == pytest.approx(0.9)
    assert found["other"].propensity == pytest.approx(0.1)
    assert found["lead"].reason == "rank 1: has the best bound"
    assert {c.selection_id for c in found.values()} == {"sel-1"}


def test_who_gets_no_traffic_is_never_chosen() -> None:
    candidates = (candidate("a", 1.0), candidate("b", 0.0), candidate("c", 0.5, eligible=False))
    made = chooser(update({}, candidates=candidates))
    assert set(models(made)) == {"a"}
    assert {made.choose("chat", None, None).model_id for _ in range(200)} == {"a"}


def test_a_unit_keeps_its_model_and_nobody_in_particular_does_not() -> None:
    made = chooser(update({"a": 0.5, "b": 0.5}))
    assert {made.choose("chat", "u", None).model_id for _ in range(50)} == {"b"}
    drawn = [made.choose("chat", None, None).model_id for _ in range(50)]
    assert set(drawn) == {"a", "b"}
    again = chooser(update({"a": 0.5, "b": 0.5}))
    assert drawn == [again.choose("chat", None, None).model_id for _ in range(50)]


@pytest.mark.parametrize(
    ("requirements", "left"),
    [
        (Requirements(), {"good", "cheap", "unknown"}),
        (Requirements(exclude_models=frozenset({"good"})), {"cheap", "unknown"}),
        (Requirements(min_quality=0.8), {"good"}),
        (Requirements(min_quality=0.9), {"good"}),
        (Requirements(max_cost_usd=0.01), {"cheap"}),
        (Requirements(max_latency_p95_ms=500), {"cheap"}),
        (Requirements(max_error_rate=0.02), {"good"}),
        (Requirements(min_quality=0.8, allow_unmeasured=True), {"good", "unknown"}),
    ],
)
def test_requirements_are_read_off_the_candidates(
    requirements: Requirements, left: set[str]
) -> None:
    known: dict[str, Any] = {
        "good": {"quality": 0.9, "cost_usd_mean": 0.1, "latency_p95_ms": 900, "error_rate": 0.01},
        "cheap": {"quality": 0.5, "cost_usd_mean": 0.01, "latency_p95_ms": 90, "error_rate": 0.03},
        "unknown": {},
    }
    candidates = tuple(candidate(name, 1.0, i, **m) for i, (name, m) in enumerate(known.items(), 1))
    made = chooser(update({}, candidates=candidates))
    assert set(models(made, requirements)) == left
    for choice in (made.choose("chat", unit, requirements) for unit in UNITS[:50]):
        assert choice.propensity == pytest.approx(1 / len(left))


def test_when_no_candidate_meets_a_request_the_rules_are_asked() -> None:
    made = chooser(update({"a": 1.0}))
    first = made.choose("chat", "u", Requirements(exclude_models=frozenset({"a"})))
    assert (first.model_id, first.source, first.propensity) == ("ruled", "rules", 1.0)
    second = made.choose("chat", "u", Requirements(exclude_models=frozenset({"a", "ruled"})))
    assert (second.model_id, second.model_version) == ("spare", "2")
    with pytest.raises(NoChoice) as caught:
        made.choose("chat", "u", Requirements(min_quality=0.5))
    assert "live: issued 0 s ago" in caught.value.reasons[0]
    assert caught.value.reasons[1] == "rules: none meets the requirements"
    served = made.choose("chat", "u", Requirements(max_cost_usd=0.1, allow_unmeasured=True))
    assert served.source == "live"


def test_nothing_known_and_nothing_configured_is_no_choice() -> None:
    with pytest.raises(NoChoice, match=r"'code'.*none for this capability.*none configured"):
        chooser().choose("code", "u", None)
    with pytest.raises(NoChoice, match="no candidate may serve"):
        chooser(update({"a": 0.0}), rules={}).choose("chat", "u", None)


def test_weighted_rules_share_the_traffic() -> None:
    made = chooser(rules={"chat": [Rule("a", weight=3), Rule("b", weight=1)]})
    assert models(made)["a"] / len(UNITS) == pytest.approx(0.75, abs=0.05)
    assert made.choose("chat", "u", None).propensity in (0.25, 0.75)


@pytest.mark.parametrize(
    "rules",
    [
        {"chat": []},
        {"chat": ["a"]},
        {"chat": [Rule("a"), Rule("b", weight=1)]},
        {"chat": [Rule("a"), Rule("a")]},
        {"chat": [Rule("a", weight=0.0)]},
        {"chat": [Rule("")]},
        {"": [Rule("a")]},
    ],
)
def test_wrong_rules_are_told_at_the_start(rules: Any) -> None:
    with pytest.raises(InvalidValue):
        checked(rules)


def test_wrong_questions_are_told() -> None:
    made = chooser(update({"a": 0.5, "b": 0.5}))
    for capability, unit_id, requirements in (
        ("", "u", None),
        ("chat", "", None),
        ("chat", 7, None),
        ("chat", "x" * 257, None),
        ("chat", "\ud800", None),
        ("chat", "u", {"min_quality": 1}),
    ):
        with pytest.raises(InvalidValue):
            made.choose(capability, unit_id, requirements)  # type: ignore[arg-type]
    for wrong in ({"min_quality": 2}, {"max_cost_usd": "1"}, {"exclude_models": "a"}):
        with pytest.raises(InvalidValue):
            Requirements(**wrong)
    assert made.choose("chat", "ü" * 128, None).model_id in "ab"


def test_an_explanation_names_everybody_and_what_speaks_against_them() -> None:
    candidates = (
        candidate("a", 0.9, 1, quality=0.9, reasons=("best",)),
        candidate("b", 0.1, 2, quality=0.2),
        candidate("c", 0.0, 3, reasons=("draft",)),
    )
    made = chooser(update({}, candidates=candidates), at_ms=NOW_MS + 5000)
    found = made.explain("chat", "u", Requirements(min_quality=0.5))
    assert (found.source, found.selection_id, found.reason) == ("live", "sel-1", "because")
    assert [(s.model_id, s.propensity) for s in found.standings] == [
        ("a", 1.0),
        ("b", 0.0),
        ("c", 0.0),
    ]
    assert found.standings[1].reasons == ("quality 0.2 is below 0.5",)
    assert found.choice is not None
    assert found.choice.model_id == "a"
    text = str(found)
    assert "live: issued 5 s ago, valid for 55 s" in text
    assert "100.00%  a 1 (rank 1)" in text

    nobody = made.explain("code", None, None)
    assert (nobody.source, nobody.standings, nobody.choice) == (None, (), None)
    ruled = chooser().explain("chat", "u", None)
    assert (ruled.source, ruled.choice and ruled.choice.model_id) == ("rules", "ruled")


def test_a_selector_that_follows_nobody_serves_by_rules() -> None:
    options = SelectorOptions(snapshot_path=None, follow=False)
    with Selector(Config("acme", "127.0.0.1:1"), RULES, options) as made:
        assert made.choose("chat", "u").source == "rules"
        assert made.wait_ready(0)
        assert made.status.trouble is None
