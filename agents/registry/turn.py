"""Being the registry's only writer. A turn begins with these steps, in this order:

1. Take the transactional id. The broker aborts what a predecessor left open and refuses whatever it
   still tries to write.
2. Read the registry to its end. Nobody else can write it now, so this is the state.
3. Read commands from the committed offset (the agent does): all before it is in that state.

One round, in this order:

1. Judge the commands at hand: pure, on the state after the commands before them.
2. Write facts, outcomes and the offset behind the commands in one transaction.
3. Only when it is committed let the new state count.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import structlog
from confluent_kafka import Message, Producer, TopicPartition

from agents.evaluation.runner.adapters import styles
from agents.registry.judge import Judgement, judge
from agents.registry.rules import Verdicts
from schemas.commands import RegistryCommand
from schemas.convert import from_record, to_record
from schemas.errors import MalformedMessage, UnknownSchema
from schemas.topics import Topic
from schemas.wire import Codec
from streams import telemetry
from streams.hanging import Scope, take_over
from streams.kafka import KafkaConfig, send_offsets
from streams.registry_view import RegistrySnapshot, RegistryView

KAFKA_TIMEOUT_S = 30.0
TRANSACTION_TIMEOUT_MS = 10_000
READ, WRITTEN = (Topic.REGISTRY_COMMANDS,), (Topic.REGISTRY, Topic.REGISTRY_COMMANDS)
log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Turn:
    """A fenced producer, and the state after everything that it committed.

    Once a method raised, the turn is over: nothing is known of its last transaction.
    """

    kafka: KafkaConfig
    codec: Codec
    verdicts: Callable[[], Verdicts]
    producer: Any
    registry: RegistrySnapshot

    def decide(self, messages: Sequence[Any], group: Any) -> None:
        """One round over messages of registry-commands, in their order; `group`: the consumer's
        metadata. Raises KafkaException, and RegistryUnavailable without a schema registry."""
        now, verdicts = datetime.now(UTC), self.verdicts()
        registry, decided = self.registry, []
        for message in messages:
            command = self._command(message)
            if command is not None:
                judgement = judge(command, registry, verdicts, now, styles())
                registry = registry.with_facts((f.entity.key, f) for f in judgement.facts)
                decided.append((message, command, judgement))
        if not decided:
            return  # our own outcomes: their offsets are committed with the next command's
        self.producer.begin_transaction()
        for message, command, judgement in decided:
            self._produce(message.key(), command, judgement)
        commands = self.kafka.topic(Topic.REGISTRY_COMMANDS)
        behind = TopicPartition(commands, 0, messages[-1].offset() + 1)
        send_offsets(self.producer, [behind], group, KAFKA_TIMEOUT_S)
        self.producer.commit_transaction(KAFKA_TIMEOUT_S)
        self.registry = registry
        for message, command, judgement in decided:
            _count(message, command, judgement)

    def _command(self, message: Message) -> RegistryCommand | None:
        """None: an outcome of ours, or what is no command."""
        try:
            record = self.codec.decode(message.value() or b"", "RegistryCommand")
            command = from_record(RegistryCommand, record)
        except (MalformedMessage, UnknownSchema) as error:
            # Whoever sends by `agents.registry.client` has checked: nobody waits for an answer.
            log.error("registry command skipped", offset=message.offset(), error=str(error))
            return None
        return command if command.outcome is None else None

    def _produce(self, key: bytes | None, command: RegistryCommand, judgement: Judgement) -> None:
        for fact in judgement.facts:
            value = self.codec.encode("RegistryFact", to_record(fact))
            self._send(Topic.REGISTRY, fact.entity.key.encode(), value)
        answer = replace(
            command,
            changes=tuple(replace(change, entity=None) for change in command.changes),
            outcome=judgement.outcome,
        )
        value = self.codec.encode("RegistryCommand", to_record(answer))
        self._send(Topic.REGISTRY_COMMANDS, key, value)

    def _send(self, topic: Topic, key: bytes | None, value: bytes) -> None:
        while True:
            try:
                self.producer.produce(self.kafka.topic(topic), value, key)
            except BufferError:
                self.producer.poll(0.1)  # the queue is bounded; delivery reports make room
            else:
                return


def begin(
    kafka: KafkaConfig, codec: Codec, view: RegistryView, verdicts: Callable[[], Verdicts]
) -> Turn:
    """Steps 1 and 2 of a turn. Raises KafkaException, ViewNotLoaded."""
    producer: Any = Producer(
        kafka.producer(
            transactional_id=kafka.group("registry"),
            transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
            linger_ms=0,
            # A transaction can meet the end of the one before; waiting 100 ms would be felt.
            retry_backoff_ms=10,
        )
    )
    take_over(kafka, producer, Scope(kafka.group("registry"), READ, WRITTEN))  # 1
    return Turn(kafka, codec, verdicts, producer, view.catch_up(KAFKA_TIMEOUT_S))  # 2


def _count(message: Any, command: RegistryCommand, judgement: Judgement) -> None:
    telemetry.REGISTRY_COMMANDS.labels(judgement.outcome.status).inc()
    telemetry.REGISTRY_COMMAND_S.observe(max(0.0, time.time() - message.timestamp()[1] / 1000))
    log.info(
        "registry command judged",
        command_id=command.command_id,
        author=command.author,
        status=judgement.outcome.status,
        changes=len(command.changes),
    )
