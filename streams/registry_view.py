"""A live view of the compacted `registry` topic, held by every process that needs its facts."""

import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Self

import structlog
from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from schemas.convert import from_record
from schemas.entities import AbTest, Model
from schemas.errors import MalformedMessage, RegistryUnavailable, UnknownSchema
from schemas.records import RegistryFact
from schemas.topics import Topic
from schemas.wire import Codec
from streams.errors import ViewFailed, ViewNotLoaded
from streams.kafka import KafkaConfig

POLL_S = 0.2
RETRY_S = 1.0
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RegistrySnapshot:
    """The registry at one moment: facts by entity key. `revision` changes with every fact."""

    revision: int = 0
    models: Mapping[str, RegistryFact] = field(default_factory=dict)
    ab_tests: Mapping[str, RegistryFact] = field(default_factory=dict)
    policies: Mapping[str, RegistryFact] = field(default_factory=dict)

    def with_fact(self, key: str, fact: RegistryFact) -> Self:
        """The snapshot after an accepted fact."""
        name = _shelf(fact)
        shelf: Mapping[str, RegistryFact] = getattr(self, name)
        return replace(self, revision=self.revision + 1, **{name: {**shelf, key: fact}})

    def without(self, key: str) -> Self:
        """The snapshot after a deletion."""
        shelves = {
            name: {k: f for k, f in getattr(self, name).items() if k != key}
            for name in ("models", "ab_tests", "policies")
        }
        return replace(self, revision=self.revision + 1, **shelves)


def _shelf(fact: RegistryFact) -> str:
    if isinstance(fact.entity, Model):
        return "models"
    return "ab_tests" if isinstance(fact.entity, AbTest) else "policies"


class RegistryView:
    """Reads the registry topic in a thread of its own; `snapshot` is always whole and immutable."""

    def __init__(self, kafka: KafkaConfig, codec: Codec) -> None:
        self._topic = kafka.topic(Topic.REGISTRY)
        self._codec = codec
        # The group is only a name: partitions are assigned by hand and nothing is committed.
        group = kafka.group(f"registry-view-{uuid.uuid4().hex}")
        # The end of a partition is told by the client: after compaction, retention or an aborted
        # transaction no message need stand before it.
        self._consumer = Consumer(kafka.consumer(group, enable_partition_eof=True))
        self._failure: Exception | None = None
        self._snapshot = RegistrySnapshot()
        self._loaded = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="registry-view", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def start(self) -> Self:
        """As `with`, for owners that end with `close`."""
        return self.__enter__()

    def close(self) -> None:
        """Ends the thread."""
        self._stop.set()
        self._thread.join(timeout=30)

    def snapshot(self) -> RegistrySnapshot:
        """The newest state. Raises ViewFailed when it is followed no longer."""
        if self._failure is not None:
            raise ViewFailed(
                f"{self._topic} is followed no longer: {self._failure!r}"
            ) from self._failure
        return self._snapshot

    def wait_loaded(self, timeout_s: float) -> RegistrySnapshot:
        """Waits until everything that was there at the start is applied.

        Raises ViewNotLoaded, ViewFailed.
        """
        if not self._loaded.wait(timeout_s):
            raise ViewNotLoaded(
                f"{self._topic} could not be read to its end within {timeout_s:g} s; is Kafka "
                "reachable, and were the topics created (rheostat topics)?"
            )
        return self.snapshot()

    def _run(self) -> None:
        try:
            self._follow()
        except Exception as error:  # told to whoever asks for the next snapshot
            log.exception("registry topic is followed no longer")
            self._failure = error
            self._loaded.set()
        finally:
            self._consumer.close()

    def _follow(self) -> None:
        unread = self._assign()
        while not self._stop.is_set():
            for message in self._consumer.consume(500, POLL_S):
                error = message.error()
                if error is None:
                    self._apply(message)
                elif error.code() == KafkaError._PARTITION_EOF:
                    unread.discard(message.partition())
                else:
                    log.warning("registry topic", error=str(error))
            if not unread:
                self._loaded.set()

    def _assign(self) -> set[int]:
        """Assigns every partition from its beginning; returns their numbers."""
        while not self._stop.is_set():
            try:
                found = self._consumer.list_topics(self._topic, timeout=5).topics[self._topic]
                partitions = set(found.partitions)
            except KafkaException as error:
                log.warning("registry topic not readable yet", error=str(error))
                partitions = set()
            if partitions:
                self._consumer.assign(
                    [TopicPartition(self._topic, p, OFFSET_BEGINNING) for p in partitions]
                )
                return partitions
            self._stop.wait(POLL_S)
        return set()

    def _apply(self, message: Message) -> None:
        """Facts that are no facts are skipped: the one before them stays in force."""
        try:
            key = (message.key() or b"").decode()
            fact = self._fact(message.value())
        except (MalformedMessage, UnknownSchema, UnicodeDecodeError) as error:
            log.error("registry fact skipped", offset=message.offset(), error=str(error))
            return
        if fact is None:
            self._snapshot = self._snapshot.without(key)
        else:
            self._snapshot = self._snapshot.with_fact(key, fact)

    def _fact(self, value: bytes | None) -> RegistryFact | None:
        """The fact, None for a deletion. Waits for a schema registry that does not answer."""
        while value is not None:
            try:
                return from_record(RegistryFact, self._codec.decode(value, "RegistryFact"))
            except RegistryUnavailable as error:
                log.warning("registry fact waits for its schema", error=str(error))
                if self._stop.wait(RETRY_S):
                    break
        return None
