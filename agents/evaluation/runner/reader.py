"""The consumer of cases: their messages, their partitions, and what is committed of them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaException, TopicPartition

from agents.evaluation.runner.outgoing import Partition
from agents.evaluation.runner.progress import Progress
from agents.evaluation.runner.transactions import KAFKA_TIMEOUT_S, stop_if_fatal
from schemas.topics import Topic
from streams.kafka import KafkaConfig

TOPICS = (Topic.EVALUATION_CASES, Topic.EVALUATION_RETRIES)
COMMITTED_TIMEOUT_S = 20.0
"""Longer than a transaction may last: until a dead runner's ends, its offsets are not told."""
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Rebalance:
    """What is called, by `poll`, when partitions come and go in good order or without it."""

    assigned: Callable[[Sequence[Partition]], None]
    revoked: Callable[[frozenset[Partition]], None]
    lost: Callable[[frozenset[Partition]], None]


@dataclass(slots=True)
class CaseReader:
    """One member of the group. `instance`: the same after a restart and no other member's."""

    kafka: KafkaConfig
    group: str
    instance: str
    session_timeout_ms: int
    rebalance: Rebalance
    _consumer: Any = field(init=False)

    def __post_init__(self) -> None:
        self._consumer = Consumer(
            self.kafka.consumer(
                self.group,
                # A restarted runner is given its partitions back at once.
                group_instance_id=self.instance,
                session_timeout_ms=self.session_timeout_ms,
                heartbeat_interval_ms=self.session_timeout_ms // 4,
                queued_min_messages=1000,
                queued_max_messages_kbytes=16 * 1024,
            )
        )
        self._consumer.subscribe(
            [self.kafka.topic(topic) for topic in TOPICS],
            on_assign=lambda _, places: self.rebalance.assigned([_where(p) for p in places]),
            on_revoke=lambda _, places: self.rebalance.revoked(frozenset(map(_where, places))),
            on_lost=lambda _, places: self.rebalance.lost(frozenset(map(_where, places))),
        )

    def read(self, count: int, wait_s: float) -> Iterator[Any]:
        """At most so many messages: what is there, waiting only for the first.

        One at a time, as partitions may come and go between two of them. Raises AgentsStopped when
        the consumer cannot go on.
        """
        for _ in range(count):
            message = self._consumer.poll(wait_s)
            wait_s = 0.0
            if message is None:
                return
            if message.error() is None:
                yield message
            else:
                stop_if_fatal(message.error())
                log.warning("consumer error", error=str(message.error()))

    def committed(self, partitions: Sequence[Partition]) -> list[tuple[Partition, Progress]]:
        """As it is committed; where nothing is, the oldest record on. Raises KafkaException."""
        if not partitions:
            return []
        asked = [TopicPartition(*where) for where in partitions]
        found = []
        for at in self._consumer.committed(asked, timeout=COMMITTED_TIMEOUT_S):
            if at.error is not None:
                raise KafkaException(at.error)
            offset = at.offset
            if offset < 0:
                here = TopicPartition(at.topic, at.partition)
                offset, _ = self._consumer.get_watermark_offsets(here, timeout=KAFKA_TIMEOUT_S)
            found.append((_where(at), Progress.committed(offset, at.metadata)))
        return found

    def begin(self, found: Iterable[tuple[Partition, Progress]]) -> None:
        """Reads these partitions from there on."""
        places = [TopicPartition(*where, progress.position) for where, progress in found]
        self._consumer.incremental_assign(places)

    def hold(self, stop: Iterable[Partition], go: Iterable[Partition]) -> None:
        """Reads on from some partitions, and from others not for now."""
        if held := [TopicPartition(*where) for where in stop]:
            self._consumer.pause(held)
        if freed := [TopicPartition(*where) for where in go]:
            self._consumer.resume(freed)

    def generation(self) -> Any:
        """What a transaction needs to commit this group's offsets, fenced by generation."""
        return self._consumer.consumer_group_metadata()

    def close(self) -> None:
        """Leaves the broker; the partitions wait for this instance's return."""
        self._consumer.close()


def _where(at: Any) -> Partition:
    return at.topic, at.partition
