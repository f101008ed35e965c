"""Putting rejected records back on their topics: the untouched bytes, once, with a note of it.

The record and its note (topic dead-letter-replays, keyed by the letter) are one transaction. All
processes share one transactional id, and look for the note after they have taken the id over:

1. take over the id: what another process had under way ends, committed or aborted;
2. read the notes to their end; one of this letter: it was replayed before;
3. produce record and note, and commit: that fails if the id was taken over since 1.

So of any number of processes and repetitions exactly one commits, and a crash leaves both or none.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from confluent_kafka import KafkaException, Message, Producer

from schemas.topics import Topic
from streams.errors import ReplayFailed, ViewFailed, ViewNotLoaded
from streams.follow import Follower
from streams.kafka import KafkaConfig
from streams.lifecycle import Startable

TIMEOUT_S = 10.0
LETTER_HEADER = "rheostat-dead-letter"
"""On the record that is put back: which letter it was."""


@dataclass(frozen=True, slots=True)
class Replay:
    """That a letter was put back: by whom and when."""

    author: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Bytes:
    """A record as it was: its topic's name on the broker, its key and value."""

    topic: str
    key: bytes | None
    value: bytes | None


class Replays(Startable):
    """For any number of threads; one replay at a time."""

    def __init__(self, kafka: KafkaConfig) -> None:
        self._kafka = kafka
        self._notes: dict[str, Replay] = {}
        self._follower = Follower(kafka, Topic.DEAD_LETTER_REPLAYS, self._take)
        self._busy = threading.Lock()

    def start(self) -> Self:
        """Begins to read the notes; returns at once."""
        self._follower.start()
        return self

    def close(self) -> None:
        """Ends the thread."""
        self._follower.close()

    def of(self, letter_id: str) -> Replay | None:
        """Whether a letter was replayed, as far as is known now."""
        return self._notes.get(letter_id)

    def replay(
        self, letter_id: str, record: Bytes, author: str, now: datetime
    ) -> tuple[Replay, bool]:
        """The note of the replay, and whether it was made now; False: the letter was replayed
        before, and nothing is written.

        Raises ReplayFailed when Kafka does not answer: the same call may be made again.
        """
        with self._busy:
            try:
                return self._replay(letter_id, record, author, now)
            except KafkaException as error:
                why = error.args[0]
                raise ReplayFailed(f"the record was not put back: {why}") from error
            except (ViewNotLoaded, ViewFailed) as error:
                raise ReplayFailed(f"it is not known what was put back before: {error}") from error

    def _replay(
        self, letter_id: str, record: Bytes, author: str, now: datetime
    ) -> tuple[Replay, bool]:
        own = {"transactional.id": self._kafka.group("replays"), "log_level": 0}
        producer: Any = Producer({**self._kafka.producer(linger_ms=0), **own})
        producer.init_transactions(TIMEOUT_S)
        self._follower.catch_up(TIMEOUT_S)
        before = self._notes.get(letter_id)
        if before is not None:
            return before, False
        note = [("author", author.encode()), ("at", now.astimezone(UTC).isoformat().encode())]
        producer.begin_transaction()
        producer.produce(
            record.topic, record.value, record.key, headers=[(LETTER_HEADER, letter_id.encode())]
        )
        notes = self._kafka.topic(Topic.DEAD_LETTER_REPLAYS)
        producer.produce(notes, None, letter_id.encode(), headers=note)
        producer.commit_transaction(TIMEOUT_S)
        return Replay(author, now), True

    def _take(self, messages: Sequence[Message]) -> None:
        for message in messages:
            found: Any = message.headers() or ()
            headers = {name: bytes(value or b"") for name, value in found}
            key = message.key()
            if key is None or not {"author", "at"} <= set(headers):
                continue  # not written by us
            at = datetime.fromisoformat(headers["at"].decode())
            replay = Replay(headers["author"].decode(), at)
            self._notes.setdefault(key.decode(errors="replace"), replay)
