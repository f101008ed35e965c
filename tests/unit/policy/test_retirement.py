"""A deprecation date retires a model by itself, and the selection leaves it in time."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from agents.policy.contributions import ModelKey
from agents.policy.selection import TTL_S, Question, due, next_retirement, select
from agents.policy.sums import Sums, Tally, fixed
from agents.selector import Selector
from schemas.entities import Model, ModelCapability, SelectionPolicy
from schemas.records import RegistryFact, SelectionUpdate
from streams.registry_view import RegistrySnapshot

NOW = datetime(2026, 6, 1, tzinfo=UTC)
SOON = NOW + timedelta(seconds=20)
OLD = Model("acme", "old", "1", "us", ("chat",), retires_at=SOON)
NEW = Model("acme", "new", "1", "us", ("chat",))


def tally(quality: float) -> Tally:
    n = 1000
    values = Sums(n, fixed(quality * n), fixed((quality**2 + 0.01) * n))
    return Tally(n, 0, Sums(), Sums(), values, {})


def ask(models: Sequence[Model]) -> Question:
    tallies = {ModelKey("old", "1"): tally(0.9), ModelKey("new", "1"): tally(0.7)}
    return Question(SelectionPolicy("acme", "chat"), 1, models, tallies)


def test_until_its_date_a_model_serves_and_its_update_expires_with_it() -> None:
    update, _ = select(ask([OLD, NEW]), None, NOW)
    assert update.candidates[0].model_id == "old"
    assert "will retire on 2026-06-01" in update.candidates[0].reasons
    assert update.expires_at == SOON
    assert next_retirement([OLD, NEW], NOW) == SOON


def test_from_its_date_on_it_is_retired_whatever_its_status_says() -> None:
    _, before = select(ask([OLD, NEW]), None, NOW)
    update, after = select(ask([OLD, NEW]), before, SOON)
    first, second = update.candidates
    assert (first.model_id, second.eligible, second.weight) == ("new", False, 0)
    assert "its status is retired (deprecation date 2026-06-01)" in second.reasons
    assert update.expires_at == SOON + timedelta(seconds=TTL_S)
    assert due(after, before, False)
    assert next_retirement([OLD, NEW], SOON) is None
    assert OLD.status_at(SOON) == "retired"
    assert OLD.status_at(SOON - timedelta(milliseconds=1)) == "active"


def registry(*entities: Model | ModelCapability | SelectionPolicy) -> RegistrySnapshot:
    facts = ((e.key, RegistryFact(1, "me", NOW, "c", e)) for e in entities)
    return RegistrySnapshot().with_facts(facts)


def decided(selector: Selector, now: datetime) -> list[SelectionUpdate]:
    return [p.record for p in selector.decide(now) if isinstance(p.record, SelectionUpdate)]


def selector_of(snapshot: RegistrySnapshot) -> Selector:
    """A selector that follows acme/chat and has decided nothing yet."""
    selector = Selector(lambda: snapshot)
    policy = next(iter(snapshot.policies.values())).entity
    assert isinstance(policy, SelectionPolicy)
    desk = (
        b'["desk","acme","' + policy.capability.encode() + b'"]',
        b'{"decision":null,"watermark_ms":0}',
    )
    selector.load(0, [desk])
    return selector


def test_the_selector_looks_again_at_the_date_without_any_traffic() -> None:
    policy = SelectionPolicy("acme", "chat", fallback=("old", "new"))
    selector = selector_of(registry(OLD, NEW, policy))
    assert [u.candidates[0].model_id for u in decided(selector, NOW)] == ["old"]
    assert decided(selector, SOON - timedelta(seconds=1)) == []
    assert [u.candidates[0].model_id for u in decided(selector, SOON)] == ["new"]
    assert decided(selector, SOON + timedelta(seconds=1)) == []


def test_a_model_that_masters_what_is_above_is_a_candidate() -> None:
    able = replace(NEW, features=("tools",))
    words = (
        ModelCapability("acme", "chat"),
        ModelCapability("acme", "chat/support", "chat", ("tools",)),
    )
    policy = SelectionPolicy("acme", "chat/support", fallback=("old", "new"))
    selector = selector_of(registry(OLD, able, policy, *words))
    [update] = decided(selector, NOW)
    assert [c.model_id for c in update.candidates] == ["new"]
