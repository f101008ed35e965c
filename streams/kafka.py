"""How every client of ours talks to Kafka: one place for addresses, security and defaults."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from schemas.topics import Topic, topic_name


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


def _dotted(own: Mapping[str, str | int | bool]) -> dict[str, str | int | bool]:
    return {name.replace("_", "."): value for name, value in own.items()}
