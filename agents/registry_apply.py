"""Applying entities to the registry: only what changed is written, with the next version.

Appliers share one transactional id. Taking it (step 1) makes the broker end or abort whatever an
earlier applier had under way and refuse its further writes, so what is read in step 2 cannot change
before our commit: two appliers at a time are serialised, and the slower one gets RegistryConflict.
Facts that others write without that id are not fenced; nothing of ours does.
"""

import getpass
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from confluent_kafka import KafkaError, KafkaException, Producer

from agents.errors import AgentsStopped, RegistryConflict
from schemas.convert import from_record, to_record
from schemas.entities import Entity
from schemas.records import RegistryFact
from schemas.topics import Topic
from schemas.wire import Codec
from streams.kafka import KafkaConfig
from streams.registry_view import RegistrySnapshot, RegistryView

TIMEOUT_S = 30.0
_FENCED = (
    KafkaError._FENCED,
    KafkaError.PRODUCER_FENCED,
    KafkaError.INVALID_PRODUCER_EPOCH,
)

Outcome = Literal["created", "updated", "unchanged"]


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of one entity; `version` is the one it now has."""

    key: str
    outcome: Outcome
    version: int


def plan(
    entities: Sequence[Entity], snapshot: RegistrySnapshot, codec: Codec, author: str, now: datetime
) -> list[tuple[Applied, RegistryFact]]:
    """What applying would do. Pure. The fact is the new one, or what is there if unchanged."""
    facts = {**snapshot.models, **snapshot.ab_tests, **snapshot.policies}
    planned = []
    for entity in entities:
        before = facts.get(entity.key)
        version = 1 + (before.version if before else 0)
        fact = RegistryFact(version, author, now, str(uuid.uuid4()), entity)
        outcome: Outcome = "created" if before is None else "updated"
        if before is not None and _as_stored(fact, codec).entity == before.entity:
            outcome, fact = "unchanged", before
        planned.append((Applied(entity.key, outcome, fact.version), fact))
    return planned


def apply(
    entities: Sequence[Entity], kafka: KafkaConfig, codec: Codec, author: str | None = None
) -> list[Applied]:
    """Writes what changed in one transaction; entities that are not named stay as they are.

    Raises RegistryConflict, AgentsStopped when Kafka fails, ViewNotLoaded.
    """
    producer = Producer(kafka.producer(transactional_id=kafka.group("registry-apply")))
    try:
        producer.init_transactions(TIMEOUT_S)  # 1
        with RegistryView(kafka, codec) as view:  # 2
            snapshot = view.wait_loaded(TIMEOUT_S)
        planned = plan(entities, snapshot, codec, author or getpass.getuser(), datetime.now(UTC))
        changed = [fact for applied, fact in planned if applied.outcome != "unchanged"]
        if changed:
            _write(producer, kafka.topic(Topic.REGISTRY), changed, codec)  # 3
    except KafkaException as error:
        if error.args[0].code() in _FENCED:
            raise RegistryConflict(
                "another registry apply ran at the same time; nothing of this one took effect: "
                "run it again"
            ) from error
        raise AgentsStopped(f"the registry was not changed: {error.args[0].str()}") from error
    return [applied for applied, _ in planned]


def _write(producer: Any, topic: str, facts: Sequence[RegistryFact], codec: Codec) -> None:
    producer.begin_transaction()
    for fact in facts:
        value = codec.encode("RegistryFact", to_record(fact))
        producer.produce(topic, value, fact.entity.key.encode())
    producer.commit_transaction(TIMEOUT_S)


def _as_stored(fact: RegistryFact, codec: Codec) -> RegistryFact:
    """The fact as a reader gets it: times in milliseconds."""
    encoded = codec.encode("RegistryFact", to_record(fact))
    return from_record(RegistryFact, codec.decode(encoded, "RegistryFact"))
