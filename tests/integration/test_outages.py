"""A server goes away while events flow: nothing is lost, counted twice or hidden."""

from pathlib import Path

import pytest

from infra.settings import Settings
from infra.topics import ensure
from schemas.catalog import committed
from schemas.registry_catalog import RegistryCatalog
from schemas.topics import Topic
from schemas.wire import Codec
from streams import telemetry
from tests.support.events import encode, inference
from tests.support.lanes import Lanes, now_ms, running
from tests.support.processes import own_server
from tests.support.schema_registry import schema_registry
from tests.support.servers import ClickHouseServer, Kafka, wait_until

pytestmark = pytest.mark.integration


def send(lanes: Lanes, count: int, codec: Codec | None = None) -> None:
    values = [inference(event_id=f"e-{i}", occurred_at=now_ms()) for i in range(count)]
    if codec is None:
        messages = encode("InferenceEvent", values)
    else:
        messages = [codec.encode("InferenceEvent", value) for value in values]
    keyed = [(f"k{i % 8}".encode(), message) for i, message in enumerate(messages)]
    lanes.produce(Topic.INFERENCE_EVENTS, keyed)


def compare(lanes: Lanes, count: int) -> None:
    """Every count that a reader of ClickHouse sees."""
    assert lanes.count("inference_events") == count
    assert lanes.count("inference_events", "uniqExact(src_partition, src_offset)") == count
    assert lanes.panes() == lanes.panes("latency_ms") == count
    assert lanes.count("metric_hours", "sum(n)", "metric = 'error'") == count
    assert lanes.count("dead_letters") == 0


def lag(lanes: Lanes, topic: Topic) -> float:
    """What the storage lane says it still has to store of a topic."""
    name = lanes.topic(topic)
    found = [s for m in telemetry.LAG.collect() for s in m.samples]
    mine = [s for s in found if s.labels["topic"] == name and s.labels["lane"] == "sinks"]
    return sum(s.value for s in mine)


def test_clickhouse_is_killed_and_comes_back(
    kafka: Kafka, settings: Settings, tmp_path: Path
) -> None:
    """The data lane goes on; the sink waits, reads no further, tells its lag, and catches up."""
    with own_server("clickhouse", tmp_path) as server:
        lanes = Lanes.create(kafka, settings, ClickHouseServer(server.url))
        sink = lanes.writer()
        with running(lanes.worker(), sink) as died:
            send(lanes, 300)
            wait_until(lambda: bool(died) or lanes.panes() >= 300)
            server.kill()
            send(lanes, 300)
            wait_until(lambda: bool(died) or "sinks" in sink.health.not_ready())
            send(lanes, 5_000)
            wait_until(lambda: bool(died) or lanes.counted() >= 5_600)
            wait_until(lambda: bool(died) or lag(lanes, Topic.INFERENCE_EVENTS) >= 5_000)
            held = sum(len(b.messages) for b in sink._inbox.buffers.values())
            assert held <= 700  # the batches before the pause, with their partials
            assert "sinks" in sink.health.not_ready()
            server.start()
            wait_until(lambda: bool(died) or lanes.panes() >= 5_600)
            wait_until(lambda: bool(died) or lanes.count("inference_events") >= 5_600)
            wait_until(lambda: bool(died) or not sink.health.not_ready())
            wait_until(lambda: bool(died) or lag(lanes, Topic.INFERENCE_EVENTS) == 0)
        assert died == []
        compare(lanes, 5_600)


@pytest.mark.chaos
def test_the_broker_is_killed_and_comes_back(clickhouse: ClickHouseServer, tmp_path: Path) -> None:
    """Both lanes outlive it in their processes."""
    with own_server("kafka", tmp_path) as broker:
        settings = Settings(kafka_bootstrap=broker.address, topic_prefix="b-", data_dir=tmp_path)
        ensure(settings)
        lanes = Lanes.create(Kafka(broker.address), settings, clickhouse)
        with running(lanes.worker(batch_size=50), lanes.writer()) as died:
            for _ in range(2):
                send(lanes, 500)
                broker.kill()
                broker.start()
                send(lanes, 500)
            wait_until(lambda: bool(died) or lanes.panes() >= 2_000, 120)
            wait_until(lambda: bool(died) or lanes.count("inference_events") >= 2_000, 120)
        assert died == []
        compare(lanes, 2_000)


def test_an_absent_schema_registry_files_nothing(
    kafka: Kafka, settings: Settings, clickhouse: ClickHouseServer
) -> None:
    """Nothing is wrong with the messages: both lanes wait, then store them."""
    lanes = Lanes.create(kafka, settings, clickhouse)
    with schema_registry() as registry:
        codec = Codec(RegistryCatalog(registry.url, committed(), settings.topic_prefix))
        send(lanes, 50, codec)
        own = RegistryCatalog(registry.url, committed(), settings.topic_prefix)
        again = RegistryCatalog(registry.url, committed(), settings.topic_prefix)
        registry.fault = 503
        worker, sink = lanes.worker(catalog=own), lanes.writer(catalog=again)
        with running(worker, sink) as died:
            wait_until(lambda: bool(died) or "503" in str(worker.health.not_ready()))
            wait_until(lambda: bool(died) or "503" in str(sink.health.not_ready()))
            wait_until(lambda: bool(died) or registry.asked.total() > 5)
            registry.fault = None
            wait_until(lambda: bool(died) or lanes.count("inference_events") >= 50)
            wait_until(lambda: bool(died) or lanes.panes() >= 50)
        assert died == []
    compare(lanes, 50)
