"""What is decided, as it is decided: two followers a process (verdicts and selections), any number
of readers.

Both topics are compacted, so what is newest of every key is the whole truth, and that is what is
kept here. An event's id says how far each partition was read, so that any process can resume after
it: a reader gets everything that is newest now and was not when it left. What was replaced in
between is skipped: it is history, which the lists of verdicts and selections hold.

A reader has room for QUEUE_MAX events. Who does not read them in time is told so and disconnected.
"""

import asyncio
import base64
import binascii
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Literal, Self

import orjson
import structlog
from confluent_kafka import Message

from schemas.convert import from_record
from schemas.errors import ContractError
from schemas.records import AbVerdict, SelectionUpdate
from schemas.topics import Topic
from schemas.wire import Codec
from streams.errors import ViewNotLoaded
from streams.follow import Follower
from streams.kafka import KafkaConfig
from streams.lifecycle import Startable

QUEUE_MAX = 1_000
Kind = Literal["verdict", "selection"]
KINDS: Mapping[Topic, tuple[Kind, type[AbVerdict] | type[SelectionUpdate]]] = {
    Topic.AB_VERDICTS: ("verdict", AbVerdict),
    Topic.SELECTION_UPDATES: ("selection", SelectionUpdate),
}
Offsets = Mapping[tuple[Kind, int], int]
"""The next offset of each partition."""
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Happened:
    """One record with its place."""

    kind: Kind
    partition: int
    offset: int
    record: AbVerdict | SelectionUpdate

    @property
    def data(self) -> str:
        """The record as JSON."""
        return orjson.dumps(asdict(self.record), option=orjson.OPT_UTC_Z).decode()

    def after(self, offsets: Offsets) -> bool:
        """Whether it is news to somebody who read up to there."""
        return self.offset >= offsets.get((self.kind, self.partition), 0)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a reader wants to hear of. `names`: capabilities or A/B tests; empty: all."""

    org_id: str
    kinds: frozenset[Kind]
    capabilities: frozenset[str] = frozenset()
    ab_test_ids: frozenset[str] = frozenset()

    def wants(self, happened: Happened) -> bool:
        """The only place where the stream is cut to an organisation."""
        record = happened.record
        if record.org_id != self.org_id or happened.kind not in self.kinds:
            return False
        if self.capabilities and record.capability not in self.capabilities:
            return False
        return not (
            self.ab_test_ids
            and isinstance(record, AbVerdict)
            and record.ab_test_id not in self.ab_test_ids
        )


@dataclass(slots=True, eq=False)
class Reader:
    """One who listens. `overflowed`: it was too slow, and gets nothing any more."""

    wish: Wish
    loop: asyncio.AbstractEventLoop
    offsets: dict[tuple[Kind, int], int]
    queue: asyncio.Queue[Happened] = field(default_factory=lambda: asyncio.Queue(QUEUE_MAX))
    overflowed: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, happened: Happened) -> None:
        """In the reader's loop."""
        if self.overflowed.is_set():
            return
        try:
            self.queue.put_nowait(happened)
        except asyncio.QueueFull:
            self.overflowed.set()

    def advance(self, happened: Happened) -> str:
        """The id of an event that the reader is about to get: everything up to it."""
        self.offsets[happened.kind, happened.partition] = happened.offset + 1
        return event_id(self.offsets)


class Live(Startable):
    """For any number of readers in any loop."""

    def __init__(self, kafka: KafkaConfig, codec: Codec) -> None:
        self._codec = codec
        self._lock = threading.Lock()
        self._newest: dict[tuple[Kind, bytes], Happened] = {}
        self._readers: set[Reader] = set()
        self._kafka = kafka
        self._followers: list[Follower] = []

    def start(self) -> Self:
        """Begins to follow; returns at once."""
        self._followers = [
            Follower(self._kafka, topic, partial(self.take, topic)) for topic in KINDS
        ]
        for follower in self._followers:
            follower.start()
        return self

    def close(self) -> None:
        """Ends the threads."""
        for follower in self._followers:
            follower.close()

    def check(self) -> None:
        """Raises ViewNotLoaded until both topics were read once, ViewFailed."""
        if not self._followers:
            raise ViewNotLoaded("what is decided is not followed yet")
        for follower in self._followers:
            follower.wait_loaded(0)

    def join(self, wish: Wish, offsets: Offsets) -> Reader:
        """A reader that gets what stands now and is news to it, then what comes. In its loop."""
        with self._lock:
            reader = Reader(wish, asyncio.get_running_loop(), dict(offsets))
            standing = [h for h in self._newest.values() if wish.wants(h) and h.after(offsets)]
            self._readers.add(reader)
        reader.queue = asyncio.Queue(QUEUE_MAX + len(standing))
        # In the order of each partition, or an id would claim what was not sent yet.
        for happened in sorted(standing, key=lambda h: (h.partition, h.offset)):
            reader.queue.put_nowait(happened)
        return reader

    def leave(self, reader: Reader) -> None:
        """Ends it."""
        with self._lock:
            self._readers.discard(reader)

    @property
    def readers(self) -> int:
        """How many listen now."""
        return len(self._readers)

    def take(self, topic: Topic, messages: Sequence[Message]) -> None:
        """What a follower brings, in its thread."""
        found = list(self._decoded(topic, messages))
        with self._lock:
            for key, happened in found:
                if happened is None:
                    self._newest.pop(key, None)
                    continue
                self._newest[key] = happened
                for reader in list(self._readers):
                    if reader.wish.wants(happened):
                        self._hand(reader, happened)

    def _hand(self, reader: Reader, happened: Happened) -> None:
        try:
            reader.loop.call_soon_threadsafe(reader.put, happened)
        except RuntimeError:  # its loop is closed
            self._readers.discard(reader)

    def _decoded(
        self, topic: Topic, messages: Sequence[Message]
    ) -> Iterator[tuple[tuple[Kind, bytes], Happened | None]]:
        kind, cls = KINDS[topic]
        for message in messages:
            key, value = (kind, message.key() or b""), message.value()
            if value is None:
                yield key, None
                continue
            try:
                record = from_record(cls, self._codec.decode(value, cls.__name__))
            except ContractError as error:
                log.error("record skipped", topic=topic.value, error=str(error))
                continue
            place = message.partition() or 0, message.offset() or 0
            yield key, Happened(kind, *place, record)


def event_id(offsets: Offsets) -> str:
    """How far a reader has read, as text."""
    parts = [f"{kind[0]}{p}:{offset}" for (kind, p), offset in sorted(offsets.items())]
    return base64.urlsafe_b64encode(",".join(parts).encode()).decode().rstrip("=")


def offsets_of(text: str) -> dict[tuple[Kind, int], int]:
    """The inverse of `event_id`. Raises ValueError for any other text."""
    names: dict[str, Kind] = {"v": "verdict", "s": "selection"}
    found: dict[tuple[Kind, int], int] = {}
    try:
        plain = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("ascii")
        for part in plain.split(","):
            place, _, offset = part.partition(":")
            found[names[place[0]], int(place[1:])] = int(offset)
    except (binascii.Error, UnicodeError, KeyError, IndexError, ValueError) as error:
        raise ValueError(f"{text!r} is no id of an event of this stream") from error
    return found
