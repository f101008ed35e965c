"""Any interleaving of concurrent commands: versions grow by exactly 1, one writer wins."""

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from schemas.commands import Action, RegistryCommand
from schemas.entities import SelectionPolicy
from tests.support.commands import Registry, change, command

KEYS = tuple(SelectionPolicy("acme", name) for name in ("chat", "code"))
ACTIONS: tuple[Action, ...] = ("create", "update", "delete", "restore")


@st.composite
def commands(draw: Any) -> RegistryCommand:
    """One writer's intent, made when it saw some version, or none."""
    number = draw(st.integers(1, 10_000))
    which = draw(st.sampled_from([(0,), (1,), (0, 1), (1, 0)]))
    changes = [
        change(
            draw(st.sampled_from(ACTIONS)),
            replace(KEYS[i], min_samples=number),
            draw(st.none() | st.integers(0, 6)),
        )
        for i in which
    ]
    return command(*changes, command_id=str(draw(st.integers(1, 30))), author=str(number))


@given(st.lists(commands(), max_size=40))
def test_versions_grow_by_one_and_nothing_else_changes(sent: list[RegistryCommand]) -> None:
    registry = Registry()
    for each in sent:
        before = registry.snapshot
        found = registry.judge(each)
        for fact in found.facts:
            last = before.last(fact.entity.key)
            assert fact.version == 1 + (last.version if last else 0)
        touched = {fact.entity.key for fact in found.facts}
        assert touched in (set(), {c.key for c in each.changes})
        for key in {k.key for k in KEYS} - touched:
            assert registry.snapshot.last(key) == before.last(key)


@given(st.lists(commands(), max_size=30), st.data())
def test_sending_again_at_any_later_moment_changes_nothing(
    sent: list[RegistryCommand], data: st.DataObject
) -> None:
    registry = Registry()
    accepted: dict[str, tuple[RegistryCommand, tuple[int, ...]]] = {}
    for number, each in enumerate(sent):
        own = replace(each, command_id=f"id-{number}")
        outcome = registry.judge(own).outcome
        if outcome.status == "accepted":
            accepted[own.command_id] = (own, outcome.versions)
        if not accepted or not data.draw(st.booleans()):
            continue
        again, versions = accepted[data.draw(st.sampled_from(list(accepted)[-10:]))]
        before = registry.snapshot
        found = registry.judge(again)
        assert found.outcome.status == "accepted"
        assert found.outcome.versions == versions
        assert registry.snapshot.live == before.live


@given(st.integers(2, 12), st.data())
def test_of_writers_that_saw_the_same_version_exactly_one_wins(
    count: int, data: st.DataObject
) -> None:
    registry = Registry(KEYS[0])
    rivals = [
        command(change("update", replace(KEYS[0], min_samples=n), 1), command_id=f"r{n}")
        for n in range(1, count + 1)
    ]
    outcomes = [registry.judge(rival).outcome for rival in data.draw(st.permutations(rivals))]
    assert [o.status for o in outcomes] == ["accepted"] + ["conflict"] * (count - 1)
    assert {p.current_version for o in outcomes for p in o.problems} == {2}
