"""Applying entities to the registry: only what changed is sent, in one command, all or nothing."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

from agents.registry.client import TIMEOUT_S, RegistryClient, Sender
from schemas.commands import Change
from schemas.convert import from_record, to_record
from schemas.entities import Entity
from schemas.records import RegistryFact
from schemas.wire import Codec
from streams.kafka import KafkaConfig
from streams.registry_view import RegistrySnapshot, RegistryView

Result = Literal["created", "updated", "unchanged"]
_MOMENT = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of one entity; `version` is the one it now has."""

    key: str
    outcome: Result
    version: int


def plan(
    entities: Sequence[Entity], snapshot: RegistrySnapshot, codec: Codec
) -> list[tuple[Applied, Change]]:
    """What applying would do, and the changes it takes, which expect the versions seen. Pure."""
    planned = []
    for entity in entities:
        before, last = snapshot.get(entity.key), snapshot.last(entity.key)
        seen = None if last is None else last.version
        if before is None:
            applied = Applied(entity.key, "created", (seen or 0) + 1)
            change = Change("create", entity.key, seen, entity)
        else:
            same = as_stored(entity, codec) == before.entity
            result: Result = "unchanged" if same else "updated"
            applied = Applied(entity.key, result, before.version + (not same))
            change = Change("update", entity.key, seen, entity)
        planned.append((applied, change))
    return planned


def apply_with(
    client: RegistryClient,
    view: RegistryView,
    entities: Sequence[Entity],
    codec: Codec,
    sender: Sender,
) -> list[Applied]:
    """Sends what changed as one command; entities that are not named stay as they are.

    Raises RegistryConflict when somebody else changed one of them meanwhile, CommandRefused,
    Unavailable, ViewNotLoaded.
    """
    planned = plan(entities, view.catch_up(TIMEOUT_S), codec)
    changes = [change for applied, change in planned if applied.outcome != "unchanged"]
    made = client.submit(changes, sender) if changes else {}
    return [replace(a, version=made.get(a.key, a.version)) for a, _ in planned]


def apply(
    entities: Sequence[Entity], kafka: KafkaConfig, codec: Codec, author: str
) -> list[Applied]:
    """As `apply_with`, with connections of its own, in every organisation. A registry agent must
    run."""
    with RegistryView(kafka, codec) as view, RegistryClient(kafka, codec, view) as client:
        return apply_with(client, view, entities, codec, Sender(author))


def as_stored(entity: Entity, codec: Codec) -> Entity:
    """The entity as a reader gets it: times in milliseconds."""
    fact = RegistryFact(1, "", _MOMENT, "", entity)
    encoded = codec.encode("RegistryFact", to_record(fact))
    return from_record(RegistryFact, codec.decode(encoded, "RegistryFact")).entity
