"""Reading a stretch of metric-partials again: committed records, outside any consumer group."""

import time
import uuid
from collections.abc import Iterator

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from agents.errors import AgentsStopped, LogGone
from schemas.topics import Topic
from schemas.wire import Codec
from streams.kafka import KafkaConfig
from streams.partials import from_record
from streams.types import Partials

READ_MESSAGES = 1000
SILENT_S = 30.0
"""Kafka gives nothing for so long: it is away."""


def read(
    kafka: KafkaConfig, codec: Codec, partition: int, first: int, last: int
) -> Iterator[tuple[int, Partials]]:
    """(offset, message) from `first` to `last`, both included, in order.

    Raises LogGone when the log no longer begins before `first`, or ends before `last`;
    AgentsStopped when Kafka does not answer.
    """
    topic = kafka.topic(Topic.METRIC_PARTIALS)
    group = kafka.group(f"reproduce-{uuid.uuid4().hex}")
    consumer = Consumer(kafka.consumer(group, enable_partition_eof=True))
    try:
        _require(consumer, topic, partition, first, last)
        consumer.assign([TopicPartition(topic, partition, first)])
        heard = time.monotonic()
        while True:
            messages = consumer.consume(READ_MESSAGES, 0.5)
            if messages:
                heard = time.monotonic()
            elif time.monotonic() - heard > SILENT_S:
                raise AgentsStopped(f"{topic} gave nothing for {SILENT_S:g} s: is Kafka reachable?")
            for message in messages:
                error, offset = message.error(), message.offset() or 0
                if error is not None and error.code() != KafkaError._PARTITION_EOF:
                    continue
                if error is not None or offset > last:
                    return
                value = message.value()
                if value is not None:
                    yield offset, from_record(codec.decode(value, "MetricPartials"))
                if offset == last:
                    return
    finally:
        consumer.close()


def _require(consumer: Consumer, topic: str, partition: int, first: int, last: int) -> None:
    try:
        low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)
    except KafkaException as error:
        raise AgentsStopped(f"Kafka did not tell what {topic} holds: {error}") from error
    if low > first or high <= last:
        raise LogGone(
            f"{topic}[{partition}] holds offsets {low} to {high - 1}, and the verdict rests on "
            f"{first} to {last}"
        )
