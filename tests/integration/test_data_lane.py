"""The data lane on a real broker: exactly once, through rejects, faults and rebalances."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import polars as pl
import pytest
from confluent_kafka import KafkaError, KafkaException

from infra.settings import Settings
from infra.workers import kafka_config
from schemas.catalog import committed
from schemas.topics import Topic
from schemas.wire import Codec
from streams.partials import from_record, merge
from streams.registry_view import RegistryView
from streams.source import SourceConfig
from streams.telemetry import Health
from streams.worker import HOT_TOPICS, Worker, WorkerConfig
from tests.support.events import WEEK_MS, encode, feedback, inference
from tests.support.servers import Kafka, wait_until

pytestmark = pytest.mark.integration
CODEC = Codec(committed())


def config(settings: Settings, instance: str = "w1", batch_size: int = 500) -> WorkerConfig:
    kafka = kafka_config(settings)
    name = f"{settings.topic_prefix}{instance}"
    group = kafka.group("streams")
    source = SourceConfig(kafka, HOT_TOPICS, group, name, batch_size, 50, session_timeout_ms=2000)
    return WorkerConfig(source, WEEK_MS)


@contextmanager
def running(*workers: Worker) -> Iterator[None]:
    stop = threading.Event()
    threads = [threading.Thread(target=w.run, args=(stop,)) for w in workers]
    for worker, thread in zip(workers, threads, strict=True):
        worker.registry.start()
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for worker, thread in zip(workers, threads, strict=True):
            thread.join(30)
            worker.registry.close()
            assert not thread.is_alive()


def worker(settings: Settings, instance: str = "w1", batch_size: int = 500) -> Worker:
    kafka = kafka_config(settings)
    view = RegistryView(kafka, CODEC)
    return Worker(config(settings, instance, batch_size), committed(), view, Health())


def partials(kafka: Kafka, settings: Settings) -> pl.DataFrame:
    messages = kafka.read_all(kafka_config(settings).topic(Topic.METRIC_PARTIALS))
    return merge([from_record(CODEC.decode(m.value(), "MetricPartials")).frame for m in messages])


def counted(kafka: Kafka, settings: Settings, metric: str = "error") -> int:
    return int(partials(kafka, settings).filter(pl.col("metric") == metric)["n"].sum())


def letters(kafka: Kafka, settings: Settings) -> list[dict[str, Any]]:
    messages = kafka.read_all(kafka_config(settings).topic(Topic.DEAD_LETTERS))
    return [CODEC.decode(m.value(), "DeadLetter") for m in messages]


def now_events(n: int, **changes: Any) -> list[bytes]:
    at = int(time.time() * 1000)
    return encode(
        "InferenceEvent",
        [inference(event_id=f"e-{i}", occurred_at=at, **changes) for i in range(n)],
    )


def test_good_events_count_and_bad_ones_become_dead_letters(
    kafka: Kafka, settings: Settings
) -> None:
    topic = kafka_config(settings).topic(Topic.INFERENCE_EVENTS)
    good = now_events(1200)
    bad: list[bytes | None] = [None, b"", b"\x00\x00\x00\x27\x0f rest", b"x" * 1_000_000]
    bad += now_events(1, latency_ms=-1.0) + now_events(1, quality=float("nan"))
    kafka.produce(topic, [*good[:600], *bad, *good[600:]], b"key")

    with running(worker(settings)):
        wait_until(lambda: counted(kafka, settings) == 1200)
        wait_until(lambda: len(letters(kafka, settings)) == len(bad))

    found = letters(kafka, settings)
    assert Counter(x["reason_code"] for x in found) == {
        "empty_value": 2,
        "unknown_schema": 1,
        "oversized": 1,
        "out_of_range": 1,
        "not_finite": 1,
    }
    assert {x["value"] for x in found} == {None, b"", *bad}
    assert {x["key"] for x in found} == {b"key"}
    assert len({(x["source_partition"], x["source_offset"]) for x in found}) == len(bad)
    assert {x["source_topic"] for x in found} == {topic}


def test_several_topics_share_a_worker(kafka: Kafka, settings: Settings) -> None:
    names = kafka_config(settings)
    at = int(time.time() * 1000)
    kafka.produce(names.topic(Topic.INFERENCE_EVENTS), list(now_events(50)))
    values = [feedback(occurred_at=at, observed_at=at) for _ in range(30)]
    kafka.produce(names.topic(Topic.FEEDBACK_EVENTS), list(encode("FeedbackEvent", values)))

    with running(worker(settings)):
        wait_until(lambda: counted(kafka, settings) == 50)
        wait_until(lambda: counted(kafka, settings, "thumbs_up") == 30)


def test_a_failed_transaction_is_repeated_in_the_same_process(
    kafka: Kafka, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each step of the commit fails once: what was produced before it must not count twice."""
    kafka.produce(kafka_config(settings).topic(Topic.INFERENCE_EVENTS), list(now_events(2000)))
    failing = worker(settings, batch_size=500)
    steps = iter(["send_offsets_to_transaction", "commit_transaction", "send_offsets"])

    class Breaking:
        def __init__(self, producer: Any) -> None:
            self.producer = producer
            self.breaks = next(steps, "")

        def __getattr__(self, name: str) -> Any:
            if name == self.breaks:
                self.breaks = ""
                return self._fail
            return getattr(self.producer, name)

        def _fail(self, *_: object) -> None:
            raise KafkaException(KafkaError(KafkaError._FAIL, "injected", False, False, True))

    original = failing._new_producer
    monkeypatch.setattr(Worker, "_new_producer", lambda self: Breaking(original()), raising=True)
    with running(failing):
        wait_until(lambda: counted(kafka, settings) == 2000)

    assert counted(kafka, settings) == 2000


def test_rebalances_lose_and_repeat_nothing(kafka: Kafka, settings: Settings) -> None:
    topic = kafka_config(settings).topic(Topic.INFERENCE_EVENTS)
    with running(worker(settings, "w1", 100)):
        for round_ in range(3):
            with running(worker(settings, f"w2-{round_}", 100)):
                for key in range(8):
                    kafka.produce(topic, list(now_events(200)), f"key-{key}".encode())
    with running(worker(settings, "w3")):
        wait_until(lambda: counted(kafka, settings) == 3 * 8 * 200)


def test_a_zombie_s_transaction_does_not_count(kafka: Kafka, settings: Settings) -> None:
    """A worker that comes back under the same name fences the one before it."""
    topic = kafka_config(settings).topic(Topic.INFERENCE_EVENTS)
    kafka.produce(topic, list(now_events(300)))
    zombie = worker(settings)
    zombie.registry.start()
    zombie._producer = zombie._new_producer()
    zombie._producer.init_transactions(10)
    zombie._producer.begin_transaction()
    batch = b"".join(now_events(1))
    zombie._producer.produce(kafka_config(settings).topic(Topic.METRIC_PARTIALS), batch)
    zombie._producer.flush(10)

    with running(worker(settings)):
        wait_until(lambda: counted(kafka, settings) == 300)

    with pytest.raises(KafkaException):
        zombie._producer.commit_transaction(10)
    zombie.registry.close()
    assert counted(kafka, settings) == 300
