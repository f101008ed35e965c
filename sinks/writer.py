"""Moves topics into ClickHouse exactly once: the intent protocol, for every table alike."""

import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import structlog
from confluent_kafka import Consumer

from schemas.catalog import SchemaCatalog
from schemas.errors import RegistryUnavailable
from schemas.topics import Topic
from sinks.buffer import Buffer, Limits
from sinks.clickhouse import ClickHouse
from sinks.errors import Backpressure, OwnershipLost
from sinks.inbox import LANE, Inbox, Place
from sinks.intent import Intent
from sinks.rows import Messages
from sinks.tables import TABLES, TableSpec
from streams import telemetry
from streams.kafka import KafkaConfig
from streams.source import raw_batch

POLL_S = 0.1
BUSY_POLL_S = 0.01
"""While an insert is under way: when it is done its offset is committed soon."""
RETRY_MAX_S = 10.0
ROUND_MAX_S = 30.0
"""After so long Kafka is asked first whether the partitions are still ours."""
HOUSEKEEPING_S = 1.0
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SinkConfig:
    """A storage worker. `instance`: the same after a restart."""

    kafka: KafkaConfig
    group: str
    instance: str
    retention_ms: int
    topics: Sequence[Topic] = tuple(TABLES)
    session_timeout_ms: int = 10_000
    buffered_bytes_max: int = 128 * 1024 * 1024


@dataclass(slots=True)
class _Pending:
    """A batch whose intent is committed, since `owned_s`, and that is not inserted yet."""

    place: Place
    intent: Intent
    rows: Any
    spec: TableSpec
    oldest_ms: int
    owned_s: float
    inserting: Future[float] | None = None
    """The insert under way, or done; its result is the seconds that it took."""


