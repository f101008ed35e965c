"""Whose turn it is to write: membership in a group that shares a topic of one partition."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    TopicPartition,
)

from agents.errors import AgentsStopped
from streams.kafka import KafkaConfig

KAFKA_TIMEOUT_S = 30.0
SESSION_TIMEOUT_S = 6.0
"""The least a broker allows by default: how long a dead owner is waited for."""
PAUSE_S = SESSION_TIMEOUT_S / 4 + 0.5
"""After a failure. Longer than a heartbeat, so that an owner that was replaced learns of it before
it takes the transactional id from its successor."""
log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Seat:
    """One process's membership. For one thread.

    name: of the group, and of its owner in logs and errors.
    topic: as it is named on the broker; it has one partition.
    instance: the same after a restart, so that a restarted owner is the owner again at once.
    left: called inside `read` when the partition goes to another process.
    """

    kafka: KafkaConfig
    name: str
    topic: str
    instance: str
    left: Callable[[], None]
    owned: bool = field(init=False, default=False)
    consumer: Any = field(init=False)

    def __post_init__(self) -> None:
        self.consumer = Consumer(
            self.kafka.consumer(
                self.kafka.group(self.name),
                group_instance_id=self.instance,
                session_timeout_ms=int(SESSION_TIMEOUT_S * 1000),
                heartbeat_interval_ms=int(SESSION_TIMEOUT_S * 250),
            )
        )
        self.consumer.subscribe(
            [self.topic],
            on_assign=self._assigned,
            on_revoke=self._revoked,
            on_lost=self._revoked,
        )

    def read(self, timeout_s: float, most: int) -> list[Any]:
        """What is there, as soon as there is anything. Raises AgentsStopped."""
        first = self.consumer.poll(timeout_s)
        if first is None:
            return []
        # A batch of `consume` alone would wait for its timeout until it is full.
        found = [first, *self.consumer.consume(most - 1, 0)]
        return [m for m in found if not self._is_error(m)]

    def rewind(self) -> None:
        """To the committed offset: what was read since is read again. Raises KafkaException."""
        [at] = committed(self.consumer, [TopicPartition(self.topic, 0)])
        self.consumer.seek(at)

    def close(self) -> None:
        self.consumer.close()

    def _assigned(self, _: Any, partitions: Sequence[TopicPartition]) -> None:
        if partitions:
            self.owned = True

    def _revoked(self, _: Any, partitions: Sequence[TopicPartition]) -> None:
        if partitions:
            log.info("handed over", of=self.name)
            self.owned = False
            self.left()

    def _is_error(self, message: Any) -> bool:
        error = message.error()
        if error is None:
            return False
        if error.fatal() or error.code() == KafkaError._FATAL:
            raise AgentsStopped(f"the {self.name}'s consumer cannot go on: {error}")
        log.warning("consumer error", of=self.name, error=str(error))
        return True


def committed(consumer: Any, partitions: Sequence[TopicPartition]) -> list[TopicPartition]:
    """Where the consumer's group goes on, from the beginning where nothing is committed.

    Raises KafkaException.
    """
    found: list[TopicPartition] = consumer.committed(list(partitions), timeout=KAFKA_TIMEOUT_S)
    for each in found:
        if each.error is not None:
            raise KafkaException(each.error)
        if each.offset < 0:
            each.offset = OFFSET_BEGINNING
    return found
