"""Cases into Kafka. Publishing again changes nothing: the same cases make the same messages.

All of a dataset's messages go to one partition, so that of two publications the later one counts.
"""

import time
import zlib
from collections.abc import Callable, Iterable
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from agents.evaluation.datasets.contents import parts
from agents.evaluation.datasets.errors import PublishFailed
from schemas.convert import to_record
from schemas.evaluations import DatasetCase
from schemas.suites import Dataset
from schemas.topics import Topic
from schemas.wire import Codec
from streams.kafka import KafkaConfig

TIMEOUT_S = 60.0
"""Without any progress."""
QUEUE_KB = 64 * 1024
KAFKA_TIMEOUT_S = 15.0
Progress = Callable[[int], None]
"""Is told how many cases Kafka has."""


def publish(
    kafka: KafkaConfig,
    codec: Codec,
    dataset: Dataset,
    cases: Iterable[DatasetCase],
    progress: Progress | None = None,
) -> None:
    """Returns when Kafka has every case. To be done before the dataset is created.

    Raises PublishFailed, ContractError.
    """
    topic = kafka.topic(Topic.EVALUATION_DATASETS)
    sending = _Sending(
        Producer(
            kafka.producer(
                queue_buffering_max_kbytes=QUEUE_KB, message_timeout_ms=int(TIMEOUT_S * 1000)
            )
        ),
        progress or (lambda _: None),
    )
    place = f"{dataset.org_id}/{dataset.dataset_id}/{dataset.dataset_version}"
    partition = zlib.crc32(place.encode()) % _partitions(sending.producer, topic)
    for part in parts(dataset, cases):
        value = codec.encode("DatasetPart", to_record(part))
        key = f"{place}/{part.first}"
        sending.send(topic, key.encode(), value, partition, len(part.cases))
    sending.finish()


class _Sending:
    """A producer, and what became of its messages."""

    def __init__(self, producer: Any, progress: Progress) -> None:
        self.producer = producer
        self._progress = progress
        self._delivered = 0
        self._failure: str | None = None
        self._moved_s = time.monotonic()

    def send(self, topic: str, key: bytes, value: bytes, partition: int, cases: int) -> None:
        """Hands a message over, waiting while the queue is full. Raises PublishFailed."""

        def delivered(error: KafkaError | None, _: Any) -> None:
            if error is not None:
                self._failure = error.str()
                return
            self._delivered += cases
            self._moved_s = time.monotonic()
            self._progress(self._delivered)

        while True:
            self._check()
            try:
                self.producer.produce(topic, value, key, partition, on_delivery=delivered)
                break
            except BufferError:
                self.producer.poll(0.1)
            except KafkaException as error:
                raise PublishFailed(f"Kafka refuses the cases: {error}") from error
        self.producer.poll(0)

    def finish(self) -> None:
        """Waits for everything. Raises PublishFailed."""
        while len(self.producer):
            self._check()
            self.producer.poll(0.1)
        self._check()

    def _check(self) -> None:
        if self._failure is not None:
            raise PublishFailed(f"Kafka did not take all cases: {self._failure}; import them again")
        if time.monotonic() - self._moved_s > TIMEOUT_S:
            raise PublishFailed(f"Kafka has taken no cases for {TIMEOUT_S:g} s; import them again")


def _partitions(producer: Any, topic: str) -> int:
    try:
        found = producer.list_topics(topic, timeout=KAFKA_TIMEOUT_S).topics[topic]
    except KafkaException as error:
        raise PublishFailed(f"Kafka does not answer: {error}") from error
    if not found.partitions:
        raise PublishFailed(f"the topic {topic} does not exist; run: rheostat topics")
    return len(found.partitions)
