"""The planner: requests and results in, states of runs and cases out, in one Kafka transaction.

Any number of processes run it; the one that owns the only partition of evaluation-requests plans:
it has its turn (`agents.evaluation.planner.turn`). Whatever fails ends the turn, and the next one
begins from what is committed. A kill at any instant therefore leaves either all of a round or
nothing.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import structlog
from confluent_kafka import KafkaException, TopicPartition

from agents.errors import AgentError, AgentsStopped
from agents.evaluation.planner.inbox import Inbox
from agents.evaluation.planner.pages import Pages
from agents.evaluation.planner.release import Limits
from agents.evaluation.planner.turn import KAFKA_TIMEOUT_S, Tools, Turn, begin
from agents.evaluation.runs import RunsView
from agents.seat import PAUSE_S, Seat
from schemas.catalog import SchemaCatalog
from schemas.errors import RegistryUnavailable
from schemas.topics import Topic
from schemas.wire import Codec
from sinks.clickhouse import ClickHouse
from streams import telemetry
from streams.errors import ViewNotLoaded
from streams.kafka import KafkaConfig, explain
from streams.registry_view import RegistryView

LANE = "planner"
IDLE_S = 0.2
BUSY_S = 0.05
REQUESTS_MAX = 100
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class PlannerConfig:
    """`instance`: the same after a restart and no other process's. `connect`: a new connection to
    the ClickHouse that holds datasets and answers."""

    kafka: KafkaConfig
    catalog: SchemaCatalog
    instance: str
    connect: Callable[[], ClickHouse]
    health: telemetry.Health = field(default_factory=telemetry.Health)
    limits: Limits = field(default_factory=Limits)


class Planner:
    """Runs in a thread of its own between `__enter__` and `__exit__`.

    When it cannot go on in this process it sets `stop`, and `__exit__` raises AgentsStopped.
    """

    def __init__(
        self, config: PlannerConfig, registry: RegistryView, stop: threading.Event
    ) -> None:
        self._config = config
        self._stop = stop
        codec = Codec(config.catalog)
        self._runs = RunsView(config.kafka, codec)
        self._pages = Pages(config.connect)
        self._tools = Tools(config.kafka, codec, registry, self._pages, config.limits)
        self._requests = config.kafka.topic(Topic.EVALUATION_REQUESTS)
        self._closing = threading.Event()
        self._inbox: Inbox | None = None
        self._turn: Turn | None = None
        self._not_before_s = 0.0
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="planner", daemon=True)

    def __enter__(self) -> Self:
        self._runs.start()
        self._pages.start()
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
        self._pages.close()
        self._runs.close()
        if self._failure is not None and error is None:
            if isinstance(self._failure, AgentError):
                raise self._failure
            raise AgentsStopped(f"the planner stopped: {self._failure!r}")

    def _run(self) -> None:
        seat: Seat | None = None
        try:
            kafka, instance = self._config.kafka, self._config.instance
            seat = Seat(kafka, "planner", self._requests, instance, self._end_turn)
            self._config.health.ready(LANE)
            while not self._closing.is_set():
                self._config.health.beat(LANE)
                self._round(seat)
        except Exception as error:
            self._failure = error
            log.exception("planner stopped")
            self._stop.set()
        finally:
            self._end_turn()
            if seat is not None:
                seat.close()

    def _end_turn(self) -> None:
        self._turn = None
        if self._inbox is not None:
            self._inbox.close()
            self._inbox = None

    def _round(self, seat: Seat) -> None:
        turn = self._turn
        idle_s = 0.0 if turn is not None and turn.busy else IDLE_S
        messages = seat.read(idle_s, REQUESTS_MAX)
        if not seat.owned or time.monotonic() < self._not_before_s:
            return
        try:
            if self._turn is None or self._inbox is None:
                self._begin(seat)
            elif self._turn is turn:
                self._plan(self._turn, self._inbox, seat, messages)
        except (KafkaException, ViewNotLoaded, RegistryUnavailable) as error:
            log.warning("the planner begins its turn again", error=explain(error))
            self._config.health.waiting(LANE, f"the last round failed: {explain(error)}")
            self._end_turn()
            self._not_before_s = time.monotonic() + PAUSE_S

    def _plan(self, turn: Turn, inbox: Inbox, seat: Seat, requests: Sequence[Any]) -> None:
        results = inbox.read(BUSY_S if turn.busy else 0.0)
        offsets = inbox.offsets(results)
        if requests:
            offsets.append(TopicPartition(self._requests, 0, requests[-1].offset() + 1))
        turn.round(requests, results, offsets, seat.consumer.consumer_group_metadata())

    def _begin(self, seat: Seat) -> None:
        self._config.health.waiting(LANE, "taking over the runs")
        self._end_turn()
        turn = begin(self._tools, self._runs)  # 1, 2
        self._inbox = Inbox(self._config.kafka, seat.consumer)  # 3
        seat.rewind()
        self._turn = turn
        self._config.health.ready(LANE)
        log.info("runs taken over", runs=len(turn.runs))
