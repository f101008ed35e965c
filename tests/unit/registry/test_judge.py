"""The registry's state machine: command and state to facts or refusal."""

from dataclasses import replace
from datetime import timedelta

import pytest

from agents.registry.judge import REMEMBERED
from schemas.commands import Change
from schemas.entities import Model, SelectionPolicy
from schemas.records import RegistryFact
from streams.registry_view import RegistrySnapshot
from tests.support.commands import LATER, NOW, Registry, change, command

POLICY = SelectionPolicy("acme", "chat")
MODEL = Model("acme", "small", "1", "us", ("chat",))


def policy(min_samples: int) -> SelectionPolicy:
    return replace(POLICY, min_samples=min_samples)


def test_an_accepted_command_makes_a_fact_with_its_author_time_and_id() -> None:
    registry = Registry()
    found = registry.judge(command(change("create", POLICY), command_id="x", author="ann"))
    [fact] = found.facts
    assert found.outcome.status == "accepted"
    assert found.outcome.versions == (1,)
    assert (fact.version, fact.author, fact.accepted_at, fact.command_id) == (1, "ann", NOW, "x")
    assert fact.entity == POLICY


def test_versions_grow_through_update_delete_restore_and_recreation() -> None:
    registry = Registry(POLICY)
    for version, made in enumerate(
        (
            change("update", policy(2), 1),
            change("delete", POLICY, 2),
            change("restore", POLICY, 3),
            change("delete", POLICY),
            change("create", policy(3)),
        ),
        2,
    ):
        assert registry.send(made).outcome.versions == (version,)
    fact = registry.snapshot.get(POLICY.key)
    assert fact is not None
    assert (fact.version, fact.entity) == (6, policy(3))


def test_restore_brings_back_what_was_deleted() -> None:
    registry = Registry(policy(7))
    registry.send(change("delete", POLICY))
    assert registry.snapshot.get(POLICY.key) is None
    assert registry.snapshot.policies == {}
    registry.send(change("restore", POLICY))
    fact = registry.snapshot.policies[POLICY.key]
    assert fact.entity == policy(7)


@pytest.mark.parametrize(
    ("sent", "current", "says"),
    [
        (change("create", POLICY), 1, "exists already, in version 1"),
        (change("update", POLICY, 2), 1, "has version 1, not 2"),
        (change("delete", POLICY, 9), 1, "has version 1, not 9"),
        (change("restore", POLICY), 1, "is not deleted"),
        (change("update", MODEL), 0, "does not exist"),
        (change("delete", MODEL), 0, "does not exist"),
        (change("restore", MODEL), 0, "never existed"),
        (change("create", MODEL, 3), 0, "has version 0, not 3"),
    ],
)
def test_a_conflict_says_the_current_version(sent: Change, current: int, says: str) -> None:
    registry = Registry(POLICY)
    before = registry.snapshot
    found = registry.send(sent)
    assert found.outcome.status == "conflict"
    [problem] = found.outcome.problems
    assert (problem.current_version, problem.text) == (current, says)
    assert registry.snapshot.live == before.live


def test_changing_what_was_deleted_is_a_conflict() -> None:
    registry = Registry(POLICY)
    registry.send(change("delete", POLICY))
    [problem] = registry.send(change("update", POLICY)).outcome.problems
    assert problem.text == "was deleted, in version 2"


def test_all_changes_of_a_command_take_effect_or_none() -> None:
    registry = Registry(POLICY)
    found = registry.send(change("create", MODEL), change("update", policy(2), 5))
    assert found.outcome.status == "conflict"
    assert found.facts == ()
    assert [p.change for p in found.outcome.problems] == [1]
    found = registry.send(change("create", MODEL), change("update", policy(2), 1))
    assert found.outcome.versions == (1, 2)


def test_a_command_that_is_sent_again_is_answered_as_before_without_effect() -> None:
    registry = Registry(POLICY)
    sent = command(change("update", policy(2), 1), change("create", MODEL), command_id="x")
    assert registry.judge(sent).outcome.versions == (2, 1)
    registry.send(change("update", policy(3), 2))
    again = registry.judge(sent, now=LATER + timedelta(days=1))
    assert (again.outcome.status, again.outcome.versions, again.facts) == ("accepted", (2, 1), ())


def test_a_fact_remembers_so_many_commands_and_expected_versions_do_the_rest() -> None:
    registry = Registry()
    first = command(change("create", POLICY), command_id="first")
    registry.judge(first)
    for number in range(REMEMBERED):
        assert registry.judge(first).facts == ()
        registry.send(change("update", policy(number + 2)))
    assert registry.judge(first).outcome.status == "conflict"
    fact = registry.snapshot.get(POLICY.key)
    assert fact is not None
    assert len(fact.applied) == REMEMBERED


def test_a_fact_of_the_first_schema_remembers_its_own_command() -> None:
    old = RegistryFact(4, "me", NOW, "x", POLICY)
    registry = Registry()
    registry.snapshot = RegistrySnapshot().with_fact(POLICY.key, old)
    sent = command(change("update", POLICY), command_id="x")
    assert registry.judge(sent).outcome.versions == (4,)
    registry.send(change("update", policy(2)))
    assert registry.judge(sent).outcome.versions == (4,)


def test_a_command_that_comes_too_late_does_nothing() -> None:
    registry = Registry()
    found = registry.judge(command(change("create", POLICY)), LATER + timedelta(seconds=1))
    assert (found.outcome.status, found.facts) == ("expired", ())
    assert registry.judge(command(change("create", POLICY)), LATER).facts


def test_what_a_command_cannot_mean_is_refused() -> None:
    registry = Registry(POLICY)
    other = SelectionPolicy("acme", "code")
    assert registry.refusal() == [("changes", "must hold at least one change")]
    assert registry.refusal(Change("create", other.key)) == [("", "nothing is given to create")]
    assert registry.refusal(Change("create", "acme/policy/x", None, other)) == [
        ("", "the entity belongs under acme/policy/code")
    ]
    twice = registry.refusal(change("update", policy(2)), change("update", policy(3)))
    assert twice == [("", "is changed twice by this command")]
    nothing = replace(other, weights=replace(other.weights, quality=0, error=0))
    assert registry.refusal(change("create", nothing)) == [
        ("weights", "at least one weight must be above 0")
    ]


def test_a_command_changes_its_own_organisation_only() -> None:
    registry = Registry(POLICY)
    for sent in (change("update", policy(2)), change("delete", POLICY)):
        found = registry.judge(command(sent, org_id="globex"))
        assert found.outcome.status == "refused"
        [problem] = found.outcome.problems
        assert problem.text == "belongs to another organisation than globex"
    assert registry.judge(command(change("update", policy(2)), org_id="acme")).facts
