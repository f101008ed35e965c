"""A live view of the compacted `registry` topic, held by every process that needs its facts."""

import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Self

import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Message, TopicPartition

from schemas.convert import from_record
from schemas.entities import AbTest, Model
from schemas.errors import MalformedMessage, RegistryUnavailable, UnknownSchema
from schemas.records import RegistryFact
from schemas.topics import Topic
from schemas.wire import Codec
from streams.errors import ViewNotLoaded
from streams.kafka import KafkaConfig

POLL_S = 0.2
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
        self._consumer = Consumer(kafka.consumer(group))
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
        """The newest state."""
        return self._snapshot

    def wait_loaded(self, timeout_s: float) -> RegistrySnapshot:
        """Waits until everything that was there at the start is applied. Raises ViewNotLoaded."""
        if not self._loaded.wait(timeout_s):
            raise ViewNotLoaded(
                f"{self._topic} could not be read to its end within {timeout_s:g} s; is Kafka "
                "reachable, and were the topics created (rheostat topics)?"
            )
        return self._snapshot

    def _run(self) -> None:
        try:
            pending = self._assign()
            while not self._stop.is_set():
                if not pending:
                    self._loaded.set()
                for message in self._consumer.consume(500, POLL_S):
                    if message.error() is None:
                        self._apply(message)
                pending = {p for p in pending if not self._reached(*p)}
        finally:
            self._consumer.close()

    def _assign(self) -> set[tuple[int, int]]:
        """Assigns every partition; returns (partition, end offset) that remain to be read."""
        while not self._stop.is_set():
            try:
                found = self._consumer.list_topics(self._topic, timeout=5).topics[self._topic]
                parts = [TopicPartition(self._topic, p, OFFSET_BEGINNING) for p in found.partitions]
                ends = {
                    (p.partition, self._consumer.get_watermark_offsets(p, timeout=5)[1])
                    for p in parts
                }
            except KafkaException as error:
                log.warning("registry topic not readable yet", error=str(error))
                parts, ends = [], set()
            if parts:
                self._consumer.assign(parts)
                return ends
            time.sleep(POLL_S)
        return set()

    def _reached(self, partition: int, end: int) -> bool:
        """Whether everything before `end` was read; control records make positions jump."""
        here = self._consumer.position([TopicPartition(self._topic, partition)])[0].offset
        return bool(end == 0 or here >= end)

    def _apply(self, message: Message) -> None:
        key = (message.key() or b"").decode()
        value = message.value()
        if value is None:
            self._snapshot = self._snapshot.without(key)
            return
        try:
            fact = from_record(RegistryFact, self._codec.decode(value, "RegistryFact"))
        except (MalformedMessage, UnknownSchema) as error:
            log.error("registry fact skipped", key=key, offset=message.offset(), error=str(error))
            return
        except RegistryUnavailable as error:
            log.error("registry fact not decodable now", key=key, error=str(error))
            raise
        self._snapshot = self._snapshot.with_fact(key, fact)
