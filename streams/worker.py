"""The loop of the data lane, and its commit order."""

import ctypes
import ctypes.util
import gc
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import structlog
from confluent_kafka import KafkaException, Producer

from schemas.catalog import SchemaCatalog
from schemas.errors import RegistryUnavailable
from schemas.topics import TOPICS, Topic
from schemas.wire import Codec
from streams import telemetry
from streams.emit import Envelope, Outgoing, dead_letter, partials
from streams.errors import BatchAborted, WorkerStopped
from streams.hanging import Scope, take_over
from streams.kafka import explain, retrying, send_offsets
from streams.price import PriceTable, price_table
from streams.reduce import Context, Reduced, reduce
from streams.registry_view import RegistrySnapshot, RegistryView
from streams.source import LANE, Source, SourceBatch, SourceConfig

HOT_TOPICS = (Topic.INFERENCE_EVENTS, Topic.FEEDBACK_EVENTS, Topic.CASE_RESULTS)
TRANSACTION_TIMEOUT_MS = 30_000
REGISTRY_TIMEOUT_S = 60.0
FAILURES_MAX = 10
"""Aborted batches in a row before the process gives up and is started afresh."""
HOUSEKEEPING_S = 1.0
COLLECTION_S = 60.0
KEPT_BYTES = 32 * 1024 * 1024
PINNED_BYTES = 96 * 1024 * 1024
PIN_EVERY_BYTES = 256 * 1024
_pins: list[bytes] = []
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """A data-lane worker. `source.instance` also names its transactions."""

    source: SourceConfig
    retention_ms: int


