"""Where the books keep their state: a compacted topic each, partitioned like metric-partials.

Read whole when a partition comes to us, written by checkpoints. Faust's own tables are not used:
their recovery can wait for ever for records of partitions that this process owned before (seen
when a second worker took over from a dead one).
"""

import time
import uuid
from collections.abc import Iterable, Mapping, Sequence

import structlog
from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # re-exported at run time
    AdminClient,
    NewTopic,
)

from agents.errors import AgentsStopped, BadConfiguration
from schemas.topics import BULK_BYTES_MAX, TOPICS, Topic
from streams.kafka import KafkaConfig

READ_MESSAGES = 10_000
READ_TIMEOUT_S = 60.0
KAFKA_TIMEOUT_S = 30.0
log = structlog.get_logger(__name__)

Stored = Mapping[int, Mapping[str, Sequence[tuple[bytes, bytes]]]]
"""(key, value) of every live entry, by partition and book."""


def topic_of(kafka: KafkaConfig, book: str) -> str:
    """The changelog topic of a book."""
    return f"{kafka.group('agents')}-{book}-changelog"


def ensure(
    kafka: KafkaConfig, books: Sequence[str], partitions: int, replication_factor: int
) -> None:
    """Creates the topics that are missing, with the partition count of metric-partials.

    Raises BadConfiguration when one exists with another count: state is kept by partition.
    """
    admin = AdminClient(kafka.admin())
    names = [topic_of(kafka, book) for book in books]
    existing = admin.list_topics(timeout=KAFKA_TIMEOUT_S).topics
    settings = {
        "cleanup.policy": "compact",
        "max.message.bytes": str(BULK_BYTES_MAX),
        "min.cleanable.dirty.ratio": "0.1",
        "segment.ms": "600000",
    }
    new = [
        NewTopic(n, partitions, replication_factor, config=settings)
        for n in names
        if n not in existing
    ]
    for name, created in (admin.create_topics(new) if new else {}).items():
        try:
            created.result(timeout=KAFKA_TIMEOUT_S)
        except KafkaException as error:
            if error.args[0].name() != "TOPIC_ALREADY_EXISTS":
                raise AgentsStopped(f"the topic {name} could not be created: {error}") from error
    for name in names:
        if name in existing and len(existing[name].partitions) != partitions:
            raise BadConfiguration(
                f"{name} has {len(existing[name].partitions)} partitions, but "
                f"{TOPICS[Topic.METRIC_PARTIALS].meaning} come in {partitions}; the agents' state "
                "cannot be moved between partitions: stop all agents and delete their changelog "
                f"topics ({kafka.group('agents')}-*-changelog) to rebuild it"
            )


def read(kafka: KafkaConfig, books: Sequence[str], partitions: Iterable[int]) -> Stored:
    """Everything stored for these partitions at this moment. Blocks; for a thread of its own.

    Raises AgentsStopped when Kafka does not give it within READ_TIMEOUT_S.
    """
    book_of = {topic_of(kafka, book): book for book in books}
    wanted = sorted(partitions)
    # The group is only a name: partitions are assigned by hand and nothing is committed. The client
    # tells the end of a partition: after compaction no record need stand before it.
    group = kafka.group(f"changelog-{uuid.uuid4().hex}")
    consumer = Consumer(kafka.consumer(group, enable_partition_eof=True))
    try:
        latest = _latest(consumer, [(topic, p) for topic in book_of for p in wanted])
    finally:
        consumer.close()
    found: dict[int, dict[str, list[tuple[bytes, bytes]]]] = {p: {} for p in wanted}
    for (topic, partition), entries in latest.items():
        found[partition][book_of[topic]] = list(entries.items())
    return found


def _latest(
    consumer: Consumer, places: Sequence[tuple[str, int]]
) -> dict[tuple[str, int], dict[bytes, bytes]]:
    """The last value of every key up to the present ends; deleted keys are left out."""
    deadline = time.monotonic() + READ_TIMEOUT_S
    latest: dict[tuple[str, int], dict[bytes, bytes]] = {place: {} for place in places}
    pending = set(places)
    consumer.assign([TopicPartition(*place, OFFSET_BEGINNING) for place in places])
    while pending:
        if time.monotonic() > deadline:
            raise AgentsStopped(
                f"the changelogs could not be read to their ends within {READ_TIMEOUT_S:g} s; "
                f"{len(pending)} partitions are left"
            )
        for message in consumer.consume(READ_MESSAGES, 0.2):
            place = str(message.topic()), int(message.partition() or 0)
            error = message.error()
            if error is None:
                _take(message, latest[place])
            elif error.code() == KafkaError._PARTITION_EOF:
                pending.discard(place)
            else:
                log.warning("changelog not readable now", error=str(error))
    return latest


def _take(message: Message, entries: dict[bytes, bytes]) -> None:
    key, value = message.key() or b"", message.value()
    if value:
        entries[key] = value
    else:
        entries.pop(key, None)
