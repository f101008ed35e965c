"""Writes checked messages: idempotent, at a rate if asked, every delivery accounted for."""

import time
from collections import Counter

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from infra.errors import OperatorError
from streams.kafka import KafkaConfig

TIMEOUT_S = 30.0
FLUSH_S = 120.0
UNKNOWN_S = 2.0
NAP_S = 0.05


class Sender:
    """Sends one message after the other; `finish` waits for the broker and raises on failure."""

    def __init__(self, kafka: KafkaConfig, topic: str, rate_per_s: float | None) -> None:
        """Raises OperatorError when Kafka does not answer or has no such topic."""
        # What goes wrong is said once, by us, and not by the client every second.
        self._producer = Producer({**kafka.producer(), "log_level": 0})
        self._topic = topic
        self._rate_per_s = rate_per_s
        self._failures: Counter[str] = Counter()
        self._begin_s = time.monotonic()
        self._queued = 0
        self.acknowledged = 0
        if not self._topic_exists(kafka.bootstrap):
            raise OperatorError(f"there is no topic {topic}; create it with `rheostat topics`.")

    def send(self, message: bytes, key: str) -> None:
        """Waits when the rate or a full queue asks for it."""
        if self._rate_per_s is not None:
            due = self._begin_s + self._queued / self._rate_per_s
            while (left := due - time.monotonic()) > 0:
                self._producer.poll(min(left, NAP_S))
        while True:
            try:
                self._producer.produce(
                    self._topic, message, key.encode(), on_delivery=self._delivered
                )
            except BufferError:
                self._producer.poll(NAP_S)
            else:
                break
        self._queued += 1
        self._producer.poll(0)

    def finish(self) -> None:
        """Raises OperatorError when a message was not acknowledged."""
        left = self._producer.flush(FLUSH_S)
        if left:
            self._failures["not acknowledged in time"] += left
        if self._failures:
            why = "; ".join(f"{count} {text}" for text, count in self._failures.items())
            raise OperatorError(
                f"{self.acknowledged} of {self._queued} events were sent; the rest failed: {why}. "
                "Sending the file again repeats the same event ids."
            )

    def _topic_exists(self, bootstrap: str) -> bool:
        """Looks for a while: a broker may not know yet what was created a moment ago."""
        deadline = time.monotonic() + UNKNOWN_S
        while True:
            try:
                found = self._producer.list_topics(timeout=TIMEOUT_S).topics
            except KafkaException as error:
                raise OperatorError(
                    f"Kafka at {bootstrap} does not answer: {error.args[0].str()}. Start it with "
                    "`rheostat up`, or set RHEOSTAT_KAFKA_BOOTSTRAP."
                ) from error
            if self._topic in found or time.monotonic() > deadline:
                return self._topic in found
            time.sleep(NAP_S)

    def _delivered(self, error: KafkaError | None, _: Message) -> None:
        if error is None:
            self.acknowledged += 1
        else:
            self._failures[str(error)] += 1
