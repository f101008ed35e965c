"""The producer of endings: results, later cases and offsets in one transaction, or nothing."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog
from confluent_kafka import KafkaException, TopicPartition

from agents.errors import AgentsStopped
from agents.evaluation.runner.outgoing import Outgoing, Partition
from streams.hanging import Scope, take_over
from streams.kafka import KafkaConfig, explain, retrying, send_offsets

KAFKA_TIMEOUT_S = 30.0
TRANSACTION_TIMEOUT_MS = 10_000
log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Transactions:
    """`instance` names them: a successor of this name ends what this one left open.

    `scope`: where they write. `client` makes a producer from its configuration.
    """

    kafka: KafkaConfig
    instance: str
    scope: Scope
    client: Callable[[dict[str, Any]], Any]
    _producer: Any = field(init=False)
    _open: bool = False

    def __post_init__(self) -> None:
        self._producer = self._new_producer()
        take_over(self.kafka, self._producer, self.scope)

    def write(
        self,
        messages: Iterable[Outgoing],
        positions: Mapping[Partition, tuple[int, str]],
        group: Any,
    ) -> None:
        """One transaction. Raises KafkaException: then `recover` before anything else.

        1. Begin.
        2. Produce.
        3. Add offsets and their metadata, fenced by the group's generation: a runner that lost a
           partition cannot commit for it.
        4. Commit. A crash before leaves nothing.
        """
        producer, self._open = self._producer, True
        producer.begin_transaction()
        for message in messages:
            self._produce(message)
        offsets = [
            TopicPartition(topic, number, offset, metadata=metadata)
            for (topic, number), (offset, metadata) in positions.items()
        ]
        send_offsets(producer, offsets, group, KAFKA_TIMEOUT_S)
        retrying(lambda: producer.commit_transaction(KAFKA_TIMEOUT_S))
        self._open = False

    def recover(self) -> None:
        """Ends a transaction that failed. Raises KafkaException: repeat it."""
        if self._open:
            try:
                self._producer.abort_transaction(KAFKA_TIMEOUT_S)
            except KafkaException as error:
                # Fenced, or in a state that it cannot leave. The broker takes a new producer under
                # the same name, and ends what the old one had open. A timeout is no exception: once
                # an abort that timed out was resumed, send_offsets_to_transaction was seen to wait
                # for ever, whatever its timeout.
                log.warning("producer replaced", error=explain(error))
                self._producer = self._new_producer()
                retrying(lambda: self._producer.init_transactions(KAFKA_TIMEOUT_S))
        self._open = False

    def _produce(self, message: Outgoing) -> None:
        topic = self.kafka.topic(message.topic)
        while True:
            try:
                self._producer.produce(
                    topic, message.value, message.key, headers=list(message.headers)
                )
            except BufferError:
                self._producer.poll(0.1)  # the queue is bounded; delivery reports make room
            else:
                return

    def _new_producer(self) -> Any:
        return self.client(
            self.kafka.producer(
                transactional_id=self.instance,
                transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
                linger_ms=0,
                # A transaction can meet the end of the one before; 100 ms would be felt.
                retry_backoff_ms=10,
            )
        )


def stop_if_fatal(error: Any) -> None:
    """Raises AgentsStopped for a KafkaError that only a new process can cure."""
    if error.fatal():
        raise AgentsStopped(f"the runner cannot go on: {error.str()}")
