"""The doctor on a real broker and the real engine: what is wrong is found, what is right is not."""

import uuid
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from infra.doctor import clickhouse as tables
from infra.doctor import kafka as brokers
from infra.doctor import machine
from infra.doctor.finding import Finding, Level
from infra.doctor.groups import LANES, LaneCheck
from infra.doctor.offsets import newest
from infra.doctor.registry import registry, schema_registry
from infra.errors import NotReachable
from infra.settings import Settings
from infra.workers import kafka_config, migrate
from schemas.topics import Topic
from sinks.clickhouse import ClickHouse
from tests.support.servers import ClickHouseServer, Kafka, free_port

pytestmark = pytest.mark.integration
STREAMS = LaneCheck(LANES[0])


def unwell(check: Callable[[Settings], Iterable[Finding]], settings: Settings) -> list[Finding]:
    return [found for found in check(settings) if found.level is not Level.OK]


def topic(settings: Settings, which: Topic) -> str:
    return kafka_config(settings).topic(which)


def member(settings: Settings, which: Topic = Topic.INFERENCE_EVENTS) -> Consumer:
    """A consumer in the group of the streams, with its partitions."""
    kafka = kafka_config(settings)
    consumer = Consumer(kafka.consumer(kafka.group("streams")))
    consumer.subscribe([topic(settings, which)])
    for _ in range(300):
        consumer.poll(0.1)
        if consumer.assignment():
            return consumer
    raise AssertionError("no partitions were assigned")


def test_a_broker_with_its_topics_is_well(settings: Settings) -> None:
    (found,) = brokers.broker(settings)
    assert "Apache Kafka 4 or compatible, 1 broker" in found.what
    assert unwell(brokers.topics, settings) == []
    assert unwell(brokers.transactions, settings) == []
    assert unwell(machine.kafka_clock, settings) == []


def test_missing_topics_are_problems(kafka: Kafka) -> None:
    bare = Settings(kafka_bootstrap=kafka.bootstrap, topic_prefix=kafka.new_prefix())
    found = unwell(brokers.topics, bare)
    assert {f.level for f in found} == {Level.PROBLEM}
    assert found[0].do == "Run: rheostat topics"


def test_a_lane_without_workers_is_a_problem(settings: Settings) -> None:
    (found,) = unwell(STREAMS, settings)
    assert (found.subject, found.level) == ("streams", Level.PROBLEM)
    assert "no worker is in the group" in found.what
    assert "rheostat worker streams" in found.do


def test_a_worker_that_does_not_read_is_stuck(kafka: Kafka, settings: Settings) -> None:
    consumer = member(settings)
    try:
        assert unwell(STREAMS, settings) == []
        kafka.produce(topic(settings, Topic.INFERENCE_EVENTS), [b"x"] * 5)
        (found,) = unwell(STREAMS, settings)
    finally:
        consumer.close()
    assert found.level is Level.PROBLEM
    assert "inference-events: 5 records behind and not moving" in found.what
    assert "logs/streams.log" in found.do


def test_transaction_markers_are_no_backlog(settings: Settings) -> None:
    name = topic(settings, Topic.INFERENCE_EVENTS)
    producer = Producer(kafka_config(settings).producer(transactional_id=uuid.uuid4().hex))
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(name, b"x", partition=0)
    producer.commit_transaction(30)
    consumer = member(settings)
    try:
        consumer.commit(offsets=[TopicPartition(name, 0, 1)], asynchronous=False)
        assert unwell(STREAMS, settings) == []
    finally:
        consumer.close()


def test_records_deleted_before_they_were_read_are_lost(kafka: Kafka, settings: Settings) -> None:
    from confluent_kafka.admin import AdminClient

    name = topic(settings, Topic.INFERENCE_EVENTS)
    kafka.produce(name, [b"x"] * 40, key=b"same")
    consumer = member(settings)
    try:
        offsets = [TopicPartition(name, p.partition, 0) for p in consumer.assignment()]
        consumer.commit(offsets=offsets, asynchronous=False)
        client = AdminClient({"bootstrap.servers": settings.bootstrap})
        ends = [
            TopicPartition(name, partition, end)
            for (_, partition), end in newest(
                client, [(name, p.partition) for p in offsets]
            ).items()
        ]
        for future in client.delete_records(ends).values():
            future.result(30)
        found = unwell(STREAMS, settings)
    finally:
        consumer.close()
    assert f"{name}: 40 records were deleted before they were read" in [f.what for f in found]


def test_an_open_transaction_holds_readers_back(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(brokers, "OPEN_S", 1.0)
    name = topic(settings, Topic.METRIC_PARTIALS)
    producer = Producer(kafka_config(settings).producer(transactional_id=uuid.uuid4().hex))
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(name, b"x", partition=1)
    assert producer.flush(30) == 0
    (found,) = unwell(brokers.transactions, settings)
    assert f"{name}/1: a transaction has been open" in found.what
    assert "find-hanging" in found.do
    producer.abort_transaction(30)
    assert unwell(brokers.transactions, settings) == []


def test_an_empty_registry_is_a_hint(settings: Settings) -> None:
    (found,) = unwell(registry, settings)
    assert (found.level, found.what) == (Level.HINT, "no model is registered")


def test_a_schema_registry_that_is_configured_must_answer(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(NotReachable, match="does not answer"):
        list(schema_registry(Settings.model_validate({"schema_registry_url": url})))
    assert unwell(schema_registry, Settings()) == []


def test_clickhouse_from_bare_to_well(clickhouse: ClickHouseServer) -> None:
    settings = Settings.model_validate({"clickhouse_url": clickhouse.url})
    client = ClickHouse(clickhouse.url)
    try:
        client.command("DROP DATABASE IF EXISTS rheostat")
        (found,) = unwell(tables.tables, settings)
        assert found.level is Level.PROBLEM
        assert "migrations are not applied: 0001_create_event_tables, 0002" in found.what
        migrate(settings)
        assert unwell(tables.tables, settings) == []
        assert unwell(tables.server, settings) == []
        assert unwell(tables.dead_letters, settings) == []
        assert unwell(machine.clickhouse_clock, settings) == []
        client.command("DROP TABLE rheostat.alerts")
        client.command(
            "INSERT INTO rheostat.dead_letters (source_topic, reason_code, rejected_at) "
            "SELECT 'inference-events', 'bad_utf8', now() FROM numbers(3)"
        )
        (gone,) = unwell(tables.tables, settings)
        assert gone.what.startswith("alerts is gone")
        (letters,) = unwell(tables.dead_letters, settings)
        assert letters.level is Level.HINT
        assert "3 in the last hour: 3 bad_utf8 on inference-events" in letters.what
    finally:
        client.command("DROP DATABASE IF EXISTS rheostat")
        migrate(settings)
        client.close()
