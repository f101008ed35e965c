"""The registry as a state machine: command and state to facts or refusal. Pure.

A command is accepted when every change of it can be made; then each key's version grows by 1. Of
commands that expect the same version, the first judged makes the next version and the others find
it: exactly one wins.

A fact remembers the latest commands that changed it (`applied`), so that a command that is sent
again is answered as it was, without effect, by any agent and after any restart.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from agents.registry.rules import Verdicts, World, broken
from agents.registry.validity import contradictions, shown
from schemas.commands import Change, Outcome, Problem, RegistryCommand
from schemas.entities import Entity
from schemas.records import AppliedCommand, RegistryFact
from streams.registry_view import RegistrySnapshot

REMEMBERED = 20
"""Commands that a fact remembers: one that is sent again after more changes of the same entity is
judged again, and meets its expected version then."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """`facts` are empty unless the command is accepted now for the first time."""

    outcome: Outcome
    facts: tuple[RegistryFact, ...] = ()


def judge(
    command: RegistryCommand,
    registry: RegistrySnapshot,
    verdicts: Verdicts,
    now: datetime,
    styles: Collection[str],
) -> Judgement:
    """What becomes of the command, when `registry` holds everything decided before it.

    `styles`: of endpoints that can be called.
    """
    known = _known(command, registry)
    if known is not None:
        return Judgement(Outcome("accepted", now, known))
    if now > command.expires_at:
        return Judgement(Outcome("expired", now))
    problems: list[Problem] = []
    facts: list[RegistryFact] = []
    if not command.changes:
        problems.append(Problem(0, "", "changes", "must hold at least one change"))
    for number, change in enumerate(command.changes):
        found = list(_faults(command, number, registry))
        problems += found
        if not found:
            facts.append(_fact(command, change, registry.last(change.key), now))
    if not problems:
        after = registry.with_facts((f.entity.key, f) for f in facts)
        world = World(after, verdicts, now, styles)
        for number, fact in enumerate(facts):
            key = fact.entity.key
            problems += (
                Problem(number, key, field, text)
                for field, text in broken(registry.last(key), fact, world)
            )
    if problems:
        conflict = any(p.current_version is not None for p in problems)
        return Judgement(Outcome("conflict" if conflict else "refused", now, (), tuple(problems)))
    return Judgement(Outcome("accepted", now, tuple(f.version for f in facts)), tuple(facts))


def _known(command: RegistryCommand, registry: RegistrySnapshot) -> tuple[int, ...] | None:
    """The versions that this command made when it was accepted before; None: it was not."""
    facts = [registry.last(change.key) for change in command.changes]
    made = [
        next((a.version for a in _applied(fact) if a.command_id == command.command_id), None)
        if fact is not None
        else None
        for fact in facts
    ]
    if not any(version is not None for version in made):
        return None
    # All changes took effect together: a key that forgot has changed often since.
    return tuple(
        version if version is not None else (fact.version if fact is not None else 0)
        for version, fact in zip(made, facts, strict=True)
    )


def _applied(fact: RegistryFact) -> tuple[AppliedCommand, ...]:
    """Facts of the first schema remember only the command that made them."""
    return fact.applied or (AppliedCommand(fact.command_id, fact.version),)


def _faults(command: RegistryCommand, number: int, registry: RegistrySnapshot) -> Iterator[Problem]:
    change = command.changes[number]
    for field, text in _malformed(command, number):
        yield Problem(number, change.key, field, text)
    conflict = _conflict(change, registry.last(change.key))
    if conflict is not None:
        text, version = conflict
        yield Problem(number, change.key, "", text, version)


def _malformed(command: RegistryCommand, number: int) -> Iterator[tuple[str, str]]:
    change = command.changes[number]
    if change.key in [c.key for c in command.changes[:number]]:
        yield "", "is changed twice by this command"
    org_id = change.key.partition("/")[0]
    if command.org_id is not None and org_id != command.org_id:
        yield "org_id", f"belongs to another organisation than {command.org_id}"
    if change.action in ("delete", "restore"):
        return
    if change.entity is None:
        yield "", f"nothing is given to {change.action}"
        return
    if change.entity.key != change.key:
        yield "", f"the entity belongs under {change.entity.key}"
    for path, text in contradictions(change.entity):
        yield shown(path), text


def _conflict(change: Change, last: RegistryFact | None) -> tuple[str, int] | None:
    """Why the state is not the one that the author meant, and the version there is."""
    version = 0 if last is None else last.version
    exists = last is not None and not last.deleted
    if change.action == "create" and exists:
        return f"exists already, in version {version}", version
    if change.action in ("update", "delete") and not exists:
        gone = f"was deleted, in version {version}" if last is not None else "does not exist"
        return gone, version
    if change.action == "restore" and (exists or last is None):
        return ("is not deleted" if exists else "never existed"), version
    if change.expected_version is not None and change.expected_version != version:
        return f"has version {version}, not {change.expected_version}", version
    return None


def _fact(
    command: RegistryCommand, change: Change, last: RegistryFact | None, now: datetime
) -> RegistryFact:
    version = 1 + (0 if last is None else last.version)
    entity = change.entity if change.entity is not None else _last_entity(last)
    earlier = () if last is None else _applied(last)[1 - REMEMBERED :]
    return RegistryFact(
        version=version,
        author=command.author,
        accepted_at=now,
        command_id=command.command_id,
        entity=entity,
        deleted=change.action == "delete",
        applied=(*earlier, AppliedCommand(command.command_id, version)),
    )


def _last_entity(last: RegistryFact | None) -> Entity:
    assert last is not None, "what is deleted or restored exists: see _conflict"
    return last.entity


def versions(command: RegistryCommand, outcome: Outcome) -> Mapping[str, int]:
    """The version of each key after an accepted command."""
    return {c.key: v for c, v in zip(command.changes, outcome.versions, strict=True)}
