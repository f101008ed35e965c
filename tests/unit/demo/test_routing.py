"""Who serves a request: even arms, independent draws, selections that are followed."""

import math
from collections import Counter
from datetime import UTC, datetime

import pytest

from agents.registry.file import parse
from infra.demo.dataset import arrivals, questions
from infra.demo.feed import Bulletin
from infra.demo.plan import Request, plan
from infra.demo.replay import Rules
from infra.demo.routing import EXPLORED, TEST_SHARE, Choice, by_selection, by_test, takes_part
from infra.demo.session import REGISTRY
from schemas.records import Candidate, SelectionUpdate

RULES = Rules.of(parse(REGISTRY.read_text(), "registry.yaml").entities)
POLICY = RULES.policies["gsm8k"]
DEFAULT = Choice("mixtral-8x7b-instruct", "v0.1", 1.0)
UNITS = [f"request-{i:05d}" for i in range(20_000)]
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def candidate(model_id: str, rank: int, weight: float, samples: int = 100) -> Candidate:
    return Candidate(
        model_id, "1", rank, weight, weight > 0, 0.5, 0.4, samples, 0.5, 0.0, 900.0, 0.01, ("why",)
    )


def update(*candidates: Candidate, capability: str = "gsm8k") -> SelectionUpdate:
    return SelectionUpdate("sel-1", "demo", capability, NOW, NOW, 1, "reason", candidates)


def near(count: int, share: float, n: int) -> bool:
    return abs(count - share * n) < 5 * math.sqrt(n * share * (1 - share))


def test_the_registry_file_is_valid_and_covers_every_subject() -> None:
    file = parse(REGISTRY.read_text(), "registry.yaml")
    assert file.warnings == ()
    assert set(RULES.policies) == {q.subject for q in questions()}


def test_entry_and_arm_are_even_and_independent_of_each_other() -> None:
    inside = [u for u in UNITS if takes_part(RULES.test, "professional_law", u)]
    assert near(len(inside), TEST_SHARE, len(UNITS))
    arms = Counter(by_test(RULES.test, RULES.versions, u).arm for u in inside)
    assert near(arms["gpt4"], 0.5, len(inside))
    assert not any(takes_part(RULES.test, "gsm8k", u) for u in UNITS)


def test_a_unit_keeps_its_arm() -> None:
    once, again = ([by_test(RULES.test, RULES.versions, u) for u in UNITS[:100]] for _ in range(2))
    assert once == again
    assert {(c.ab_test_id, c.propensity) for c in once} == {("gpt4-for-law", 0.5)}


def test_the_selection_is_followed_by_weight_with_its_id_and_propensity() -> None:
    found = update(candidate("gpt-4-1106-preview", 1, 0.9), candidate("mixtral", 2, 0.1))
    chosen = Counter(by_selection(found, POLICY, DEFAULT, u) for u in UNITS)
    shares = {c.model_id: c.propensity for c in chosen}
    assert shares["gpt-4-1106-preview"] == pytest.approx(0.9 * (1 - EXPLORED) + EXPLORED / 2)
    assert sum(shares.values()) == pytest.approx(1)
    assert {c.selection_id for c in chosen} == {"sel-1"}
    for choice, count in chosen.items():
        assert near(count, choice.propensity, len(UNITS))


def test_a_model_that_nobody_measured_gets_calls_and_a_barred_one_none() -> None:
    leader = candidate("mixtral", 1, 1.0)
    unmeasured = update(leader, candidate("new", 2, 0.0, samples=POLICY.min_samples - 1))
    barred = update(leader, candidate("dear", 2, 0.0, samples=POLICY.min_samples))
    served = {by_selection(unmeasured, POLICY, DEFAULT, u).model_id for u in UNITS[:500]}
    assert served == {"mixtral", "new"}
    served = {by_selection(barred, POLICY, DEFAULT, u).model_id for u in UNITS[:500]}
    assert served == {"mixtral"}


def test_without_a_selection_the_first_of_the_fallback_serves() -> None:
    assert by_selection(None, POLICY, DEFAULT, "u") == DEFAULT
    nobody = update(candidate("mixtral", 1, 0.0, samples=1000))
    assert by_selection(nobody, POLICY, DEFAULT, "u") == DEFAULT


def test_the_loop_is_closed_what_the_bulletin_takes_serves_the_next_request() -> None:
    bulletin = Bulletin("demo")
    found = plan(arrivals(), questions(), 1).items
    request = next(i for i in found if isinstance(i, Request) and i.capability == "gsm8k")
    before = RULES.choose(request, bulletin)
    bulletin.take(update(candidate("gpt-4-1106-preview", 1, 1.0)))
    after = RULES.choose(request, bulletin)
    assert (before.model_id, before.selection_id) == ("mixtral-8x7b-instruct", None)
    assert (after.model_id, after.selection_id) == ("gpt-4-1106-preview", "sel-1")
