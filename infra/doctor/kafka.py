"""Kafka itself: who answers, the topics, and transactions that hold readers back."""

import time
from collections.abc import Iterator

from confluent_kafka import KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # re-exported at run time
    AdminClient,
    ConfigResource,
    ResourceType,
)

from infra.doctor.finding import Finding, counted, found_or, hint, ok, problem
from infra.doctor.offsets import TIMEOUT_S, ends, newest, places_of
from infra.kafka_admin import connect
from infra.local_kafka import ENDPOINT
from infra.settings import Settings
from infra.topics import ensure
from infra.workers import kafka_config
from schemas.topics import Topic
from streams.worker import TRANSACTION_TIMEOUT_MS

TRANSACTIONAL = (Topic.METRIC_PARTIALS, Topic.DEAD_LETTERS, Topic.REGISTRY)
OPEN_S = 5.0
"""A batch's transaction takes well under a second; one open for longer has lost its worker."""


def broker(settings: Settings) -> Iterator[Finding]:
    """Whether Kafka answers, and which."""
    began = time.monotonic()
    client, metadata = connect(settings)
    took_ms = (time.monotonic() - began) * 1000
    brokers = len(metadata.brokers)
    yield ok(
        "Kafka",
        f"{settings.bootstrap} answers in {took_ms:.0f} ms: {_version(client, settings)}, "
        f"{counted(brokers, 'broker')}, cluster {metadata.cluster_id}",
    )
    if brokers > 2 and settings.replication_factor == 1:
        yield hint(
            "Kafka",
            f"{brokers} brokers, but topics of ours are created with one replica",
            "a broker that is lost takes its partitions with it",
            "Set RHEOSTAT_REPLICATION_FACTOR=3 before the topics are created.",
        )


def topics(settings: Settings) -> list[Finding]:
    """Whether every topic exists and is configured as its users rely on."""
    report = ensure(settings, create=False)
    faults = [problem("topics", f"{f.topic} {f.what}", f.why, f.do) for f in report.faults]
    return found_or(faults, ok("topics", f"all {len(report.present)} exist, configured as meant"))


def transactions(settings: Settings) -> list[Finding]:
    """Whether an open transaction keeps readers from going on."""
    client, metadata = connect(settings)
    kafka = kafka_config(settings)
    places = places_of(metadata.topics, [kafka.topic(topic) for topic in TRANSACTIONAL])
    stable = ends(client, places)
    began = time.monotonic()
    held = set(places)
    while held and time.monotonic() - began < OPEN_S:
        written, readable = newest(client, held), ends(client, held)
        held = {p for p in held if written[p] > readable[p] == stable[p]}
        if held:
            time.sleep(1.0)
    found = [
        problem(
            "transactions",
            f"{topic}/{partition}: a transaction has been open for over {OPEN_S:g} s at offset "
            f"{stable[topic, partition]}",
            "what was written behind it stays invisible: metrics, rows and selections stop",
            f"It ends within {TRANSACTION_TIMEOUT_MS // 1000} s of its worker's death. If not: "
            f"kafka-transactions.sh --bootstrap-server {settings.bootstrap} find-hanging",
        )
        for topic, partition in sorted(held)
    ]
    return found_or(found, ok("transactions", "none is open for long; readers are not held back"))


def _version(client: AdminClient, settings: Settings) -> str:
    """As far as a broker tells: before version 4 it names its protocol, since then nothing."""
    if settings.kafka_bootstrap is None and (settings.run_dir / "kafka.pid").exists():
        return f"local Apache Kafka {ENDPOINT.split(':')[2].partition('+')[0]}"
    try:
        node = client.describe_cluster(request_timeout=TIMEOUT_S).result(TIMEOUT_S).nodes[0].id
        resource = ConfigResource(ResourceType.BROKER, str(node))
        found = client.describe_configs([resource], request_timeout=TIMEOUT_S)[resource]
        entry = found.result(TIMEOUT_S).get("inter.broker.protocol.version")
    except (KafkaException, TimeoutError, IndexError):
        return "version not told"
    return "Apache Kafka 4 or compatible" if entry is None else f"Kafka {entry.value}"
