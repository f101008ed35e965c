"""Following a topic in a thread of its own, outside any consumer group: every process sees all."""

import threading
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any, Literal, Self

import structlog
from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from schemas.topics import Topic
from streams.errors import ViewFailed, ViewNotLoaded
from streams.kafka import KafkaConfig

POLL_S = 0.2
BATCH = 500
KAFKA_TIMEOUT_S = 5.0
log = structlog.get_logger(__name__)


class Follower:
    """Calls `apply` with the committed messages of a topic, in the order of each partition.

    `apply` runs in the follower's thread; what it raises ends the thread, and whoever asks the
    follower anything then gets ViewFailed.
    """

    def __init__(
        self,
        kafka: KafkaConfig,
        topic: Topic,
        apply: Callable[[Sequence[Message]], None],
        start: Literal["beginning", "end"] = "beginning",
    ) -> None:
        self.topic = kafka.topic(topic)
        self.stopping = threading.Event()
        self._apply = apply
        self._from = start
        # The group is only a name: partitions are assigned by hand and nothing is committed.
        group = kafka.group(f"follow-{topic.value}-{uuid.uuid4().hex}")
        # The client tells the end of a partition: after compaction, retention or an aborted
        # transaction no message need stand before it.
        self._config = kafka.consumer(group, enable_partition_eof=True)
        self._consumer: Any = Consumer(self._config)
        self._changed = threading.Condition()
        self._positions: dict[int, int] = {}
        self._pending: dict[int, int] | None = None
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name=f"follow-{topic.value}", daemon=True)

    def start(self) -> Self:
        """Begins to read."""
        self._thread.start()
        return self

    def close(self) -> None:
        """Ends the thread."""
        self.stopping.set()
        self._thread.join(timeout=30)

    def wait(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        """Waits until the condition holds, asked after every batch; False: not in time.

        Raises ViewFailed.
        """
        with self._changed:
            found = self._changed.wait_for(
                lambda: self._failure is not None or condition(), timeout_s
            )
        self.check()
        return found

    def check(self) -> None:
        """Raises ViewFailed when the topic is followed no longer."""
        if self._failure is not None:
            text = f"{self.topic} is followed no longer: {self._failure!r}"
            raise ViewFailed(text) from self._failure

    def wait_loaded(self, timeout_s: float) -> None:
        """Waits until everything that was there at the start is applied.

        Raises ViewNotLoaded, ViewFailed.
        """
        if not self.wait(self._is_loaded, timeout_s):
            raise ViewNotLoaded(
                f"{self.topic} could not be read to its end within {timeout_s:g} s; is Kafka "
                "reachable, and were the topics created (rheostat topics)?"
            )

    def catch_up(self, timeout_s: float) -> None:
        """Waits until everything that is committed now is applied.

        Raises ViewNotLoaded, ViewFailed.
        """
        deadline = time.monotonic() + timeout_s
        self.wait_loaded(timeout_s)
        # The follower's own connection is busy fetching: a question waits there for seconds.
        asker = Consumer(self._config)
        try:
            ends = {p: self._end(asker, p, timeout_s) for p in self._positions}
        except KafkaException as error:
            raise ViewNotLoaded(f"the end of {self.topic} is not known: {error}") from error
        finally:
            asker.close()
        reached = self.wait(
            lambda: all(self._positions[p] >= end for p, end in ends.items()),
            max(0.0, deadline - time.monotonic()),
        )
        if not reached:
            raise ViewNotLoaded(f"{self.topic} was not read to its end within {timeout_s:g} s")

    def _is_loaded(self) -> bool:
        pending = self._pending
        return pending is not None and all(self._positions[p] >= end for p, end in pending.items())

    def _run(self) -> None:
        try:
            self._assign()
            while not self.stopping.is_set():
                # A batch of `consume` would wait for its timeout until it is full.
                first = self._consumer.poll(POLL_S)
                if first is None:
                    self._notify()
                    continue
                found = [first, *self._consumer.consume(BATCH - 1, 0)]
                messages = [m for m in found if m.error() is None]
                if messages:
                    self._apply(messages)
                self._notify([m for m in found if m.error() is not None])
        except Exception as error:
            with self._changed:
                self._failure = error
                self._changed.notify_all()
            log.exception("topic is followed no longer", topic=self.topic)
        finally:
            self._consumer.close()

    def _notify(self, errors: Sequence[Message] = ()) -> None:
        parts = [TopicPartition(self.topic, p) for p in self._positions]
        here = [(at.partition, at.offset) for at in self._consumer.position(parts)]
        for message in errors:
            error = message.error()
            if error is not None and error.code() == KafkaError._PARTITION_EOF:
                here.append((message.partition() or 0, message.offset() or 0))
            else:
                log.warning("topic not readable now", topic=self.topic, error=str(error))
        with self._changed:
            for partition, offset in here:
                self._positions[partition] = max(offset, self._positions[partition])
            self._changed.notify_all()

    def _assign(self) -> None:
        while not self.stopping.is_set():
            try:
                found = self._consumer.list_topics(self.topic, timeout=KAFKA_TIMEOUT_S)
                ends = {
                    p: self._end(self._consumer, p, KAFKA_TIMEOUT_S)
                    for p in found.topics[self.topic].partitions
                }
            except KafkaException as error:
                log.warning("topic not readable yet", topic=self.topic, error=str(error))
                ends = {}
            if ends:
                at_end = self._from == "end"
                self._positions = {p: end if at_end else 0 for p, end in ends.items()}
                self._pending = ends
                self._consumer.assign(
                    [
                        TopicPartition(self.topic, p, end if at_end else OFFSET_BEGINNING)
                        for p, end in ends.items()
                    ]
                )
                return
            self.stopping.wait(POLL_S)

    def _end(self, consumer: Any, partition: int, timeout_s: float) -> int:
        """The offset after the last committed record, its transaction's marker included."""
        at = TopicPartition(self.topic, partition)
        return int(consumer.get_watermark_offsets(at, timeout=timeout_s)[1])
