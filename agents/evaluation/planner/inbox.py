"""The results that the planner counts: all partitions of case-results, assigned by hand.

Where it stands is kept among the offsets of the planner's own group. They are committed with the
state, so that every result is counted into exactly one. A broker forgets the offsets of a topic
that its group does not subscribe to a week after they were committed: they are committed again
every hour, and results that are read again nevertheless count nothing, since no place waits for
them.
"""

import time
from collections.abc import Sequence
from typing import Any

import structlog
from confluent_kafka import Consumer, TopicPartition

from agents.seat import KAFKA_TIMEOUT_S, committed
from schemas.topics import Topic
from streams.kafka import KafkaConfig

RESULTS_MAX = 1000
QUEUED_KB = 16 * 1024
REFRESH_S = 3600.0
LOOK_S = 30.0
"""How often new partitions are looked for."""
log = structlog.get_logger(__name__)


class Inbox:
    """Reads from the group's committed offsets on. Every method raises KafkaException."""

    def __init__(self, kafka: KafkaConfig, group: Any) -> None:
        self._topic = kafka.topic(Topic.CASE_RESULTS)
        self._group = group
        self._positions: dict[int, int] = {}
        self._looked_s = self._committed_s = time.monotonic()
        # Only a name: the consumer that is in the group commits.
        self._consumer: Any = Consumer(
            kafka.consumer(kafka.group("planner-results"), queued_max_messages_kbytes=QUEUED_KB)
        )
        self._assign()

    def close(self) -> None:
        self._consumer.close()

    def read(self, timeout_s: float) -> list[Any]:
        """At most RESULTS_MAX; waits so long while there are fewer."""
        if time.monotonic() - self._looked_s > LOOK_S:
            self._assign()
        found = []
        for message in self._consumer.consume(RESULTS_MAX, timeout_s):
            if message.error() is None:
                found.append(message)
            else:
                log.warning("results not readable now", error=str(message.error()))
        return found

    def offsets(self, results: Sequence[Any]) -> list[TopicPartition]:
        """To commit with what these results led to: of their partitions, at times of all."""
        changed = {message.partition(): message.offset() + 1 for message in results}
        self._positions.update(changed)
        if time.monotonic() - self._committed_s > REFRESH_S:
            self._committed_s = time.monotonic()
            changed = {p: offset for p, offset in self._positions.items() if offset >= 0}
        return [TopicPartition(self._topic, p, offset) for p, offset in changed.items()]

    def _assign(self) -> None:
        self._looked_s = time.monotonic()
        found = self._consumer.list_topics(self._topic, timeout=KAFKA_TIMEOUT_S)
        fresh = sorted(found.topics[self._topic].partitions.keys() - self._positions.keys())
        if not fresh:
            return
        at = committed(self._group, [TopicPartition(self._topic, p) for p in fresh])
        self._positions.update((each.partition, each.offset) for each in at)
        self._consumer.incremental_assign(at)
