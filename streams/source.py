"""The only consumer of the hot topics: micro-batches by size and linger, with their offsets."""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import structlog
from confluent_kafka import (
    OFFSET_BEGINNING,
    TIMESTAMP_LOG_APPEND_TIME,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from schemas.topics import Topic
from streams.errors import BatchAborted, WorkerStopped
from streams.kafka import KafkaConfig
from streams.packed import Packer
from streams.telemetry import LAG
from streams.types import Coordinates, OffsetSpan, RawBatch

LANE = "streams"
COMMITTED_TIMEOUT_S = 60.0
"""Longer than a transaction may last: until a dead worker's ends, its offsets are not told."""
TAKEN_TOGETHER = 1000
"""Messages looked at while they are in the CPU's cache; see streams.packed."""
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SourceConfig:
    """What is read and how it is cut into batches. `instance`: the same after a restart."""

    kafka: KafkaConfig
    topics: Sequence[Topic]
    group: str
    instance: str
    batch_size: int
    linger_ms: int
    session_timeout_ms: int = 10_000


def fetching(batch_size: int) -> dict[str, int]:
    """How much is fetched ahead, for `KafkaConfig.consumer`."""
    return {
        "queued_min_messages": max(100_000, 2 * batch_size),
        "queued_max_messages_kbytes": 16 * 1024,
        "fetch_max_bytes": 8 * 1024 * 1024,
        "fetch_message_max_bytes": 1024 * 1024,
    }


@dataclass(frozen=True, slots=True)
class SourceBatch:
    """Messages by topic, and the span of every source partition they came from."""

    raws: tuple[RawBatch, ...]
    spans: tuple[OffsetSpan, ...]
    oldest_ms: int

    @property
    def count(self) -> int:
        return sum(len(raw.values) for raw in self.raws)

    @property
    def positions(self) -> list[TopicPartition]:
        """Where reading goes on behind this batch."""
        return [TopicPartition(s.topic, s.partition, s.next_offset) for s in self.spans]


@dataclass(slots=True)
class Source:
    """Reads batches until closed. `rewind` after a batch that did not take effect."""

    config: SourceConfig
    _consumer: Any = field(init=False)
    _disturbed: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        config = self.config
        self._consumer = Consumer(
            config.kafka.consumer(
                config.group,
                # A static member keeps its partitions through a restart: no rebalance, no wait.
                group_instance_id=config.instance,
                session_timeout_ms=config.session_timeout_ms,
                heartbeat_interval_ms=config.session_timeout_ms // 4,
                **fetching(config.batch_size),
            )
        )
        self._consumer.subscribe(
            [config.kafka.topic(t) for t in config.topics],
            on_assign=self._assigned,
            on_revoke=self._revoked,
            on_lost=self._revoked,
        )

    def poll(self) -> SourceBatch | None:
        """The next batch, None when the linger passed without a message.

        When partitions left during the call, the batch is dropped and read again: it may hold
        messages that now belong to another worker. Raises BatchAborted when that fails for now,
        WorkerStopped when the consumer cannot go on.
        """
        self._disturbed = False
        piles: dict[str, _Pile] = {}
        room, until = self.config.batch_size, time.monotonic() + self.config.linger_ms / 1000
        while room > 0:
            left_s = max(0.0, until - time.monotonic())
            messages = self._consumer.consume(min(TAKEN_TOGETHER, room), left_s)
            room -= len(messages)
            if any(map(Message.error, messages)):
                messages = [m for m in messages if not self._is_error(m)]
            _pile_up(messages, piles)
            if not messages and time.monotonic() >= until:
                break
        if self._disturbed:
            self.rewind()
            return None
        return _batch(piles) if piles else None

    def rewind(self) -> None:
        """Goes back to the committed offsets of everything assigned.

        Raises BatchAborted when Kafka does not say or do it now: then it has to be repeated.
        """
        try:
            assigned = self._consumer.assignment()
            committed = assigned and self._consumer.committed(assigned, COMMITTED_TIMEOUT_S)
            for at in committed:
                if at.error is not None:
                    raise KafkaException(at.error)
                if at.offset < 0:
                    at.offset = OFFSET_BEGINNING
                self._consumer.seek(at)
        except KafkaException as error:
            raise BatchAborted(f"cannot go back to the committed offsets: {error}") from error

    def group_metadata(self) -> Any:
        """What a transaction needs to commit this group's offsets, fenced by generation."""
        return self._consumer.consumer_group_metadata()

    def measure_lag(self) -> None:
        """Updates the lag metric from what the client knows; asks no broker."""
        for here in self._consumer.position(self._consumer.assignment()):
            low, high = self._consumer.get_watermark_offsets(here, cached=True)
            if high >= 0:
                lag = high - max(here.offset, low, 0)
                LAG.labels(LANE, here.topic, str(here.partition)).set(max(0, lag))

    def close(self) -> None:
        """Leaves the broker; a static member's partitions wait for its return."""
        self._consumer.close()

    def _assigned(self, _: Any, partitions: Sequence[TopicPartition]) -> None:
        log.info("partitions assigned", partitions=_names(partitions))

    def _revoked(self, _: Any, partitions: Sequence[TopicPartition]) -> None:
        self._disturbed = True
        log.info("partitions revoked", partitions=_names(partitions))
        for at in partitions:
            # Its lag is the next owner's to tell.
            with suppress(KeyError):
                LAG.remove(LANE, at.topic, str(at.partition))

    def _is_error(self, message: Any) -> bool:
        error = message.error()
        if error is None:
            return False
        if error.fatal() or error.code() == KafkaError._FATAL:
            raise WorkerStopped(f"the consumer cannot go on: {error}")
        log.warning("consumer error", error=str(error))
        return True


def _names(partitions: Sequence[TopicPartition]) -> list[str]:
    return [f"{p.topic}[{p.partition}]" for p in partitions]


@dataclass(slots=True)
class _Pile:
    """Messages of one topic in the order they came, so that offsets grow in every partition."""

    messages: list[Any] = field(default_factory=list)
    partitions: list[npt.NDArray[np.int32]] = field(default_factory=list)
    packer: Packer = field(default_factory=Packer)

    def add(self, messages: list[Any]) -> None:
        self.messages += messages
        self.partitions.append(
            np.fromiter(map(Message.partition, messages), np.int32, len(messages))
        )
        self.packer.add(list(map(Message.value, messages)))


def _pile_up(messages: list[Any], piles: dict[str, _Pile]) -> None:
    topics: set[Any] = set(map(Message.topic, messages))
    for topic in topics:
        alone = len(topics) == 1
        own = messages if alone else [m for m in messages if m.topic() == topic]
        piles.setdefault(topic, _Pile()).add(own)


def _batch(piles: Mapping[str, _Pile]) -> SourceBatch:
    parts = [_topic_batch(topic, piles[topic]) for topic in sorted(piles)]
    return SourceBatch(
        raws=tuple(raw for raw, _ in parts),
        spans=tuple(span for _, spans in parts for span in spans),
        oldest_ms=min(raw.oldest_ms for raw, _ in parts),
    )


def _topic_batch(topic: str, pile: _Pile) -> tuple[RawBatch, list[OffsetSpan]]:
    """One topic's messages; they keep their order, so a partition's first and last bound it."""
    messages, partitions = pile.messages, np.concatenate(pile.partitions)
    ends = [
        (p, *_first_and_last(partitions == p))
        for p in np.flatnonzero(np.bincount(partitions)).tolist()
    ]
    spans = [OffsetSpan(topic, p, messages[a].offset(), messages[b].offset()) for p, a, b in ends]
    values = pile.packer.packed()
    return raw_batch(topic, messages, [(a, b) for _, a, b in ends], values), spans


def _first_and_last(mask: npt.NDArray[np.bool_]) -> tuple[int, int]:
    return int(mask.argmax()), len(mask) - 1 - int(mask[::-1].argmax())


def raw_batch(
    topic: str,
    messages: Sequence[Any],
    ends: Sequence[tuple[int, int]],
    values: Sequence[bytes | None] | None = None,
) -> RawBatch:
    """Messages of one topic. `ends`: places of the first and last message of every partition.

    `values`: the messages' values, if somebody has taken them out already.
    """
    oldest, newest = _time_bounds(messages, ends)

    def locate(i: int) -> Coordinates:
        m = messages[i]
        return Coordinates(m.partition(), m.offset(), m.timestamp()[1], m.key())

    if values is None:
        values = list(map(Message.value, messages))
    return RawBatch(topic, values, locate, oldest, newest)


def _time_bounds(messages: Sequence[Any], ends: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Bounds of the timestamps. The broker's own grow with the offset: the ends are enough."""
    edges = [messages[i].timestamp() for a, b in ends for i in (a, b)]
    if any(kind != TIMESTAMP_LOG_APPEND_TIME for kind, _ in edges):
        edges = list(map(Message.timestamp, messages))
    times = [moment for _, moment in edges]
    return min(times), max(times)
