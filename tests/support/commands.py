"""Registry commands and the state they make, without Kafka."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from agents.evaluation.runner.adapters import styles
from agents.registry.judge import Judgement, judge
from schemas.commands import Action, Change, RegistryCommand
from schemas.entities import Entity
from schemas.records import AbVerdict
from streams.registry_view import RegistrySnapshot

NOW = datetime(2026, 6, 1, tzinfo=UTC)
LATER = NOW + timedelta(seconds=10)


def change(action: Action, entity: Entity, expected: int | None = None) -> Change:
    """A change; without the entity where the action takes none."""
    given = entity if action in ("create", "update") else None
    return Change(action, entity.key, expected, given)


def command(
    *changes: Change, command_id: str = "c", org_id: str | None = None, author: str = "me"
) -> RegistryCommand:
    return RegistryCommand(command_id, author, org_id, NOW, LATER, changes)


class Registry:
    """A registry in memory: commands one after the other, as the agent judges them."""

    def __init__(self, *entities: Entity) -> None:
        self.snapshot = RegistrySnapshot()
        self.verdicts: Mapping[tuple[str, str], AbVerdict] = {}
        self._sent = 0
        for entity in entities:
            assert self.send(change("create", entity)).outcome.status == "accepted"

    def send(self, *changes: Change, now: datetime = NOW) -> Judgement:
        """A command of its own."""
        self._sent += 1
        return self.judge(command(*changes, command_id=f"own-{self._sent}"), now)

    def judge(self, sent: RegistryCommand, now: datetime = NOW) -> Judgement:
        found = judge(sent, self.snapshot, self.verdicts, now, styles())
        self.snapshot = self.snapshot.with_facts((f.entity.key, f) for f in found.facts)
        return found

    def refusal(self, *changes: Change) -> list[tuple[str, str]]:
        """(field, text) of every problem; the command must be refused."""
        found = self.send(*changes)
        assert found.outcome.status == "refused", found
        assert found.facts == ()
        return [(p.field, p.text) for p in found.outcome.problems]
