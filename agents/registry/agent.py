"""The registry agent: commands in, facts and outcomes out, in one Kafka transaction.

Any number of processes run it; the one that owns the only partition of registry-commands writes.
Its turn (`_Turn`) begins with these steps, in this order:

1. Take the transactional id. The broker aborts what a predecessor left open and refuses whatever it
   still tries to write.
2. Read the registry to its end. Nobody else can write it now, so this is the state.
3. Read commands from the committed offset: everything before it is in that state.

One round: judge the commands at hand (pure, `judge`), write facts, outcomes and offsets in one
transaction, and only then let the new state count. Whatever fails ends the turn; the next one
begins at 1. A kill at any instant therefore leaves either all of a round or nothing.
"""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

import structlog
from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)

from agents.errors import AgentsStopped
from agents.registry.judge import Judgement, judge
from agents.registry.verdicts import VerdictView
from schemas.catalog import SchemaCatalog
from schemas.commands import RegistryCommand
from schemas.convert import from_record, to_record
from schemas.errors import MalformedMessage, RegistryUnavailable, UnknownSchema
from schemas.topics import Topic
from schemas.wire import Codec
from streams import telemetry
from streams.errors import ViewNotLoaded
from streams.kafka import KafkaConfig
from streams.registry_view import RegistrySnapshot, RegistryView

LANE = "registry"
POLL_S = 0.2
COMMANDS_MAX = 100
KAFKA_TIMEOUT_S = 30.0
SESSION_TIMEOUT_S = 6.0
"""The least a broker allows by default: how long a dead owner is waited for."""
PAUSE_S = SESSION_TIMEOUT_S / 4 + 0.5
"""After a failure. Longer than a heartbeat, so that an owner that was replaced learns of it before
it takes the transactional id from its successor."""
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RegistryAgentConfig:
    """`instance`: the same after a restart and no other process's."""

    kafka: KafkaConfig
    catalog: SchemaCatalog
    instance: str
    health: telemetry.Health = field(default_factory=telemetry.Health)


@dataclass(slots=True)
class _Turn:
    """Being the only writer: a fenced producer, and the state after all that it committed."""

    producer: Any
    registry: RegistrySnapshot


