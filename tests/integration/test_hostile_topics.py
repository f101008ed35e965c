"""What should not be in our topics: foreign messages, topics made anew, batches that are gone."""

import time
from datetime import UTC, datetime
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # re-exported at run time
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from infra.settings import Settings
from infra.topics import ensure
from infra.workers import kafka_config
from schemas.catalog import WriterSchema, committed
from schemas.convert import to_record
from schemas.entities import Model, Price
from schemas.records import Alert, RegistryFact
from schemas.topics import Topic
from schemas.wire import Codec
from sinks.errors import SinkBroken
from sinks.intent import Intent
from sinks.writer import Writer
from streams import telemetry
from streams.errors import StreamError
from streams.registry_view import RegistryView
from streams.worker import Worker
from tests.support import fuse
from tests.support.events import encode, inference
from tests.support.lanes import CODEC, Lanes, now_ms, running
from tests.support.servers import ClickHouseServer, Kafka, wait_until

pytestmark = pytest.mark.integration


@pytest.fixture
def lanes(kafka: Kafka, settings: Settings, clickhouse: ClickHouseServer) -> Lanes:
    return Lanes.create(kafka, settings, clickhouse)


def events(count: int) -> list[tuple[bytes | None, bytes | None]]:
    values = [inference(event_id=f"e-{i}", occurred_at=now_ms()) for i in range(count)]
    return [(b"one", message) for message in encode("InferenceEvent", values)]


def alert() -> bytes:
    raised = datetime.fromtimestamp(int(time.time()), UTC)
    value = Alert("a-1", "acme", raised, "lag", "info", "a test")
    return CODEC.encode("Alert", to_record(value))


def fact(model: Model) -> bytes:
    value = RegistryFact(1, "test", datetime.now(UTC), "c-1", model)
    return CODEC.encode("RegistryFact", to_record(value))


FOREIGN = [
    b"junk",
    b"",
    b"\x00\x00\x00\xff\xffabc",
    b"\x00\x00\x00\x00\x07\xff\xff",
    *(encode("InferenceEvent", [inference()])),
]
"""No wire format, no value, no known schema, a known one with a broken body, another record."""


def test_foreign_messages_in_control_topics_are_skipped_and_counted(lanes: Lanes) -> None:
    """Anyone may have written them; ours behind them are stored."""
    for topic in (Topic.ALERTS, Topic.AB_VERDICTS, Topic.SELECTION_UPDATES, Topic.DEAD_LETTERS):
        lanes.produce(topic, [(b"k", value) for value in FOREIGN])
    lanes.produce(Topic.REGISTRY, [(b"\xff/model", value) for value in FOREIGN])
    lanes.produce(Topic.ALERTS, [(b"k", alert())])
    model = Model("acme", "small", "1", "us", ("chat",))
    lanes.produce(Topic.REGISTRY, [(model.key.encode(), fact(model))])

    with running(lanes.writer()) as died:
        wait_until(lambda: bool(died) or lanes.count("alerts") + lanes.count("registry") >= 2)
        wait_until(lambda: bool(died) or skipped(lanes) >= 5 * len(FOREIGN))
    assert died == []
    assert skipped(lanes) == 5 * len(FOREIGN)
    assert (lanes.count("alerts"), lanes.count("registry")) == (1, 1)
    assert lanes.count("dead_letters") == 0


def skipped(lanes: Lanes) -> float:
    """What the metric of skipped messages says of these topics."""
    found = [s for m in telemetry.SKIPPED.collect() for s in m.samples if s.name.endswith("_total")]
    return sum(s.value for s in found if s.labels["topic"].startswith(lanes.settings.topic_prefix))


def test_foreign_partials_are_skipped_and_unreadable_ones_stop_the_sink(lanes: Lanes) -> None:
    """Skipping what one of ours may have written would lose counts without a trace."""
    foreign = [b"junk", b"", *encode("InferenceEvent", [inference()])]
    lanes.produce(Topic.METRIC_PARTIALS, [(b"k", value) for value in foreign])
    lanes.produce(Topic.INFERENCE_EVENTS, events(20))
    with running(lanes.worker(), lanes.writer()) as died:
        wait_until(lambda: bool(died) or lanes.panes() >= 20)
    assert died == []
    assert lanes.panes() == 20

    ((_, offset),) = lanes.produce(Topic.METRIC_PARTIALS, [(b"k", b"\x00\x00\x00\x00\x04\xff")])
    with running(lanes.writer()) as died:
        wait_until(lambda: bool(died))
    assert isinstance(died[0], SinkBroken)
    assert f"offset {offset} cannot be read" in str(died[0])
    assert f"move their group to offset {offset + 1}" in str(died[0])


