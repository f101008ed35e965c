"""What a broker left open of a transaction that it takes for complete: found and ended.

A broker (4.3.1) that was killed between the decision to commit and its markers was seen, after its
restart, to note the transaction as complete without ever writing them. Nobody reads behind such a
place, and the group's offsets are not told, for good. The next transaction of the same producer id
that touches the partition writes a marker there, and so ends what hangs.

It is ended as aborted. Nothing of it was ever visible, since every one of its markers was missing;
whoever wrote it is gone, or this process itself, which begins again at the committed offsets.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from schemas.topics import Topic
from streams.kafka import KafkaConfig, explain, retrying, send_offsets

STABLE_S = 12.0
"""Offsets that are not told for so long hang: a transaction of another member that is under way
takes less. Longer ones are no harm: then nothing is found that could be ended."""
KAFKA_TIMEOUT_S = 30.0
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a producer's transactions write: the group's offsets of `sources`, and `targets`."""

    group: str
    sources: Sequence[Topic]
    targets: Sequence[Topic]


def take_over(kafka: KafkaConfig, producer: Any, scope: Scope, stable_s: float = STABLE_S) -> None:
    """Fences earlier producers of this name, and ends whatever they left open.

    Raises KafkaException.
    """
    retrying(lambda: producer.init_transactions(KAFKA_TIMEOUT_S))
    consumer = Consumer(kafka.consumer(scope.group))
    try:
        places = _partitions(kafka, consumer, scope.sources)
        if _told(consumer, places, stable_s):
            return
        log.warning("offsets are not told; ending what hangs", group=scope.group)
        _sweep(producer, _partitions(kafka, consumer, scope.targets), places, consumer)
        if not _told(consumer, places, stable_s):
            log.warning("offsets are still not told: another member's hang", group=scope.group)
    finally:
        consumer.close()


def _partitions(kafka: KafkaConfig, consumer: Any, topics: Sequence[Topic]) -> list[TopicPartition]:
    found = consumer.list_topics(timeout=KAFKA_TIMEOUT_S).topics
    names = [kafka.topic(topic) for topic in topics]
    return [TopicPartition(n, p) for n in names if n in found for p in found[n].partitions]


def _told(consumer: Any, places: Sequence[TopicPartition], stable_s: float) -> bool:
    try:
        consumer.committed(list(places), timeout=stable_s)
    except KafkaException as error:
        if error.args[0].code() != KafkaError._TIMED_OUT:
            raise
        return False
    return True


def _sweep(
    producer: Any,
    targets: Sequence[TopicPartition],
    sources: Sequence[TopicPartition],
    consumer: Any,
) -> None:
    """A transaction that touches everything and is aborted."""
    producer.begin_transaction()
    for at in targets:
        producer.produce(at.topic, b"", b"swept", partition=at.partition)
    producer.flush(KAFKA_TIMEOUT_S)
    try:
        offsets = [TopicPartition(at.topic, at.partition, 0) for at in sources]
        send_offsets(producer, offsets, consumer.consumer_group_metadata(), KAFKA_TIMEOUT_S)
    except KafkaException as error:
        # The group's partition is part of the transaction before its offsets are judged.
        log.info("offsets of the sweep refused", error=explain(error))
    producer.abort_transaction(KAFKA_TIMEOUT_S)
