"""A producer that keeps what it is given, for tests of the client without a broker."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import KafkaError

from rheostat_client import Config, Reporter
from schemas.catalog import committed
from schemas.wire import Codec

CODEC = Codec(committed())
CONFIG = Config("acme", "127.0.0.1:1")
Delivery = Callable[[Any, Any], None]


class Failure:
    """What librdkafka says when it could not deliver."""

    def __init__(self, code: int, fatal: bool = False) -> None:
        self._code, self._fatal = code, fatal

    def code(self) -> int:
        return self._code

    def str(self) -> str:
        return KafkaError(self._code).str()

    def fatal(self) -> bool:
        return self._fatal


@dataclass(slots=True)
class FakeProducer:
    """Delivers on poll. `room`: messages taken before BufferError; `failures`: errors to deliver
    instead, one a message."""

    room: int = 1_000_000
    away: bool = False
    failures: list[Failure] = field(default_factory=list)
    sent: list[tuple[str, bytes, bytes]] = field(default_factory=list)
    pending: list[tuple[tuple[str, bytes, bytes], Delivery]] = field(default_factory=list)

    def produce(self, topic: str, value: bytes, key: bytes, on_delivery: Delivery) -> None:
        if len(self.pending) >= self.room:
            raise BufferError
        self.pending.append(((topic, value, key), on_delivery))

    def poll(self, timeout_s: float) -> int:
        if self.away:
            return 0
        pending, self.pending = self.pending, []
        for message, done in pending:
            failure = self.failures.pop(0) if self.failures else None
            if failure is None:
                self.sent.append(message)
            done(failure, None)
        return len(pending)

    def purge(self) -> None:
        pending, self.pending = self.pending, []
        for _, done in pending:
            done(Failure(KafkaError._PURGE_QUEUE), None)

    def events(self, record: str = "InferenceEvent") -> list[dict[str, Any]]:
        """What arrived, decoded by the server's codec."""
        topics = {"InferenceEvent": "inference-events", "FeedbackEvent": "feedback-events"}
        return [CODEC.decode(v, record) for topic, v, _ in self.sent if topic == topics[record]]


def reporter(producer: FakeProducer, **options: Any) -> Reporter:
    """A reporter of acme over `producer`."""
    return Reporter(CONFIG, make_producer=lambda: producer, **options)