def test_a_topic_that_was_made_anew_loses_no_rows(lanes: Lanes) -> None:
    """Its offsets count from 0 again: the same ends, and other rows."""
    admin = AdminClient({"bootstrap.servers": lanes.kafka.bootstrap})
    name = lanes.topic(Topic.INFERENCE_EVENTS)
    store(lanes, 40, expected=40)
    for future in admin.delete_topics([name]).values():
        future.result(30)
    wait_until(lambda: name not in admin.list_topics(timeout=10).topics)
    ensure(lanes.settings)
    store(lanes, 40, expected=80)


def store(lanes: Lanes, count: int, expected: int) -> None:
    lanes.produce(Topic.INFERENCE_EVENTS, events(count))
    with running(lanes.writer()) as died:
        wait_until(lambda: bool(died) or lanes.count("inference_events") >= expected)
    assert died == []
    assert lanes.count("inference_events") == expected


def test_an_intended_batch_that_retention_took_is_no_end(lanes: Lanes) -> None:
    """The sink died behind its intent and was away for longer than the topic keeps."""
    places = lanes.produce(Topic.INFERENCE_EVENTS, events(30))
    partition = places[0][0]
    name = lanes.topic(Topic.INFERENCE_EVENTS)
    group = kafka_config(lanes.settings).group("sinks")
    dead = Consumer({"bootstrap.servers": lanes.kafka.bootstrap, "group.id": group})
    intent = Intent.new(0, 19)
    dead.commit(
        offsets=[TopicPartition(name, partition, 0, metadata=intent.encode())], asynchronous=False
    )
    dead.close()
    admin = AdminClient({"bootstrap.servers": lanes.kafka.bootstrap})
    for future in admin.delete_records([TopicPartition(name, partition, 25)]).values():
        future.result(30)

    with running(lanes.writer()) as died:
        wait_until(lambda: bool(died) or lanes.count("inference_events") >= 5)
        lanes.produce(Topic.INFERENCE_EVENTS, events(10))
        wait_until(lambda: bool(died) or lanes.count("inference_events") >= 15)
    assert died == []
    assert lanes.count("inference_events") == 15
    assert lanes.count("inference_events", "min(src_offset)") == 25


class Buggy:
    """A catalogue with a bug of ours in it."""

    def by_id(self, schema_id: int) -> WriterSchema | None:
        raise RuntimeError("a bug of ours")

    def newest(self, record: str) -> WriterSchema:
        return committed().newest(record)


def test_a_bug_of_ours_stops_the_lanes_and_files_nothing(lanes: Lanes) -> None:
    lanes.produce(Topic.INFERENCE_EVENTS, events(10))
    assert isinstance(death_of(lanes.worker(catalog=Buggy())), RuntimeError)
    assert isinstance(death_of(lanes.writer(catalog=Buggy())), RuntimeError)
    assert lanes.letters() == []
    with running(lanes.worker(), lanes.writer()) as died:
        wait_until(lambda: bool(died) or lanes.panes() >= 10)
        wait_until(lambda: bool(died) or lanes.count("inference_events") >= 10)
    assert died == []
    assert lanes.panes() == lanes.count("inference_events") == 10


def death_of(part: Worker | Writer) -> BaseException:
    with running(part) as died:
        wait_until(lambda: bool(died))
    return died[0]


def test_a_view_that_died_stops_the_worker_instead_of_freezing_prices(lanes: Lanes) -> None:
    worker = lanes.worker()
    worker.registry = RegistryView(kafka_config(lanes.settings), Codec(Buggy()))
    with running(worker) as died:
        wait_until(lambda: bool(died) or not worker.health.not_ready())
        model = Model("acme", "small", "1", "us", ("chat",))
        lanes.produce(Topic.REGISTRY, [(model.key.encode(), fact(model))])
        lanes.produce(Topic.INFERENCE_EVENTS, events(10))
        wait_until(lambda: bool(died) or died_soon(lanes))
    assert isinstance(died[0], StreamError)