class RegistryAgent:
    """Runs in a thread of its own between `__enter__` and `__exit__`.

    When it cannot go on in this process it sets `stop`, and `__exit__` raises AgentsStopped.
    """

    def __init__(
        self, config: RegistryAgentConfig, view: RegistryView, stop: threading.Event
    ) -> None:
        self._config = config
        self._view = view
        self._stop = stop
        self._codec = Codec(config.catalog)
        self._verdicts = VerdictView(config.kafka, self._codec)
        self._commands = config.kafka.topic(Topic.REGISTRY_COMMANDS)
        self._facts = config.kafka.topic(Topic.REGISTRY)
        self._closing = threading.Event()
        self._consumer: Any = None
        self._owner = False
        self._turn: _Turn | None = None
        self._not_before_s = 0.0
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="registry-agent", daemon=True)

    def __enter__(self) -> Self:
        self._verdicts.start()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.set()
        self._thread.join(timeout=KAFKA_TIMEOUT_S)
        self._verdicts.close()
        if self._failure is not None and error is None:
            raise AgentsStopped(f"the registry agent stopped: {self._failure!r}")

    def _run(self) -> None:
        try:
            self._consumer = self._subscribed()
            self._config.health.ready(LANE)
            while not self._closing.is_set():
                self._config.health.beat(LANE)
                self._round()
        except Exception as error:
            log.exception("registry agent stopped")
            self._failure = error
            self._stop.set()
        finally:
            self._turn = None
            if self._consumer is not None:
                self._consumer.close()

    def _subscribed(self) -> Any:
        consumer = Consumer(
            self._config.kafka.consumer(
                self._config.kafka.group("registry"),
                # A restarted process is the owner again at once.
                group_instance_id=self._config.instance,
                session_timeout_ms=int(SESSION_TIMEOUT_S * 1000),
                heartbeat_interval_ms=int(SESSION_TIMEOUT_S * 250),
            )
        )
        consumer.subscribe(
            [self._commands],
            on_assign=self._assigned,
            on_revoke=self._revoked,
            on_lost=self._revoked,
        )
        return consumer

    def _assigned(self, _: Any, partitions: Sequence[TopicPartition]) -> None:
        if partitions:
            self._owner = True

    def _revoked(self, _: Any, partitions: Sequence[TopicPartition]) -> None:
        if partitions:
            log.info("registry handed over")
            self._owner, self._turn = False, None

    def _round(self) -> None:
        turn = self._turn
        messages = self._read()
        if not self._owner or time.monotonic() < self._not_before_s:
            return
        try:
            if self._turn is None:
                self._turn = self._new_turn()
            elif self._turn is turn and messages:
                self._decide(self._turn, messages)
        except (KafkaException, ViewNotLoaded, RegistryUnavailable) as error:
            log.warning("the registry agent begins its turn again", error=_explain(error))
            self._config.health.waiting(LANE, f"the last round failed: {_explain(error)}")
            self._turn = None
            self._not_before_s = time.monotonic() + PAUSE_S

    def _read(self) -> list[Any]:
        """What is there, at most COMMANDS_MAX, as soon as there is anything."""
        first = self._consumer.poll(POLL_S)
        if first is None:
            return []
        # A batch of `consume` alone would wait for its timeout until it is full.
        found = [first, *self._consumer.consume(COMMANDS_MAX - 1, 0)]
        return [m for m in found if not self._is_error(m)]

    def _is_error(self, message: Any) -> bool:
        error = message.error()
        if error is None:
            return False
        if error.fatal() or error.code() == KafkaError._FATAL:
            raise AgentsStopped(f"the registry's consumer cannot go on: {error}")
        log.warning("registry consumer error", error=str(error))
        return True

    def _new_turn(self) -> _Turn:
        self._config.health.waiting(LANE, "taking over the registry")
        kafka = self._config.kafka
        producer = Producer(
            kafka.producer(
                transactional_id=kafka.group("registry"),
                transaction_timeout_ms=10_000,
                linger_ms=0,
                # The next transaction can meet the end of the last one; 100 ms would be felt.
                retry_backoff_ms=10,
            )
        )
        producer.init_transactions(KAFKA_TIMEOUT_S)  # 1
        registry = self._view.catch_up(KAFKA_TIMEOUT_S)  # 2
        self._rewind()  # 3
        self._config.health.ready(LANE)
        log.info("registry taken over", revision=registry.revision)
        return _Turn(producer, registry)

    def _rewind(self) -> None:
        """Goes to the committed offset: what was read before this turn is read again."""
        at = TopicPartition(self._commands, 0)
        [committed] = self._consumer.committed([at], timeout=KAFKA_TIMEOUT_S)
        if committed.error is not None:
            raise KafkaException(committed.error)
        if committed.offset < 0:
            committed.offset = OFFSET_BEGINNING
        self._consumer.seek(committed)

    def _decide(self, turn: _Turn, messages: Sequence[Any]) -> None:
        now = datetime.now(UTC)
        registry, decided = turn.registry, []
        for message in messages:
            command = self._command(message)
            if command is not None:
                judgement = judge(command, registry, self._verdicts.latest(), now)
                registry = registry.with_facts((f.entity.key, f) for f in judgement.facts)
                decided.append((message, command, judgement))
        if not decided:
            return  # our own outcomes: their offsets are committed with the next command's
        turn.producer.begin_transaction()
        for message, command, judgement in decided:
            self._produce(turn.producer, message.key(), command, judgement)
        behind = TopicPartition(self._commands, 0, messages[-1].offset() + 1)
        turn.producer.send_offsets_to_transaction(
            [behind], self._consumer.consumer_group_metadata(), KAFKA_TIMEOUT_S
        )
        turn.producer.commit_transaction(KAFKA_TIMEOUT_S)
        turn.registry = registry
        for message, command, judgement in decided:
            _count(message, command, judgement)

    def _command(self, message: Message) -> RegistryCommand | None:
        """None: an outcome of ours, or what is no command."""
        try:
            record = self._codec.decode(message.value() or b"", "RegistryCommand")
            command = from_record(RegistryCommand, record)
        except (MalformedMessage, UnknownSchema) as error:
            # Whoever sends by `agents.registry.client` has checked: nobody waits for an answer.
            log.error("registry command skipped", offset=message.offset(), error=str(error))
            return None
        return command if command.outcome is None else None

    def _produce(
        self, producer: Any, key: bytes | None, command: RegistryCommand, judgement: Judgement
    ) -> None:
        for fact in judgement.facts:
            value = self._codec.encode("RegistryFact", to_record(fact))
            _send(producer, self._facts, fact.entity.key.encode(), value)
        answer = replace(
            command,
            changes=tuple(replace(change, entity=None) for change in command.changes),
            outcome=judgement.outcome,
        )
        value = self._codec.encode("RegistryCommand", to_record(answer))
        _send(producer, self._commands, key, value)


def _send(producer: Any, topic: str, key: bytes | None, value: bytes) -> None:
    while True:
        try:
            producer.produce(topic, value, key)
        except BufferError:
            producer.poll(0.1)  # the queue is bounded; delivery reports make room
        else:
            return


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


def _explain(error: Exception) -> str:
    found = error.args[0] if error.args else error
    return found.str() if isinstance(found, KafkaError) else str(error)
