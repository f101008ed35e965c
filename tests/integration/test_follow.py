"""Following a topic: all up to its end, whatever stands there, and a failure that is told."""

from collections.abc import Sequence

import pytest
from confluent_kafka import Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from infra.settings import Settings
from infra.workers import kafka_config
from schemas.topics import Topic
from streams.errors import ViewFailed, ViewNotLoaded
from streams.follow import Follower
from tests.support.servers import Kafka, wait_until

pytestmark = pytest.mark.integration


class Seen:
    def __init__(self) -> None:
        self.values: list[bytes | None] = []

    def __call__(self, messages: Sequence[Message]) -> None:
        self.values += [m.value() for m in messages]


def test_the_end_is_reached_behind_an_aborted_transaction(kafka: Kafka, settings: Settings) -> None:
    config = kafka_config(settings)
    topic = config.topic(Topic.REGISTRY)
    kafka.produce(topic, [b"1", b"2"], b"k")
    producer = Producer(config.producer(transactional_id=f"{topic}-aborted"))
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(topic, b"never", b"k")
    producer.flush(30)
    producer.abort_transaction(30)
    seen = Seen()
    follower = Follower(config, Topic.REGISTRY, seen).start()
    try:
        follower.wait_loaded(30)
        assert seen.values == [b"1", b"2"]
        kafka.produce(topic, [b"3"], b"k")
        follower.catch_up(30)
        assert seen.values == [b"1", b"2", b"3"]
        follower.catch_up(30)
    finally:
        follower.close()


def test_an_emptied_topic_is_loaded_and_its_end_followed(kafka: Kafka, settings: Settings) -> None:
    config = kafka_config(settings)
    topic = config.topic(Topic.REGISTRY_COMMANDS)
    kafka.produce(topic, [b"old"], b"k")
    admin = AdminClient(config.admin())
    [emptied] = admin.delete_records([TopicPartition(topic, 0, 1)]).values()
    emptied.result(30)
    everything, news = Seen(), Seen()
    followers = [
        Follower(config, Topic.REGISTRY_COMMANDS, everything).start(),
        Follower(config, Topic.REGISTRY_COMMANDS, news, start="end").start(),
    ]
    try:
        for follower in followers:
            follower.wait_loaded(30)
        assert everything.values == news.values == []
        kafka.produce(topic, [b"new"], b"k")
        wait_until(lambda: everything.values == news.values == [b"new"])
    finally:
        for follower in followers:
            follower.close()


def test_a_failure_reaches_whoever_waits(kafka: Kafka, settings: Settings) -> None:
    config = kafka_config(settings)

    def broken(messages: Sequence[Message]) -> None:
        raise ValueError("a bug of ours")

    follower = Follower(config, Topic.REGISTRY, broken).start()
    try:
        follower.wait_loaded(30)
        kafka.produce(config.topic(Topic.REGISTRY), [b"1"], b"k")
        with pytest.raises(ViewFailed, match="a bug of ours"):
            follower.wait(lambda: False, 30)
        with pytest.raises(ViewFailed):
            follower.check()
    finally:
        follower.close()


def test_without_its_topic_a_follower_says_so(kafka: Kafka, settings: Settings) -> None:
    config = kafka_config(settings.model_copy(update={"topic_prefix": kafka.new_prefix()}))
    follower = Follower(config, Topic.REGISTRY, Seen()).start()
    try:
        with pytest.raises(ViewNotLoaded, match="were the topics created"):
            follower.wait_loaded(1)
    finally:
        follower.close()