def died_soon(lanes: Lanes) -> bool:
    """More events, so that the worker asks for prices again."""
    lanes.produce(Topic.INFERENCE_EVENTS, events(1))
    time.sleep(0.3)
    return False


def test_a_registry_topic_that_was_emptied_is_read_to_its_end(lanes: Lanes) -> None:
    """Its end is not 0, and no message stands before it."""
    lanes.produce(Topic.REGISTRY, [(b"k", b"junk"), (b"\xff\xfe", b"junk"), (b"k", None)])
    kafka = kafka_config(lanes.settings)
    with RegistryView(kafka, CODEC) as view:
        assert view.wait_loaded(30).models == {}
    admin = AdminClient({"bootstrap.servers": lanes.kafka.bootstrap})
    name = lanes.topic(Topic.REGISTRY)
    for result in admin.incremental_alter_configs([_deletable(name)]).values():
        result.result(30)
    for future in admin.delete_records([TopicPartition(name, 0, 3)]).values():
        future.result(30)
    with RegistryView(kafka, CODEC) as view:
        assert view.wait_loaded(30).models == {}


def _deletable(name: str) -> ConfigResource:
    operation = AlterConfigOpType.SET
    entry = ConfigEntry("cleanup.policy", "delete", incremental_operation=operation)
    return ConfigResource(ResourceType.TOPIC, name, incremental_configs=[entry])


def test_a_fact_with_an_absurd_price_is_skipped_and_the_lane_goes_on(lanes: Lanes) -> None:
    when = datetime(2024, 1, 1, tzinfo=UTC)
    model = Model("acme", "small", "1", "us", ("chat",), prices=(Price(when, 1e300, 1.0),))
    lanes.produce(Topic.REGISTRY, [(model.key.encode(), fact(model))])
    lanes.produce(Topic.INFERENCE_EVENTS, events(10))
    with running(lanes.worker()) as died:
        wait_until(lambda: bool(died) or lanes.counted() >= 10)
    assert died == []
    assert lanes.counted("cost_usd") == 0


def test_two_reads_of_one_partition_in_one_call_are_read_again(lanes: Lanes) -> None:
    """A partition that left and came back while messages were being read."""
    lanes.produce(Topic.INFERENCE_EVENTS, events(50))
    sink = lanes.writer()
    flips: list[Any] = []

    def client(config: dict[str, Any]) -> Any:
        flips.append(Flip(Consumer(config)))
        return flips[0]

    sink.client = client
    with running(sink) as died:
        wait_until(lambda: bool(died) or lanes.count("inference_events") >= 50)
    assert died == []
    assert flips[0].flipped
    assert lanes.count("inference_events") == 50


class Flip:
    """A consumer that, once it read something, says that all of it left and came back."""

    def __init__(self, consumer: Consumer) -> None:
        self.consumer, self.flipped = consumer, False
        self.callbacks: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.consumer, name)

    def subscribe(self, topics: list[str], **callbacks: Any) -> None:
        self.callbacks = callbacks
        self.consumer.subscribe(topics, **callbacks)

    def consume(self, most: int, timeout_s: float) -> list[Any]:
        messages = self.consumer.consume(most, timeout_s)
        if messages and not self.flipped:
            self.flipped = True
            mine = self.consumer.assignment()
            self.callbacks["on_lost"](self.consumer, mine)
            self.callbacks["on_assign"](self.consumer, mine)
            return [*messages, *messages]
        return messages


def test_the_intent_outlives_a_crash_and_other_limits(lanes: Lanes) -> None:
    """The successor reads in smaller pieces; the batch stays what the intent says."""
    lanes.produce(Topic.INFERENCE_EVENTS, events(500))
    dying = lanes.writer()
    dying.clickhouse = fuse.Fused(dying.clickhouse, "insert", 0, "after", fuse.crash)  # type: ignore[assignment]
    with running(dying) as died:
        wait_until(lambda: bool(died))
    stored = lanes.count("inference_events")
    with running(lanes.writer(buffered_bytes_max=1)) as died:
        lanes.produce(Topic.INFERENCE_EVENTS, events(100))
        wait_until(lambda: bool(died) or lanes.count("inference_events") >= 600)
    assert died == []
    assert 0 < stored <= 500
    assert lanes.count("inference_events", "uniqExact(src_partition, src_offset)") == 600
    assert lanes.count("inference_events") == 600
