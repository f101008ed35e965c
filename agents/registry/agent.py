"""The registry agent: commands in, facts and outcomes out, in one Kafka transaction.

Any number of processes run it; the one that owns the only partition of registry-commands writes:
it has its turn (`agents.registry.turn`). Whatever fails ends the turn, and the next one begins from
what is committed. A kill at any instant therefore leaves either all of a round or nothing.
"""

import threading
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import structlog
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from agents.errors import AgentError, AgentsStopped, BadConfiguration
from agents.registry.turn import KAFKA_TIMEOUT_S, Turn, begin
from agents.registry.verdicts import VerdictView
from agents.seat import PAUSE_S, Seat
from schemas.catalog import SchemaCatalog
from schemas.errors import RegistryUnavailable
from schemas.topics import Topic
from schemas.wire import Codec
from streams import telemetry
from streams.errors import ViewNotLoaded
from streams.kafka import KafkaConfig, explain
from streams.registry_view import RegistryView

LANE = "registry"
POLL_S = 0.2
COMMANDS_MAX = 100
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
        seat: Seat | None = None
        try:
            self._check_topic()
            kafka, instance = self._config.kafka, self._config.instance
            seat = Seat(kafka, "registry", self._commands, instance, self._end_turn)
            self._config.health.ready(LANE)
            while not self._closing.is_set():
                self._config.health.beat(LANE)
                self._round(seat)
        except Exception as error:
            self._failure = error
            log.exception("registry agent stopped")
            self._stop.set()
        finally:
            self._end_turn()
            if seat is not None:
                seat.close()

    def _check_topic(self) -> None:
        """Raises BadConfiguration unless all commands have one order. Waits for Kafka."""
        while not self._closing.is_set():
            try:
                admin = AdminClient(self._config.kafka.admin())
                found = admin.list_topics(self._commands, timeout=KAFKA_TIMEOUT_S)
            except KafkaException as error:
                log.warning("Kafka does not answer", error=explain(error))
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

    def _end_turn(self) -> None:
        self._turn = None

    def _round(self, seat: Seat) -> None:
        turn = self._turn
        messages = seat.read(POLL_S, COMMANDS_MAX)
        if not seat.owned or time.monotonic() < self._not_before_s:
            return
        try:
            if self._turn is None:
                self._turn = self._begin(seat)
            elif self._turn is turn and messages:
                self._turn.decide(messages, seat.consumer.consumer_group_metadata())
        except (KafkaException, ViewNotLoaded, RegistryUnavailable) as error:
            log.warning("the registry agent begins its turn again", error=explain(error))
            self._config.health.waiting(LANE, f"the last round failed: {explain(error)}")
            self._turn = None
            self._not_before_s = time.monotonic() + PAUSE_S

    def _begin(self, seat: Seat) -> Turn:
        self._config.health.waiting(LANE, "taking over the registry")
        turn = begin(self._config.kafka, self._codec, self._view, self._verdicts.latest)  # 1, 2
        seat.rewind()  # 3
        self._config.health.ready(LANE)
        log.info("registry taken over", revision=turn.registry.revision)
        return turn
