"""What the control lane publishes for one organisation, as it comes: selections and verdicts.

What is shown; the replay follows the same through the client package.
"""

import threading
import uuid
from collections import deque
from dataclasses import dataclass
from datetime import datetime

import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition

from schemas.convert import from_record
from schemas.errors import ContractError
from schemas.records import AbVerdict, Candidate, SelectionUpdate
from schemas.topics import Topic
from schemas.wire import Codec
from streams.kafka import KafkaConfig

POLL_S = 0.1
TIMEOUT_S = 30.0
CHANGES_MAX = 200
VERDICTS_MAX = 2_000
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Change:
    """A selection that differs from the one before in who serves or with which share."""

    capability: str
    issued_at: datetime
    leader: Candidate | None
    before: str | None
    """The model that led before; None for a capability's first selection."""
    why: str

    @property
    def takes_over(self) -> bool:
        """Whether another model leads now."""
        return self.before is not None and self.leader_id != self.before

    @property
    def leader_id(self) -> str:
        return self.leader.model_id if self.leader else "nobody"


@dataclass(frozen=True, slots=True)
class News:
    """Everything the feed knows, as of now. `changes` and `verdicts` are in order of time."""

    selections: dict[str, SelectionUpdate]
    updates: int
    changes: tuple[Change, ...]
    verdicts: tuple[AbVerdict, ...]


class Bulletin:
    """Keeps what came; filled by one thread, read by others."""

    def __init__(self, org_id: str) -> None:
        self._org_id = org_id
        self._lock = threading.Lock()
        self._selections: dict[str, SelectionUpdate] = {}
        self._updates = 0
        self._changes: deque[Change] = deque(maxlen=CHANGES_MAX)
        self._verdicts: deque[AbVerdict] = deque(maxlen=VERDICTS_MAX)

    def news(self) -> News:
        """A copy of everything."""
        with self._lock:
            return News(
                dict(self._selections), self._updates, tuple(self._changes), tuple(self._verdicts)
            )

    def take(self, record: SelectionUpdate | AbVerdict) -> None:
        """Takes in one record; those of other organisations are not kept."""
        if record.org_id != self._org_id:
            return
        with self._lock:
            if isinstance(record, AbVerdict):
                self._verdicts.append(record)
                return
            before = self._selections.get(record.capability)
            self._selections[record.capability] = record
            self._updates += 1
            change = _change(record, before)
            if change is not None:
                self._changes.append(change)


def leader_of(update: SelectionUpdate) -> Candidate | None:
    """Who serves most; None when nobody may."""
    return next((c for c in update.candidates if c.eligible), None)


def _change(update: SelectionUpdate, before: SelectionUpdate | None) -> Change | None:
    if before is not None and _shares(before) == _shares(update):
        return None
    leader = leader_of(update)
    led = leader_of(before) if before else None
    why = leader.reasons[0] if leader and leader.reasons else update.reason
    return Change(
        update.capability,
        update.issued_at,
        leader,
        None if before is None else led.model_id if led else "nobody",
        why,
    )


def _shares(update: SelectionUpdate) -> list[tuple[str, str, float]]:
    return [(c.model_id, c.model_version, c.weight) for c in update.candidates if c.weight > 0]


class Feed:
    """Fills a bulletin from both topics, from their beginning."""

    def __init__(self, kafka: KafkaConfig, codec: Codec, bulletin: Bulletin) -> None:
        self._kafka = kafka
        self._codec = codec
        self._bulletin = bulletin
        self._records: dict[str, type[SelectionUpdate] | type[AbVerdict]] = {
            kafka.topic(Topic.SELECTION_UPDATES): SelectionUpdate,
            kafka.topic(Topic.AB_VERDICTS): AbVerdict,
        }

    def run(self, stop: threading.Event) -> None:
        """Reads until `stop`. Raises KafkaException when the topics cannot be listed."""
        group = self._kafka.group(f"demo-{uuid.uuid4().hex[:12]}")
        consumer = Consumer({**self._kafka.consumer(group), "log_level": 0})
        try:
            consumer.assign([at for topic in self._records for at in _beginning(consumer, topic)])
            while not stop.is_set():
                for message in consumer.consume(500, POLL_S):
                    if message.error() is None and message.value() is not None:
                        self._take(message)
        finally:
            consumer.close()

    def _take(self, message: Message) -> None:
        record = self._records[str(message.topic())]
        try:
            value = self._codec.decode(message.value() or b"", record.__name__)
            self._bulletin.take(from_record(record, value))
        except ContractError as error:
            log.warning("a message is not readable", topic=message.topic(), error=str(error))


def _beginning(consumer: Consumer, topic: str) -> list[TopicPartition]:
    found = consumer.list_topics(topic, timeout=TIMEOUT_S).topics[topic]
    return [TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in found.partitions]
