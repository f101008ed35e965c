"""Moves topics into ClickHouse exactly once: the intent protocol, for every table alike."""

import random
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import pyarrow as pa
import structlog
from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from schemas.catalog import SchemaCatalog
from schemas.errors import RegistryUnavailable
from schemas.topics import Topic
from sinks.buffer import Buffer, Limits
from sinks.clickhouse import ClickHouse
from sinks.errors import Backpressure, OwnershipLost, SinkBroken
from sinks.intent import Intent
from sinks.tables import TABLES, Messages, TableSpec
from streams import telemetry
from streams.kafka import KafkaConfig
from streams.source import raw_batch

LANE = "sinks"
POLL_S = 0.1
POLL_MESSAGES = 20_000
KAFKA_TIMEOUT_S = 30.0
RETRY_MAX_S = 10.0
HOUSEKEEPING_S = 1.0
log = structlog.get_logger(__name__)

Place = tuple[str, int]
"""Topic name and partition."""


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
    """A batch whose intent is committed and whose insert has not succeeded yet."""

    place: Place
    intent: Intent
    rows: Any
    spec: TableSpec
    oldest_ms: int
    attempts: int = 0


@dataclass(slots=True)
class Writer:
    """One thread, one consumer, one insert at a time."""

    config: SinkConfig
    catalog: SchemaCatalog
    clickhouse: ClickHouse
    health: telemetry.Health
    _consumer: Any = field(init=False, default=None)
    _specs: Mapping[str, TableSpec] = field(init=False, default_factory=dict)
    _buffers: dict[Place, Buffer] = field(init=False, default_factory=dict)
    _pending: _Pending | None = field(init=False, default=None)
    _retry_at_s: float = field(init=False, default=0.0)

    def run(self, stop: threading.Event) -> None:
        """Returns when `stop` is set; what is buffered then is read again by the next start.

        Raises SinkBroken when repeating cannot help.
        """
        kafka = self.config.kafka
        self._specs = {kafka.topic(topic): TABLES[topic] for topic in self.config.topics}
        self._consumer = Consumer(
            kafka.consumer(
                self.config.group,
                group_instance_id=self.config.instance,
                session_timeout_ms=self.config.session_timeout_ms,
                heartbeat_interval_ms=self.config.session_timeout_ms // 4,
                queued_max_messages_kbytes=16 * 1024,
                fetch_max_bytes=32 * 1024 * 1024,
            )
        )
        self._consumer.subscribe(
            list(self._specs),
            on_assign=self._assigned,
            on_revoke=self._revoked,
            on_lost=self._revoked,
        )
        self.health.ready(LANE)
        next_care = 0.0
        try:
            while not stop.is_set():
                self.health.beat(LANE)
                self._round()
                if time.monotonic() >= next_care:
                    self._measure_lag()
                    next_care = time.monotonic() + HOUSEKEEPING_S
        finally:
            self._consumer.close()
            self.clickhouse.close()

    def _round(self) -> None:
        """Reads a little, then stores whatever is due."""
        for place, messages in self._read().items():
            if place in self._buffers:
                self._buffers[place].add(messages, time.monotonic())
        try:
            if self._pending is not None:
                if time.monotonic() < self._retry_at_s:
                    # Partitions that came meanwhile wait with the others.
                    self._consumer.pause(self._consumer.assignment())
                    return
                self._insert(self._pending)
            for place in list(self._buffers):
                self._store_due(place)
        except Backpressure as wait:
            self._hold(wait)
        except OwnershipLost as error:
            log.warning("reading the committed offsets again", error=str(error))
            self._rewind()

    def _read(self) -> dict[Place, list[Any]]:
        messages = self._consumer.consume(POLL_MESSAGES, POLL_S)
        if any(map(Message.error, messages)):
            messages = [m for m in messages if not _is_error(m)]
        return _by_place(messages)

    def _store_due(self, place: Place) -> None:
        while place in self._buffers:
            spec = self._specs[place[0]]
            limits = Limits(spec.messages_max, spec.bytes_max, spec.linger_s)
            if self._full() and self._buffers[place].replay is None:
                limits = Limits(spec.messages_max, 0, 0.0)
            if not self._buffers[place].due(limits, time.monotonic()):
                return
            self._store(place, limits)

    def _store(self, place: Place, limits: Limits) -> None:
        """The protocol. A crash between any two steps loses nothing and repeats nothing.

        1. Turn the batch into rows: nothing has happened yet.
        2. Commit the offset where the batch begins, with the batch's ends as metadata (the
           intent). Kafka refuses when the partition went to another worker: then stop here.
        3. Insert under a token made of topic, partition and ends. After a crash here the next
           owner finds the intent and repeats the same rows under the same token, which ClickHouse
           recognises.
        4. Commit the offset behind the batch: only now is it durable and done.
        """
        replayed = self._buffers[place].replay is not None
        messages, intent = self._buffers[place].take(limits)
        spec = self._specs[place[0]]
        rows = self._rows(place, spec, messages)
        if replayed:
            telemetry.INTENTS_REPLAYED.labels(spec.table).inc()
        else:
            self._commit(place, intent.first, intent.encode())
        oldest_ms = messages[0].timestamp()[1] if messages else 0
        self._pending = _Pending(place, intent, rows, spec, oldest_ms)
        self._insert(self._pending)

    def _insert(self, pending: _Pending) -> None:
        topic, partition = pending.place
        began = time.perf_counter()
        if pending.rows.num_rows:
            token = pending.intent.token(topic, partition)
            self.clickhouse.insert(pending.spec.table, pending.rows, token)
        self._commit(pending.place, pending.intent.next_offset, "")
        self._pending = None
        self._release()
        table = pending.spec.table
        telemetry.ROWS.labels(table).inc(pending.rows.num_rows)
        telemetry.INSERT_S.labels(table).observe(time.perf_counter() - began)
        telemetry.BATCHES.labels(LANE).inc()
        if pending.oldest_ms > 0:
            age_s = time.time() - pending.oldest_ms / 1000
            telemetry.END_TO_END_S.labels(LANE).observe(max(0.0, age_s))

    def _rows(self, place: Place, spec: TableSpec, messages: list[Any]) -> Any:
        if not messages:
            # Retention took the batch of an old intent: what was not stored then is gone.
            log.error(
                "the batch to repeat is no longer in Kafka", topic=place[0], partition=place[1]
            )
            return pa.table({})
        raw = raw_batch(place[0], messages, [(0, len(messages) - 1)])
        offsets: list[Any] = list(map(Message.offset, messages))
        keys = [m.key() for m in messages] if spec.topic is Topic.REGISTRY else []
        try:
            return spec.rows(
                Messages(raw, place[1], offsets, keys, self.catalog, self.config.retention_ms)
            )
        except RegistryUnavailable as error:
            raise OwnershipLost(str(error)) from error

    def _commit(self, place: Place, offset: int, metadata: str) -> None:
        at = TopicPartition(place[0], place[1], offset, metadata=metadata)
        try:
            for done in self._consumer.commit(offsets=[at], asynchronous=False):
                if done.error is not None:
                    raise OwnershipLost(f"commit of {place} at {offset} refused: {done.error}")
        except KafkaException as error:
            if error.args[0].fatal():
                raise SinkBroken(f"this worker was replaced by another: {error}") from error
            raise OwnershipLost(f"commit of {place} at {offset} failed: {error}") from error

    def _hold(self, wait: Backpressure) -> None:
        """ClickHouse does not take rows: stop reading, keep the membership, try again later."""
        attempts = 1
        if self._pending is not None:
            self._pending.attempts += 1
            attempts = self._pending.attempts
            telemetry.INSERT_RETRIES.labels(self._pending.spec.table).inc()
        wait_s = min(RETRY_MAX_S, wait.retry_after_s * 2 ** min(attempts - 1, 10))
        self._retry_at_s = time.monotonic() + wait_s * random.uniform(0.5, 1.0)
        self.health.waiting(LANE, str(wait))
        log.warning("waiting for ClickHouse", error=str(wait), attempts=attempts)
        self._consumer.pause(self._consumer.assignment())

    def _release(self) -> None:
        """After a wait: read on."""
        if self._retry_at_s:
            self._retry_at_s = 0.0
            self.health.ready(LANE)
            self._consumer.resume(self._consumer.assignment())

    def _full(self) -> bool:
        return sum(b.size_bytes for b in self._buffers.values()) > self.config.buffered_bytes_max

    def _assigned(self, _: Any, partitions: Sequence[TopicPartition]) -> None:
        log.info("partitions assigned", count=len(partitions))
        self._load(partitions)

    def _load(self, partitions: Sequence[TopicPartition]) -> list[TopicPartition]:
        """Starts buffers at the committed offsets, with the intents found there."""
        committed: list[TopicPartition] = self._consumer.committed(
            list(partitions), timeout=KAFKA_TIMEOUT_S
        )
        for at in committed:
            if at.error is not None:
                raise KafkaException(at.error)
            intent = Intent.decode(at.metadata)
            if intent is not None:
                log.info(
                    "repeating a batch", topic=at.topic, partition=at.partition, last=intent.last
                )
            self._buffers[at.topic, at.partition] = Buffer(replay=intent)
        return committed

    def _revoked(self, _: Any, partitions: Sequence[TopicPartition]) -> None:
        """What was not committed is the next owner's; an intent tells it what to repeat."""
        log.info("partitions revoked", count=len(partitions))
        for at in partitions:
            self._buffers.pop((at.topic, at.partition), None)
            if self._pending is not None and self._pending.place == (at.topic, at.partition):
                self._pending = None
                self._release()

    def _rewind(self) -> None:
        """Back to the committed offsets of everything assigned."""
        self._pending = None
        assigned = self._consumer.assignment()
        for at in self._load(assigned) if assigned else []:
            at.offset = OFFSET_BEGINNING if at.offset < 0 else at.offset
            self._consumer.seek(TopicPartition(at.topic, at.partition, at.offset))
        self._release()

    def _measure_lag(self) -> None:
        for here in self._consumer.position(self._consumer.assignment()):
            low, high = self._consumer.get_watermark_offsets(here, cached=True)
            if high >= 0:
                waiting = self._buffers.get((here.topic, here.partition))
                held = len(waiting.messages) if waiting is not None else 0
                lag = high - max(here.offset, low, 0) + held
                telemetry.LAG.labels(LANE, here.topic, str(here.partition)).set(max(0, lag))


def _is_error(message: Any) -> bool:
    """Whether it is no message but an error. Raises SinkBroken for one that ends the consumer."""
    error = message.error()
    if error is None:
        return False
    if error.fatal() or error.code() == KafkaError._FATAL:
        raise SinkBroken(f"the consumer cannot go on: {error}")
    log.warning("consumer error", error=str(error))
    return True


def _by_place(messages: list[Any]) -> dict[Place, list[Any]]:
    """Messages come in runs of one partition: they are cut, not sorted one by one."""
    places: Any = zip(map(Message.topic, messages), map(Message.partition, messages), strict=True)
    found: dict[Place, list[Any]] = {}
    begin = 0
    for place, run in groupby(places):
        end = begin + sum(1 for _ in run)
        found.setdefault(place, []).extend(messages[begin:end])
        begin = end
    return found
