"""Offsets of topics and groups, asked of Kafka's admin API."""

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from confluent_kafka import (
    Consumer,
    ConsumerGroupTopicPartitions,
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # re-exported at run time
    AdminClient,
    OffsetSpec,
)

from infra.doctor.lag import Look, Place
from streams.kafka import KafkaConfig

TIMEOUT_S = 4.0
WAIT_S = TIMEOUT_S + 1
"""A little longer, so that the library's own error comes first."""
PATIENCE_S = 12.0
PASSING = frozenset(
    {
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.NOT_COORDINATOR,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError._TIMED_OUT,
    }
)
T = TypeVar("T")
_SPEC: Any = OffsetSpec


def first(client: AdminClient, places: Collection[Place]) -> dict[Place, int]:
    """Offset of the first record that is kept."""
    return _offsets(client, places, _SPEC.earliest(), IsolationLevel.READ_COMMITTED)


def ends(client: AdminClient, places: Collection[Place]) -> dict[Place, int]:
    """Offset behind the last record that readers of committed records may see."""
    return _offsets(client, places, _SPEC.latest(), IsolationLevel.READ_COMMITTED)


def newest(client: AdminClient, places: Collection[Place]) -> dict[Place, int]:
    """Offset behind the last record, committed or not."""
    return _offsets(client, places, _SPEC.latest(), IsolationLevel.READ_UNCOMMITTED)


def newest_ms(client: AdminClient, places: Collection[Place]) -> int | None:
    """The newest timestamp of any record; None when there are no records."""
    spec, isolation = _SPEC.max_timestamp(), IsolationLevel.READ_UNCOMMITTED
    found = [answer.timestamp for answer in _asked(client, places, spec, isolation).values()]
    return max((t for t in found if t >= 0), default=None)


def look(client: AdminClient, group: str, places: Collection[Place]) -> Look:
    """Where a group is. Where it committed nothing, it will begin at the first record."""
    asked = ConsumerGroupTopicPartitions(group, [TopicPartition(*place) for place in places])

    def ask() -> Any:
        answer = client.list_consumer_group_offsets([asked], request_timeout=TIMEOUT_S)
        return answer[group].result(WAIT_S)

    found = patiently(ask).topic_partitions or ()
    committed = {(tp.topic, tp.partition): tp.offset for tp in found if tp.offset >= 0}
    none = [place for place in places if place not in committed]
    committed |= first(client, none)
    return Look(time.monotonic(), committed, ends(client, places))


def description(client: AdminClient, group: str) -> Any:
    """State and members of a group; one that does not exist has none."""

    def ask() -> Any:
        answer = client.describe_consumer_groups([group], request_timeout=TIMEOUT_S)
        return answer[group].result(WAIT_S)

    return patiently(ask)


def with_records(
    kafka: KafkaConfig, positions: Mapping[Place, int], timeout_s: float = 5.0
) -> set[Place]:
    """Places where a record can be read at or behind the offset, not only transaction markers."""
    config = kafka.consumer(kafka.group("doctor"), enable_partition_eof=True)
    consumer = Consumer({**config, "log_level": 0})
    found: set[Place] = set()
    open_places = set(positions)
    deadline = time.monotonic() + timeout_s
    try:
        consumer.assign([TopicPartition(*place, offset) for place, offset in positions.items()])
        while open_places and time.monotonic() < deadline:
            for message in consumer.consume(100, 0.5):
                error = message.error()
                place = (str(message.topic()), int(message.partition() or 0))
                if error is None:
                    found.add(place)
                if error is None or error.code() == KafkaError._PARTITION_EOF:
                    open_places.discard(place)
    finally:
        consumer.close()
    return found


def places_of(metadata_topics: Mapping[str, Any], names: Iterable[str]) -> Sequence[Place]:
    """Every partition of the topics that exist."""
    return [
        (name, partition)
        for name in names
        if name in metadata_topics
        for partition in sorted(metadata_topics[name].partitions)
    ]


def _offsets(
    client: AdminClient, places: Collection[Place], spec: Any, isolation: IsolationLevel
) -> dict[Place, int]:
    answers = _asked(client, places, spec, isolation)
    return {place: answer.offset for place, answer in answers.items()}


def _asked(
    client: AdminClient, places: Collection[Place], spec: Any, isolation: IsolationLevel
) -> dict[Place, Any]:
    asked = {TopicPartition(*place): spec for place in places}
    if not asked:
        return {}

    def ask() -> dict[Place, Any]:
        answers = client.list_offsets(asked, isolation_level=isolation, request_timeout=TIMEOUT_S)
        return {(tp.topic, tp.partition): f.result(WAIT_S) for tp, f in answers.items()}

    return patiently(ask)


def patiently(ask: Callable[[], T]) -> T:
    """Asks again while leaders and coordinators are only not known yet, as on a new broker."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return ask()
        except KafkaException as error:
            if error.args[0].code() not in PASSING or time.monotonic() >= deadline:
                raise
        time.sleep(0.3)