@dataclass(slots=True)
class Writer:
    """One thread, one consumer, one insert at a time. `client` makes the consumer.

    A second thread does nothing but wait for ClickHouse, so that the next batch is read and turned
    into rows meanwhile. Nothing of the next batch is committed before the insert is done.
    """

    config: SinkConfig
    catalog: SchemaCatalog
    clickhouse: ClickHouse
    health: telemetry.Health
    client: Callable[[dict[str, Any]], Any] = Consumer
    _inbox: Inbox = field(init=False)
    _specs: Mapping[str, TableSpec] = field(init=False, default_factory=dict)
    _pending: _Pending | None = field(init=False, default=None)
    _retry_at_s: float = field(init=False, default=0.0)
    _failures: int = field(init=False, default=0)
    _inserts: ThreadPoolExecutor = field(
        init=False, default_factory=lambda: ThreadPoolExecutor(1, "insert")
    )

    def run(self, stop: threading.Event) -> None:
        """Returns when `stop` is set; what is buffered then is read again by the next start.

        Raises SinkBroken when repeating cannot help.
        """
        config, kafka = self.config, self.config.kafka
        self._specs = {kafka.topic(topic): TABLES[topic] for topic in config.topics}
        consumer = kafka.consumer(
            config.group,
            group_instance_id=config.instance,
            session_timeout_ms=config.session_timeout_ms,
            heartbeat_interval_ms=config.session_timeout_ms // 4,
            queued_max_messages_kbytes=16 * 1024,
            fetch_max_bytes=32 * 1024 * 1024,
        )
        self._inbox = Inbox(self.client(consumer), list(self._specs))
        self.health.ready(LANE)
        next_care = 0.0
        try:
            while not stop.is_set():
                self.health.beat(LANE)
                self._round()
                if time.monotonic() >= next_care:
                    self._inbox.measure_lag(ask=self._retry_at_s > 0)
                    next_care = time.monotonic() + HOUSEKEEPING_S
            if self._pending is not None and self._pending.inserting is not None:
                with suppress(Backpressure, OwnershipLost):
                    self._finish(self._pending)
        finally:
            self._inbox.close()
            self._inserts.shutdown()
            self.clickhouse.close()

    def _round(self) -> None:
        """Reads a little, then stores whatever is due, what waits longest first."""
        began = time.monotonic()
        self._inbox.read(began, POLL_S if self._pending is None else BUSY_POLL_S)
        if self._pending is not None and self._pending.place not in self._inbox.buffers:
            self._pending = None  # revoked: the next owner finds the intent
        if time.monotonic() < self._retry_at_s:
            # Partitions that came meanwhile wait with the others.
            self._inbox.pause()
            return
        try:
            if self._inbox.lost:
                self._pending = None
                self._inbox.rewind()
            if self._pending is not None:
                self._go_on(self._pending)
            for place in sorted(self._inbox.buffers, key=self._waiting_since):
                if time.monotonic() - began < ROUND_MAX_S:
                    self._store_due(place)
        except Backpressure as wait:
            if self._pending is not None:
                telemetry.INSERT_RETRIES.labels(self._pending.spec.table).inc()
            self._hold(wait)
        except OwnershipLost as wait:
            self._inbox.lost = True
            self._hold(wait)
        else:
            self._release()

    def _waiting_since(self, place: Place) -> float:
        return self._inbox.buffers[place].since_s

    def _store_due(self, place: Place) -> None:
        while True:
            buffer, spec = self._inbox.buffers[place], self._specs[place[0]]
            limits = Limits(spec.messages_max, spec.bytes_max, spec.linger_s)
            if self._full() and buffer.replay is None:
                limits = Limits(spec.messages_max, 0, 0.0)
            if not buffer.due(limits, time.monotonic()):
                return
            self._store(place, buffer, limits)

    def _store(self, place: Place, buffer: Buffer, limits: Limits) -> None:
        """The protocol. A crash between any two steps loses nothing and repeats nothing.

        1. Turn the batch into rows: nothing has happened yet.
        2. Commit the offset where the batch begins, with the batch's ends as metadata (the
           intent). Kafka refuses when the partition went to another worker: then stop here.
        3. Insert under a token made of the intent. After a crash here the next owner finds the
           intent and repeats the same rows under the same token, which ClickHouse recognises.
        4. Commit the offset behind the batch: only now is it durable and done.
        """
        replayed = buffer.replay is not None
        messages, intent = buffer.next(limits)
        spec = self._specs[place[0]]
        rows = self._rows(place, spec, messages)
        if self._pending is not None:
            self._finish(self._pending)  # when it fails, this batch is still in its buffer
        buffer.remove(messages)
        if replayed:
            telemetry.INTENTS_REPLAYED.labels(spec.table).inc()
        self._commit(place, intent.first, intent.encode())
        oldest_ms = messages[0].timestamp()[1] if messages else 0
        self._pending = _Pending(place, intent, rows, spec, oldest_ms, time.monotonic())
        self._begin(self._pending)

    def _go_on(self, pending: _Pending) -> None:
        """Repeats an insert that failed; ends one that is done."""
        if pending.inserting is None:
            self._begin(pending)
            self._finish(pending)
        elif pending.inserting.done():
            self._finish(pending)

    def _begin(self, pending: _Pending) -> None:
        """Step 3, in the other thread."""
        self.health.beat(LANE)
        if time.monotonic() - pending.owned_s > self.config.session_timeout_ms / 1000:
            # This process slept, or ClickHouse was away: the partition may have another owner, and
            # ClickHouse remembers tokens for a while only. Kafka is asked again.
            self._commit(pending.place, pending.intent.first, pending.intent.encode())
            pending.owned_s = time.monotonic()
        pending.inserting = self._inserts.submit(self._insert, pending)

    def _insert(self, pending: _Pending) -> float:
        began = time.perf_counter()
        if pending.rows.num_rows:
            token = pending.intent.token(*pending.place)
            self.clickhouse.insert(pending.spec.table, pending.rows, token)
        return time.perf_counter() - began

    def _finish(self, pending: _Pending) -> None:
        """Waits for step 3, then step 4."""
        self.health.beat(LANE)
        inserting, pending.inserting = pending.inserting, None
        assert inserting is not None
        seconds = inserting.result()
        self._commit(pending.place, pending.intent.next_offset, "")
        self._pending, self._failures = None, 0
        table = pending.spec.table
        telemetry.ROWS.labels(table).inc(pending.rows.num_rows)
        telemetry.INSERT_S.labels(table).observe(seconds)
        telemetry.BATCHES.labels(LANE).inc()
        if pending.oldest_ms > 0:
            age_s = time.time() - pending.oldest_ms / 1000
            telemetry.END_TO_END_S.labels(LANE).observe(max(0.0, age_s))

    def _rows(self, place: Place, spec: TableSpec, messages: list[Any]) -> Any:
        topic, partition = place
        if not messages:
            # Retention took the batch of an old intent: what was not stored then is gone.
            log.error("the batch to repeat is no longer in Kafka", topic=topic, partition=partition)
            return pa.table({})

        def skip(offset: int, why: str) -> None:
            telemetry.SKIPPED.labels(topic).inc()
            log.error("message skipped", topic=topic, partition=partition, offset=offset, error=why)

        batch = Messages(
            raw=raw_batch(topic, messages, [(0, len(messages) - 1)]),
            partition=partition,
            offsets=[m.offset() for m in messages],
            keys=[m.key() for m in messages] if spec.topic is Topic.REGISTRY else [],
            catalog=self.catalog,
            retention_ms=self.config.retention_ms,
            skip=skip,
        )
        try:
            return spec.rows(batch)
        except RegistryUnavailable as error:
            raise OwnershipLost(str(error), retry_after_s=1.0) from error

    def _commit(self, place: Place, offset: int, metadata: str) -> None:
        self._inbox.commit(place, offset, metadata)

    def _hold(self, wait: Backpressure | OwnershipLost) -> None:
        """Stop reading, keep the membership, try again later."""
        self._failures += 1
        wait_s = min(RETRY_MAX_S, wait.retry_after_s * 2 ** min(self._failures - 1, 10))
        self._retry_at_s = time.monotonic() + wait_s * random.uniform(0.5, 1.0)
        self.health.waiting(LANE, str(wait))
        log.warning("waiting", error=str(wait), failures=self._failures, seconds=round(wait_s, 1))
        self._inbox.pause()

    def _release(self) -> None:
        """After a wait: read on."""
        if self._retry_at_s:
            self._retry_at_s = 0.0
            self.health.ready(LANE)
            self._inbox.resume()

    def _full(self) -> bool:
        return self._inbox.size_bytes() > self.config.buffered_bytes_max
