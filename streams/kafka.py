"""How every client of ours talks to Kafka: one place for addresses, security and defaults."""

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from schemas.topics import Topic, topic_name

OVERDUE_S = 10.0
EXIT_HUNG = 70
"""EX_SOFTWARE of sysexits.h: a process that hangs and ends, to be started again."""
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class KafkaConfig:
    """Where Kafka is. `properties` are librdkafka's, for security mostly, and never printed."""

    bootstrap: str
    properties: Mapping[str, str] = field(default_factory=dict, repr=False)
    topic_prefix: str = ""

    def topic(self, topic: Topic) -> str:
        """The topic's name on this broker."""
        return topic_name(topic, self.topic_prefix)

    def group(self, name: str) -> str:
        """The name of one of our consumer groups on this broker."""
        return f"{self.topic_prefix}rheostat-{name}"

    def admin(self) -> dict[str, Any]:
        """Configuration of an AdminClient, and of any client that reads and writes nothing."""
        return {"bootstrap.servers": self.bootstrap, **self.properties}

    def consumer(self, group: str, **own: str | int | bool) -> dict[str, Any]:
        """Configuration of a consumer that sees committed records only and commits by hand.

        Keyword arguments are librdkafka properties with underscores for dots.
        """
        return {
            **self.admin(),
            "group.id": group,
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",
            "partition.assignment.strategy": "cooperative-sticky",
            # The default of 1000 stalls a reader of a backlog for a second at a time.
            "fetch.queue.backoff.ms": 10,
            **_dotted(own),
        }

    def producer(self, **own: str | int | bool) -> dict[str, Any]:
        """Configuration of an idempotent producer; keyword arguments as for `consumer`."""
        return {
            **self.admin(),
            "enable.idempotence": True,
            "compression.type": "lz4",
            "linger.ms": 5,
            "message.max.bytes": 16 * 1024 * 1024,
            **_dotted(own),
        }


def retrying(call: Callable[[], object], attempts: int = 5) -> None:
    """Repeats what the client library calls retriable; transactions demand it.

    Raises KafkaException.
    """
    for attempt in range(attempts):
        try:
            call()
        except KafkaException as error:
            if not error.args[0].retriable() or attempt == attempts - 1:
                raise
        else:
            return


def send_offsets(
    producer: Any,
    positions: Sequence[TopicPartition],
    group: Any,
    timeout_s: float,
    end: Callable[[int], object] = os._exit,
) -> None:
    """Adds a group's offsets to the open transaction. Raises KafkaException.

    librdkafka (2.16) keeps no time limit here: after the broker that coordinates the group was
    killed, the call was seen to wait for ever. Nothing can wake the thread that waits, so OVERDUE_S
    after the limit the process ends as by kill -9; its successor aborts the transaction and repeats
    it.
    """

    def overdue() -> None:
        log.error("sending offsets hangs; the process ends, to be started again", limit_s=timeout_s)
        end(EXIT_HUNG)

    fuse = threading.Timer(timeout_s + OVERDUE_S, overdue)
    fuse.daemon = True
    fuse.start()
    try:
        producer.send_offsets_to_transaction(list(positions), group, timeout_s)
    finally:
        fuse.cancel()


def explain(error: Exception) -> str:
    """The client library's words for an error of Kafka's, and its own words for any other."""
    found = error.args[0] if error.args else error
    return str(found.str()) if isinstance(found, KafkaError) else str(error)


def _dotted(own: Mapping[str, str | int | bool]) -> dict[str, str | int | bool]:
    return {name.replace("_", "."): value for name, value in own.items()}
