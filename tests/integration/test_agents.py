"""The control lane on a real broker: partials in, selection updates out, exact through kill -9."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from confluent_kafka import Producer

from infra.settings import Settings
from infra.workers import kafka_config
from schemas.catalog import committed
from schemas.entities import Entity, Model, SelectionPolicy
from schemas.topics import Topic
from schemas.wire import Codec
from tests.support.events import NOW_MS, inference
from tests.support.partials import messages
from tests.support.registry import apply_registry
from tests.support.servers import Kafka, wait_until

pytestmark = pytest.mark.integration
CODEC = Codec(committed())
ORGS = tuple(f"org-{i}" for i in range(6))
ENTITIES: tuple[Entity, ...] = tuple(
    entity
    for org in ORGS
    for entity in (
        Model(org, "small", "1", "us", ("chat",)),
        Model(org, "large", "1", "us", ("chat",)),
        SelectionPolicy(org, "chat", min_samples=5),
    )
)


@contextmanager
def worker(settings: Settings, name: str = "agents") -> Iterator["subprocess.Popen[bytes]"]:
    process = start(settings, name)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def start(settings: Settings, name: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "infra", "worker", "agents"],
        env={
            **os.environ,
            "RHEOSTAT_KAFKA_BOOTSTRAP": str(settings.kafka_bootstrap),
            "RHEOSTAT_TOPIC_PREFIX": settings.topic_prefix,
            "RHEOSTAT_DATA_DIR": str(settings.data_dir),
            "RHEOSTAT_METRICS_PORT": "0",
            "RHEOSTAT_WORKER_NAME": name,
        },
    )


def send(settings: Settings, rounds: int, each: int = 5, aborted: bool = False) -> int:
    """Partials of `each` events for two models of every organisation; how many events."""
    kafka = kafka_config(settings)
    producer = Producer(kafka.producer(transactional_id=f"{settings.topic_prefix}test"))
    producer.init_transactions(30)
    for number in range(rounds):
        events = [
            inference(org_id=org, model_id=model, occurred_at=NOW_MS - 1000 * number, quality=0.5)
            for org in ORGS
            for model in ("small", "large")
            for _ in range(each)
        ]
        producer.begin_transaction()
        for out in messages(events):
            assert out.partition is not None
            producer.produce(
                kafka.topic(Topic.METRIC_PARTIALS), out.value, out.key, partition=out.partition
            )
        if aborted:
            producer.flush(30)
            producer.abort_transaction(30)
        else:
            producer.commit_transaction(30)
    return 0 if aborted else rounds * each * len(ORGS) * 2


def updates(kafka: Kafka, settings: Settings) -> dict[str, dict[str, Any]]:
    """The newest selection of every place."""
    topic = kafka_config(settings).topic(Topic.SELECTION_UPDATES)
    return {
        m.key().decode(): CODEC.decode(m.value(), "SelectionUpdate") for m in kafka.read_all(topic)
    }


def samples(kafka: Kafka, settings: Settings) -> int:
    found = updates(kafka, settings).values()
    return sum(c["samples"] for update in found for c in update["candidates"])


def _reached(kafka: Kafka, settings: Settings, count: int) -> bool:
    return samples(kafka, settings) >= count


def test_partials_in_selections_out_and_aborted_ones_do_not_count(
    kafka: Kafka, settings: Settings
) -> None:
    apply_registry(settings, ENTITIES)
    send(settings, rounds=3, aborted=True)
    sent = send(settings, rounds=4)
    with worker(settings):
        wait_until(lambda: samples(kafka, settings) >= sent)
    found = updates(kafka, settings)
    assert samples(kafka, settings) == sent
    assert sorted(found) == [f"{org}/chat" for org in ORGS]
    for update in found.values():
        assert sum(c["weight"] for c in update["candidates"]) == pytest.approx(1.0)
        assert update["expires_at"] > update["issued_at"] > datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.chaos
def test_kill_9_in_mid_stream_changes_no_total(kafka: Kafka, settings: Settings) -> None:
    apply_registry(settings, ENTITIES)
    sent, process = 0, start(settings, "agents")
    try:
        for _ in range(3):
            sent += send(settings, rounds=10)
            wait_until(partial(_reached, kafka, settings, sent - 300))
            sent += send(settings, rounds=5)
            process.kill()
            process.wait(10)
            process = start(settings, "agents")
        sent += send(settings, rounds=5)
        wait_until(lambda: samples(kafka, settings) >= sent)
    finally:
        process.terminate()
        assert process.wait(20) == 0
    assert samples(kafka, settings) == sent


def test_two_workers_share_and_a_dead_one_is_replaced(kafka: Kafka, settings: Settings) -> None:
    apply_registry(settings, ENTITIES)
    first = start(settings, "agents")
    try:
        sent = send(settings, rounds=10)
        with worker(settings, "agents-2"):
            wait_until(lambda: samples(kafka, settings) >= sent, 120)
            sent += send(settings, rounds=10)
            first.kill()
            sent += send(settings, rounds=10)
            wait_until(lambda: samples(kafka, settings) >= sent, 120)
    finally:
        first.kill()
        first.wait(10)
    assert samples(kafka, settings) == sent
