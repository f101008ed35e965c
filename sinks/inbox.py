"""What was read and waits to be stored: a buffer a partition, over the lane's only consumer."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import structlog
from confluent_kafka import (
    OFFSET_BEGINNING,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from sinks.buffer import Buffer
from sinks.errors import OwnershipLost, SinkBroken
from sinks.intent import Intent
from streams.telemetry import LAG

LANE = "sinks"
POLL_MESSAGES = 20_000
KAFKA_TIMEOUT_S = 30.0
LAG_TIMEOUT_S = 1.0
log = structlog.get_logger(__name__)

Place = tuple[str, int]
"""Topic name and partition."""


@dataclass(slots=True)
class Inbox:
    """Buffers of the partitions that are ours now, read by `consumer`, which is ours alone.

    Callbacks run inside `read` only.
    `lost`: what is here may not be what Kafka has committed; `rewind` cures it. Until then nothing
    more is taken in.
    """

    consumer: Any
    topics: Sequence[str]
    buffers: dict[Place, Buffer] = field(init=False, default_factory=dict)
    lost: bool = field(init=False, default=False)
    _left: set[Place] = field(init=False, default_factory=set)
    _came: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self.consumer.subscribe(
            list(self.topics),
            on_assign=self._assigned,
            on_revoke=self._revoked,
            on_lost=self._revoked,
        )

    def read(self, now_s: float, wait_s: float) -> None:
        """Takes in what arrives within `wait_s`. Raises SinkBroken when reading cannot go on."""
        self._left.clear()
        messages = self.consumer.consume(POLL_MESSAGES, wait_s)
        if self._came:
            # The client remembers that a partition was paused, also while it is away.
            self.resume()
            self._came = False
        if any(map(Message.error, messages)):
            messages = [m for m in messages if not _is_error(m)]
        by_place = _by_place(messages)
        # A partition that left and came back within the call: some of it was read twice.
        self.lost |= any(place in self.buffers for place in self._left & by_place.keys())
        for place, messages in by_place.items():
            if place in self.buffers and not self.lost:
                self.buffers[place].add(messages, now_s)

    def rewind(self) -> None:
        """Back to the committed offsets of everything assigned. Raises OwnershipLost: repeat it."""
        try:
            assigned = self.consumer.assignment()
            for at in self._load(assigned) if assigned else []:
                at.offset = OFFSET_BEGINNING if at.offset < 0 else at.offset
                self.consumer.seek(TopicPartition(at.topic, at.partition, at.offset))
        except KafkaException as error:
            raise OwnershipLost(f"the committed offsets cannot be read again: {error}") from error
        self.lost = False

    def commit(self, place: Place, offset: int, metadata: str) -> None:
        """Commits one offset and waits for it. Raises OwnershipLost, SinkBroken when replaced."""
        at = TopicPartition(place[0], place[1], offset, metadata=metadata)
        try:
            for done in self.consumer.commit(offsets=[at], asynchronous=False):
                if done.error is not None:
                    raise OwnershipLost(f"commit of {place} at {offset} refused: {done.error}")
        except KafkaException as error:
            if error.args[0].fatal():
                raise SinkBroken(f"this worker was replaced by another: {error}") from error
            raise OwnershipLost(f"commit of {place} at {offset} failed: {error}") from error

    def pause(self) -> None:
        """Stops reading and keeps the membership; partitions that come later need another call."""
        self.consumer.pause(self.consumer.assignment())

    def resume(self) -> None:
        """Reads on."""
        self.consumer.resume(self.consumer.assignment())

    def size_bytes(self) -> int:
        """What all buffers hold."""
        return sum(buffer.size_bytes for buffer in self.buffers.values())

    def measure_lag(self, ask: bool) -> None:
        """Updates the lag metric; `ask` the broker when nothing is fetched that would tell."""
        for here in self.consumer.position(self.consumer.assignment()):
            try:
                ends = (
                    self.consumer.get_watermark_offsets(here, timeout=LAG_TIMEOUT_S)
                    if ask
                    else self.consumer.get_watermark_offsets(here, cached=True)
                )
            except KafkaException as error:
                log.warning("lag not known", error=str(error))
                return
            if ends is None or ends[1] < 0:
                continue
            waiting = self.buffers.get((here.topic, here.partition))
            held = len(waiting.messages) if waiting is not None else 0
            lag = ends[1] - max(here.offset, ends[0], 0) + held
            LAG.labels(LANE, here.topic, str(here.partition)).set(max(0, lag))

    def close(self) -> None:
        """Leaves the broker; a static member's partitions wait for its return."""
        self.consumer.close()

    def _assigned(self, _: Any, partitions: Sequence[TopicPartition]) -> None:
        log.info("partitions assigned", count=len(partitions))
        self._came = True
        try:
            self._load(partitions)
        except KafkaException as error:
            log.warning("committed offsets not known yet", error=str(error))
            self.lost = True

    def _load(self, partitions: Sequence[TopicPartition]) -> list[TopicPartition]:
        """Starts buffers at the committed offsets, with the intents found there."""
        committed: list[TopicPartition] = self.consumer.committed(
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
            self.buffers[at.topic, at.partition] = Buffer(replay=intent)
        return committed

    def _revoked(self, _: Any, partitions: Sequence[TopicPartition]) -> None:
        """What was not committed is the next owner's; an intent tells it what to repeat."""
        log.info("partitions revoked", count=len(partitions))
        for at in partitions:
            self._left.add((at.topic, at.partition))
            self.buffers.pop((at.topic, at.partition), None)
            # Its lag is the next owner's to tell.
            with suppress(KeyError):
                LAG.remove(LANE, at.topic, str(at.partition))


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
