"""The registry agent: commands in, facts and outcomes out, in one Kafka transaction.

Any number of processes run it; the one that owns the only partition of registry-commands writes:
it has its turn (`agents.registry.turn`). Whatever fails ends the turn, and the next one begins from
what is committed. A kill at any instant therefore leaves either all of a round or nothing.
"""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import structlog
from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient

from agents.errors import AgentError, AgentsStopped, BadConfiguration
from agents.registry.turn import KAFKA_TIMEOUT_S, Turn, begin
from agents.registry.verdicts import VerdictView
from schemas.catalog import SchemaCatalog
from schemas.errors import RegistryUnavailable
from schemas.topics import Topic
from schemas.wire import Codec
from streams import telemetry
from streams.errors import ViewNotLoaded
from streams.kafka import KafkaConfig
from streams.registry_view import RegistryView

LANE = "registry"
POLL_S = 0.2
COMMANDS_MAX = 100
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


class RegistryAgent:
    """Runs in a thread of its own between `__enter__` and `__exit__`.

    When it cannot go on in this process it sets `stop`, and `__exit__` raises AgentsStopped or
    BadConfiguration.
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
        self._closing = threading.Event()
        self._consumer: Any = None
        self._owner = False
        self._turn: Turn | None = None
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
            if isinstance(self._failure, AgentError):
                raise self._failure
            raise AgentsStopped(f"the registry agent stopped: {self._failure!r}")

    def _run(self) -> None:
        try:
            self._check_topic()
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

    def _check_topic(self) -> None:
        """Raises BadConfiguration unless all commands have one order. Waits for Kafka."""
        while not self._closing.is_set():
            try:
                admin = AdminClient(self._config.kafka.admin())
                found = admin.list_topics(self._commands, timeout=KAFKA_TIMEOUT_S)
            except KafkaException as error:
                log.warning("Kafka does not answer", error=_explain(error))
                self._closing.wait(PAUSE_S)
                continue
            count = len(found.topics[self._commands].partitions)
            if not count:
                raise BadConfiguration(
                    f"the topic {self._commands} does not exist; run: rheostat topics"
                )
            if count > 1:
                raise BadConfiguration(
                    f"{self._commands} has {count} partitions and must have 1: delete it, and run "
                    "rheostat topics"
                )
            return

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
                self._turn = self._begin()
            elif self._turn is turn and messages:
                self._turn.decide(messages, self._consumer.consumer_group_metadata())
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

    def _begin(self) -> Turn:
        self._config.health.waiting(LANE, "taking over the registry")
        turn = begin(self._config.kafka, self._codec, self._view, self._verdicts.latest)  # 1, 2
        self._rewind()  # 3
        self._config.health.ready(LANE)
        log.info("registry taken over", revision=turn.registry.revision)
        return turn

    def _rewind(self) -> None:
        """Goes to the committed offset: what was read before this turn is read again."""
        at = TopicPartition(self._commands, 0)
        [committed] = self._consumer.committed([at], timeout=KAFKA_TIMEOUT_S)
        if committed.error is not None:
            raise KafkaException(committed.error)
        if committed.offset < 0:
            committed.offset = OFFSET_BEGINNING
        self._consumer.seek(committed)


def _explain(error: Exception) -> str:
    found = error.args[0] if error.args else error
    return found.str() if isinstance(found, KafkaError) else str(error)
