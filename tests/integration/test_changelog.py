"""The agents' changelogs on a real broker: read whole, and to an end that holds no record."""

import pytest
from confluent_kafka import Producer

from agents import changelog
from infra.settings import Settings
from infra.workers import kafka_config

pytestmark = pytest.mark.integration


def test_the_last_value_of_every_key_by_partition_and_book(settings: Settings) -> None:
    kafka = kafka_config(settings)
    changelog.ensure(kafka, ["one", "two"], 2, 1)
    producer = Producer(kafka.producer())
    for value in (b"old", b"new"):
        producer.produce(changelog.topic_of(kafka, "one"), value, b"kept", partition=0)
        producer.produce(changelog.topic_of(kafka, "one"), value, b"deleted", partition=0)
    producer.produce(changelog.topic_of(kafka, "one"), None, b"deleted", partition=0)
    producer.produce(changelog.topic_of(kafka, "two"), b"other", b"kept", partition=1)
    assert producer.flush(30) == 0
    assert changelog.read(kafka, ["one", "two"], [0, 1]) == {
        0: {"one": [(b"kept", b"new")], "two": []},
        1: {"one": [], "two": [(b"kept", b"other")]},
    }


def test_an_end_without_a_record_before_it_is_an_end(settings: Settings) -> None:
    """Compaction leaves such ends too; an aborted transaction makes one at once."""
    kafka = kafka_config(settings)
    changelog.ensure(kafka, ["one"], 1, 1)
    producer = Producer(kafka.producer(transactional_id=f"{settings.topic_prefix}aborted"))
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(changelog.topic_of(kafka, "one"), b"undone", b"key", partition=0)
    producer.flush(30)
    producer.abort_transaction(30)
    assert changelog.read(kafka, ["one"], [0]) == {0: {"one": []}}
