"""What an agent of the control lane is to the shell that runs it: a book of state per partition.

A book holds its state in memory, changes it by pure functions and says what to store and publish.
It does no I/O. `agents.shell` feeds it the messages of metric-partials, stores its entries in a
changelog and publishes what it decides. Entries carry the offset that they contain, so feeding a
message twice changes nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import NamedTuple, Protocol

from agents.policy.contributions import Contributions, evaluations, production
from schemas.records import ControlRecord
from schemas.topics import Topic
from streams.types import Partials


class Entry(NamedTuple):
    """A piece of state of one source partition. `value` None: deleted."""

    key: bytes
    value: bytes | None


@dataclass(frozen=True)
class Message:
    """One message of metric-partials and where it stood."""

    partition: int
    offset: int
    partials: Partials

    @cached_property
    def production(self) -> Contributions:
        """What it adds to production traffic, worked out once for all books. Read only."""
        return production(self.partials.frame)

    @cached_property
    def evaluations(self) -> Contributions:
        """The same of evaluations; empty at once for a message without any."""
        frame = self.partials.frame
        return evaluations(frame) if (frame["source"] == "evaluation").any() else {}


@dataclass(frozen=True, slots=True)
class Publication:
    """A record to publish, once `entry` (which remembers that it was decided) is stored."""

    partition: int
    entry: Entry
    topic: Topic
    key: str
    record: ControlRecord


class Book(Protocol):
    """All methods are called from one thread; none may block."""

    name: str
    """Names the changelog topic: never change it."""

    def load(self, partition: int, entries: Iterable[tuple[bytes, bytes]]) -> None:
        """Replaces everything known of a partition by what was stored."""
        ...

    def drop(self, partition: int) -> None:
        """Forgets a partition that another worker took over."""
        ...

    def apply(self, message: Message, now: datetime) -> bool:
        """Takes in one message; False when all of it was already contained."""
        ...

    def decide(self, now: datetime) -> Sequence[Publication]:
        """What is to be published now. Called a few times a second."""
        ...

    def unsaved(self, partition: int) -> Sequence[Entry]:
        """State that is not stored yet; afterwards it counts as stored."""
        ...

    def size(self) -> int:
        """Entries held, for the metrics."""
        ...
