"""Who serves a request: as the client package says, with even arms and independent draws."""

import math
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from agents.registry.file import parse
from infra.demo.client import reported
from infra.demo.dataset import arrivals, questions
from infra.demo.events import Clock, Run, event
from infra.demo.plan import Request, plan
from infra.demo.routing import TEST_SHARE, Facts, choose, takes_part
from infra.demo.session import REGISTRY
from rheostat_client import Config, InferenceEvent, Selector, SelectorOptions
from rheostat_client.assign import Arm, Assignment, NotAssigned

FACTS = Facts.of(parse(REGISTRY.read_text(), "registry.yaml").entities)
UNITS = [f"request-{i:05d}" for i in range(20_000)]
LAW = "professional_law"


class KnowsTheTest(Selector):
    """A selector that follows nothing and knows the demo's test."""

    def assign(
        self, ab_test_id: str, unit_id: str, arms: object = None
    ) -> Assignment | NotAssigned:
        own = [
            Arm(a.arm, a.weight, a.model_id, FACTS.versions[a.model_id]) for a in FACTS.test.arms
        ]
        return super().assign(ab_test_id, unit_id, own)


@pytest.fixture
def selector() -> Iterator[Selector]:
    config = Config("demo", "127.0.0.1:1")
    options = SelectorOptions(snapshot_path=None, follow=False)
    with KnowsTheTest(config, FACTS.rules, options) as found:
        yield found


def near(count: int, share: float, n: int) -> bool:
    return abs(count - share * n) < 5 * math.sqrt(n * share * (1 - share))


def test_the_registry_file_is_valid_and_covers_every_subject() -> None:
    file = parse(REGISTRY.read_text(), "registry.yaml")
    assert file.warnings == ()
    assert set(FACTS.policies) == {q.subject for q in questions()}


def test_entry_and_arm_are_even_and_independent_of_each_other(selector: Selector) -> None:
    inside = [u for u in UNITS if takes_part(FACTS.test, LAW, u)]
    assert near(len(inside), TEST_SHARE, len(UNITS))
    chosen = [choose(selector, FACTS, LAW, u) for u in inside]
    assert near(sum(c.arm == "gpt4" for c in chosen), 0.5, len(inside))
    assert {(c.ab_test_id, c.propensity) for c in chosen} == {("gpt4-for-law", 0.5)}
    assert chosen[:100] == [choose(selector, FACTS, LAW, u) for u in inside[:100]]
    assert not any(takes_part(FACTS.test, "gsm8k", u) for u in UNITS)


def test_outside_of_the_test_the_selection_serves(selector: Selector) -> None:
    """Nothing was published here, so it is the first of the policy's fallback."""
    outside = [u for u in UNITS[:1000] if not takes_part(FACTS.test, LAW, u)]
    for capability, units in ((LAW, outside), ("gsm8k", UNITS[:100])):
        chosen = Counter(choose(selector, FACTS, capability, u) for u in units)
        ((choice, _),) = chosen.items()
        assert (choice.model_id, choice.model_version) == ("mixtral-8x7b-instruct", "v0.1")
        assert (choice.ab_test_id, choice.selection_id) == (None, None)


def test_a_test_that_is_not_known_yet_does_not_stop_the_traffic() -> None:
    options = SelectorOptions(snapshot_path=None, follow=False)
    with Selector(Config("demo", "127.0.0.1:1"), FACTS.rules, options) as found:
        unit = next(u for u in UNITS if takes_part(FACTS.test, LAW, u))
        assert choose(found, FACTS, LAW, unit).ab_test_id is None


def test_a_call_is_reported_as_it_was(selector: Selector) -> None:
    request = next(i for i in plan(arrivals(), questions(), 1).items if isinstance(i, Request))
    run = Run("run", "demo", 1, Clock(1_790_000_000_123, 3_435_948))
    value = event(run, request, choose(selector, FACTS, request.capability, request.unit_id))
    found = reported(value)
    assert isinstance(found, InferenceEvent)
    assert found.occurred_at is not None
    assert found.occurred_at.tzinfo is UTC
    assert found.occurred_at == datetime.fromtimestamp(value["occurred_at"] / 1000, UTC)
    for name in set(value) - {"org_id", "occurred_at"}:
        assert getattr(found, name) == value[name], name
