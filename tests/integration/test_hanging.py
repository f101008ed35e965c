"""A producer that takes over looks for what hangs; looking and sweeping leave nothing behind.

A real hang is a broker's fault and cannot be made at will; the open transaction of somebody else
looks the same to whoever asks for the group's offsets.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from infra.settings import Settings
from infra.workers import kafka_config
from schemas.topics import Topic
from streams.hanging import Scope, take_over
from streams.kafka import KafkaConfig
from tests.support.servers import Kafka, wait_until

pytestmark = pytest.mark.integration
READ, WRITTEN = (Topic.EVALUATION_CASES,), (Topic.CASE_RESULTS, Topic.EVALUATION_RETRIES)


def producer(kafka: KafkaConfig, name: str) -> Any:
    return Producer(kafka.producer(transactional_id=f"{kafka.topic_prefix}{name}"))


def ends(kafka: KafkaConfig) -> list[int]:
    """Of every partition of the topics that are written, once they are all led."""
    consumer = Consumer(kafka.consumer(kafka.group("reader")))
    found: list[int] = []

    def told() -> bool:
        topics = consumer.list_topics(timeout=10).topics
        places = [(n, p) for n in map(kafka.topic, WRITTEN) for p in topics[n].partitions]
        with suppress(KafkaException):
            found[:] = [
                consumer.get_watermark_offsets(TopicPartition(*at), timeout=10)[1] for at in places
            ]
        return bool(found)

    try:
        wait_until(told)
        return found
    finally:
        consumer.close()


def offset(kafka: KafkaConfig, group: str, timeout_s: float = 10.0) -> int:
    """The group's committed offset of the first partition."""
    consumer = Consumer(kafka.consumer(group))
    try:
        [at] = consumer.committed([first(kafka)], timeout=timeout_s)
        return int(at.offset)
    finally:
        consumer.close()


def first(kafka: KafkaConfig, at: int = 0) -> TopicPartition:
    return TopicPartition(kafka.topic(Topic.EVALUATION_CASES), 0, at)


def commit(kafka: KafkaConfig, name: str, group: str, at: int) -> Any:
    """A producer with an open transaction that moves the group's offset."""
    mine = producer(kafka, name)
    mine.init_transactions(10)
    mine.begin_transaction()
    consumer = Consumer(kafka.consumer(group))
    mine.send_offsets_to_transaction([first(kafka, at)], consumer.consumer_group_metadata(), 10)
    consumer.close()
    return mine


@contextmanager
def scoped(settings: Settings) -> Iterator[tuple[KafkaConfig, Scope]]:
    kafka = kafka_config(settings)
    group = kafka.group("runner")
    commit(kafka, "before", group, 7).commit_transaction(10)
    yield kafka, Scope(group, READ, WRITTEN)


def test_where_nothing_hangs_nothing_is_written(settings: Settings) -> None:
    with scoped(settings) as (kafka, scope):
        before = ends(kafka)
        take_over(kafka, producer(kafka, "one"), scope)
        assert ends(kafka) == before
        assert offset(kafka, scope.group) == 7


def test_what_a_predecessor_left_open_is_ended(settings: Settings) -> None:
    with scoped(settings) as (kafka, scope):
        left = commit(kafka, "one", scope.group, 9)
        with pytest.raises(KafkaException):
            offset(kafka, scope.group, 1.0)
        take_over(kafka, producer(kafka, "one"), scope)
        assert offset(kafka, scope.group) == 7
        with pytest.raises(KafkaException):
            left.commit_transaction(10)


def test_a_sweep_touches_every_partition_and_shows_and_moves_nothing(
    kafka: Kafka, settings: Settings
) -> None:
    with scoped(settings) as (config, scope):
        before = ends(config)
        other = commit(config, "other", scope.group, 9)
        mine = producer(config, "one")
        take_over(config, mine, scope, stable_s=1.0)
        after = ends(config)
        assert all(now > then for now, then in zip(after, before, strict=True))
        for topic in WRITTEN:
            assert list(kafka.read_all(config.topic(topic))) == []
        other.abort_transaction(10)
        assert offset(config, scope.group) == 7
        mine.begin_transaction()
        mine.produce(config.topic(Topic.CASE_RESULTS), b"real", b"k")
        mine.commit_transaction(10)
        assert [m.value() for m in kafka.read_all(config.topic(Topic.CASE_RESULTS))] == [b"real"]


def test_another_s_transaction_is_left_alone(settings: Settings) -> None:
    with scoped(settings) as (kafka, scope):
        other = commit(kafka, "other", scope.group, 9)
        take_over(kafka, producer(kafka, "one"), scope, stable_s=1.0)
        other.commit_transaction(10)
        assert offset(kafka, scope.group) == 9
