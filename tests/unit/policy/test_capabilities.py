"""Matching: exact, by ancestor, with required features and a minimum level."""

from dataclasses import replace

import pytest

from agents.policy.capabilities import Match, NoMatch, Requirement, lineage, match
from schemas.entities import CapabilityLevel, Model, ModelCapability

WORDS = {
    word.capability: word
    for word in (
        ModelCapability("acme", "code"),
        ModelCapability("acme", "code/python", "code", ("tools",)),
        ModelCapability("acme", "code/python/async", "code/python"),
    )
}
MODEL = Model(
    "acme",
    "m",
    "1",
    "us",
    ("code", "chat"),
    features=("tools", "streaming"),
    levels=(CapabilityLevel("code", "advanced"),),
    context_window_tokens=8000,
)


def test_a_word_above_matches_what_is_below_it_and_not_the_other_way_round() -> None:
    assert match(MODEL, Requirement("code"), WORDS) == Match("exact", "code", "advanced")
    below = match(MODEL, Requirement("code/python/async"), WORDS)
    assert below == Match("ancestor", "code", "advanced")
    special = replace(MODEL, capabilities=("code/python",), levels=())
    assert match(special, Requirement("code/python/async"), WORDS) == Match(
        "ancestor", "code/python", None
    )
    assert match(special, Requirement("code"), WORDS) == NoMatch(("does not declare code",))


def test_without_a_vocabulary_only_the_same_word_matches() -> None:
    assert isinstance(match(MODEL, Requirement("chat"), {}), Match)
    assert isinstance(match(MODEL, Requirement("code/python"), {}), NoMatch)


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        (Requirement("vision"), "does not declare vision"),
        (Requirement("code", frozenset({"vision", "audio"})), "lacks audio, vision"),
        (Requirement("code", min_level="expert"), "declares advanced for code; expert is asked"),
        (Requirement("chat", min_level="basic"), "declares no level for chat"),
        (Requirement("code", min_context_tokens=9000), "has a 8000-token context window"),
    ],
)
def test_what_speaks_against_a_model_is_said(wanted: Requirement, says: str) -> None:
    found = match(MODEL, wanted, WORDS)
    assert isinstance(found, NoMatch)
    assert says in found.reasons[0]


def test_what_a_capability_requires_holds_below_it_too() -> None:
    plain = replace(MODEL, features=())
    assert isinstance(match(plain, Requirement("code"), WORDS), Match)
    for word in ("code/python", "code/python/async"):
        assert match(plain, Requirement(word), WORDS) == NoMatch(("lacks tools",))


def test_enough_is_enough() -> None:
    wanted = Requirement("code", frozenset({"tools"}), "advanced", 8000)
    assert isinstance(match(MODEL, wanted, WORDS), Match)
    assert isinstance(match(MODEL, replace(wanted, min_level="basic"), WORDS), Match)


def test_a_ring_ends() -> None:
    ring = {
        "a": ModelCapability("acme", "a", "b"),
        "b": ModelCapability("acme", "b", "a"),
    }
    assert lineage("a", ring) == ("a", "b")