@dataclass(slots=True)
class Worker:
    """Counts batches exactly once. One thread; `run` returns when `stop` is set.

    `client` makes the producer from its configuration.
    """

    config: WorkerConfig
    catalog: SchemaCatalog
    registry: RegistryView
    health: telemetry.Health
    client: Callable[[dict[str, Any]], Any] = Producer
    _source: Source = field(init=False)
    _producer: Any = field(init=False)
    _prices: PriceTable = field(init=False, default_factory=lambda: price_table(()))
    _priced: RegistrySnapshot | None = field(init=False, default=None)
    _partitions: int = field(init=False, default=0)
    _open: bool = field(init=False, default=False)

    def run(self, stop: threading.Event) -> None:
        """Raises WorkerStopped when only a new process can go on."""
        keep_memory()
        self.health.waiting(LANE, "reading the registry")
        self.registry.wait_loaded(REGISTRY_TIMEOUT_S)
        self._producer, source = self._new_producer(), self.config.source
        written = (Topic.METRIC_PARTIALS, Topic.DEAD_LETTERS)
        take_over(source.kafka, self._producer, Scope(source.group, source.topics, written))
        self._partitions = self._target_partitions()
        self._source = Source(self.config.source)
        self.health.ready(LANE)
        # Message lists hold millions of objects that are never part of a cycle.
        gc.freeze()
        gc.disable()
        try:
            self._loop(stop)
        finally:
            self._source.close()
            gc.enable()

    def _loop(self, stop: threading.Event) -> None:
        failures, torn, next_care, next_collection = 0, False, 0.0, time.monotonic() + COLLECTION_S
        while not stop.is_set():
            self.health.beat(LANE)
            try:
                if torn:
                    self._recover()
                    torn = False
                    self.health.beat(LANE)
                batch = self._source.poll()
                if batch is not None:
                    self._process(batch)
                    failures = 0
                self.health.ready(LANE)
            except BatchAborted as error:
                failures, torn = failures + 1, True
                telemetry.ABORTS.inc()
                self.health.waiting(LANE, str(error))
                log.warning("batch aborted, reading it again", error=str(error), failures=failures)
                if failures >= FAILURES_MAX:
                    raise WorkerStopped(f"{failures} batches in a row failed: {error}") from error
                stop.wait(min(5.0, 0.1 * 2**failures))
            if time.monotonic() >= next_care:
                self._source.measure_lag()
                next_care = time.monotonic() + HOUSEKEEPING_S
            if time.monotonic() >= next_collection:
                gc.collect()
                next_collection = time.monotonic() + COLLECTION_S

    def _process(self, batch: SourceBatch) -> None:
        began = time.perf_counter()
        try:
            reduced = reduce(batch.raws, self._context())
            outgoing = self._outgoing(batch, reduced)
        except RegistryUnavailable as error:
            raise BatchAborted(str(error)) from error
        try:
            self._commit(batch, outgoing)
        except KafkaException as error:
            raise BatchAborted(explain(error)) from error
        self._account(batch, reduced, time.perf_counter() - began)

    def _commit(self, batch: SourceBatch, outgoing: list[tuple[str, Outgoing]]) -> None:
        """One transaction. Until step 4 returns nothing is visible; after it everything is.

        1. Begin.
        2. Produce partials and dead letters: aborted with the transaction if anything fails.
        3. Add the source offsets: the transaction now also moves the group, fenced by its
           generation, so that a worker that lost its partitions cannot commit.
        4. Commit. A crash before the broker took the decision leaves nothing; the successor of
           this instance aborts it on start and reads the batch again.
        """
        producer, self._open = self._producer, True
        producer.begin_transaction()
        for topic, message in outgoing:
            self._produce(topic, message)
        send_offsets(producer, batch.positions, self._source.group_metadata(), 30.0)
        retrying(lambda: producer.commit_transaction(30.0))
        self._open = False

    def _produce(self, topic: str, message: Outgoing) -> None:
        place = {} if message.partition is None else {"partition": message.partition}
        while True:
            try:
                self._producer.produce(topic, message.value, message.key, **place)
            except BufferError:
                # The queue is bounded; delivery reports make room.
                self._producer.poll(0.1)
            else:
                return

    def _outgoing(self, batch: SourceBatch, reduced: Reduced) -> list[tuple[str, Outgoing]]:
        kafka, codec = self.config.source.kafka, Codec(self.catalog)
        now = datetime.now(UTC)
        envelope = Envelope(self.config.source.instance, now, batch.spans)
        counted = partials(reduced.wide, reduced.tidy, envelope, self._partitions, codec)
        letters = (dead_letter(raw, reject, now, codec) for raw, reject in reduced.rejects)
        return [
            *((kafka.topic(Topic.METRIC_PARTIALS), message) for message in counted),
            *((kafka.topic(Topic.DEAD_LETTERS), message) for message in letters),
        ]

    def _context(self) -> Context:
        """The registry may change between batches, never within one."""
        snapshot = self.registry.snapshot()
        if snapshot is not self._priced:
            self._prices = price_table(
                fact.entity  # type: ignore[misc]  # the models' shelf holds models
                for fact in snapshot.models.values()
            )
            self._priced = snapshot
        return Context(self.catalog, self._records(), self._prices, self.config.retention_ms)

    def _records(self) -> Mapping[str, str]:
        source = self.config.source
        return {source.kafka.topic(t): str(TOPICS[t].record) for t in source.topics}

    def _recover(self) -> None:
        """Aborts what is open, goes back to what is committed. Raises BatchAborted: repeat it."""
        try:
            if self._open:
                self._abort()
        except KafkaException as error:
            raise BatchAborted(f"the transaction cannot be ended: {explain(error)}") from error
        self._open = False
        self._source.rewind()

    def _abort(self) -> None:
        try:
            self._producer.abort_transaction(30.0)
        except KafkaException as error:
            if error.args[0].retriable():
                raise
            # Fenced, or in a state that it cannot leave. The broker takes a new producer under the
            # same name, and ends what the old one had open.
            log.warning("producer replaced", error=explain(error))
            self._producer = self._new_producer()
            retrying(lambda: self._producer.init_transactions(30.0))

    def _new_producer(self) -> Any:
        source = self.config.source
        return self.client(
            source.kafka.producer(
                transactional_id=source.instance,
                transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
                queue_buffering_max_kbytes=256 * 1024,
                linger_ms=0,
            )
        )

    def _target_partitions(self) -> int:
        topic = self.config.source.kafka.topic(Topic.METRIC_PARTIALS)
        found = self._producer.list_topics(topic, timeout=30).topics[topic]
        if not found.partitions:
            raise WorkerStopped(f"the topic {topic} does not exist; run: rheostat topics")
        return len(found.partitions)

    def _account(self, batch: SourceBatch, reduced: Reduced, seconds: float) -> None:
        for topic, events in reduced.events.items():
            telemetry.EVENTS.labels(topic).inc(events)
        for raw, reject in reduced.rejects:
            telemetry.REJECTS.labels(raw.topic, reject.reason.value).inc()
        telemetry.BATCHES.labels(LANE).inc()
        telemetry.BATCH_EVENTS.labels(LANE).observe(batch.count)
        telemetry.TRANSACTION_S.observe(seconds)
        telemetry.END_TO_END_S.labels(LANE).observe(max(0, time.time() - batch.oldest_ms / 1000))


def keep_memory() -> None:
    """Keeps freed memory in the process: batches of one size follow each other.

    Returning it to the kernel after each batch and faulting it in again took a quarter of the CPU
    time of the lane. glibc is told so; other C libraries have no such setting and need none.
    Python's own allocator returns an arena (1 MB) as soon as no object lives in it, so one small
    object is left in each of as many arenas as two batches of messages fill.
    """
    if not _pins:
        size = 240
        filler = [bytes(size) for _ in range(PINNED_BYTES // size)]
        _pins.extend(filler[:: PIN_EVERY_BYTES // size])
    with suppress(OSError, AttributeError, TypeError):
        libc = ctypes.CDLL(ctypes.util.find_library("c"))
        m_trim_threshold, m_mmap_threshold = -1, -3
        libc.mallopt(m_trim_threshold, 4 * KEPT_BYTES)
        libc.mallopt(m_mmap_threshold, KEPT_BYTES)
