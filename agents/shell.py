"""The shell around the books: feed, decide, store, publish, acknowledge. All I/O is behind `Ports`.

Order of a checkpoint, per partition:

1. Collect what the books have not stored, and the events it contains, in one step without waiting.
2. Write the entries to the changelogs and wait until the broker has them.
3. Acknowledge the events, so that Faust commits their offsets.

A crash before 3 replays events whose effect is stored: entries know their offset and skip them.
Order of a publication: store that it was decided (1), wait, publish (2). A crash between them
publishes it again after the restart; nothing is ever published that is not remembered.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

import structlog

from agents.book import Book, Entry, Message, Publication
from agents.changelog import Stored
from agents.errors import AgentsStopped
from streams import telemetry

LANE = "agents"
TICK_S = 0.2
CHECKPOINT_S = 1.0
log = structlog.get_logger(__name__)


class Acknowledged(Protocol):
    """A consumed message that is committed once it is acknowledged."""

    def ack(self) -> bool: ...


class Ports(Protocol):
    """What the shell needs from Kafka. Both raise when the broker does not take everything."""

    async def store(self, book: str, partition: int, entries: Sequence[Entry]) -> None:
        """Returns when the entries are in the book's changelog."""
        ...

    async def publish(self, publications: Sequence[Publication]) -> None:
        """Returns when the records are on their topics."""
        ...


@dataclass(slots=True)
class Shell:
    """Runs books over the partitions that this worker owns."""

    books: Sequence[Book]
    ports: Ports
    health: telemetry.Health
    stall_limit_s: float
    _pending: dict[int, list[Acknowledged]] = field(default_factory=dict)
    _busy: asyncio.Lock = field(default_factory=asyncio.Lock)
    _checkpoint_at: float = 0.0
    _beat_at: float = field(default_factory=time.monotonic)
    _drops: int = 0

    async def restore(self, read: Callable[[], Awaitable[Stored]]) -> None:
        """Loads what `read` brings, unless partitions are taken away while it reads.

        The next assignment then has its own restore, and knows what is still ours.
        """
        drops = self._drops
        stored = await read()
        if drops == self._drops:
            for partition, entries in stored.items():
                self.load(partition, entries)

    def load(self, partition: int, stored: Mapping[str, Sequence[tuple[bytes, bytes]]]) -> None:
        """A partition is ours now; `stored` are its changelog entries by book."""
        self._pending[partition] = []
        for book in self.books:
            book.load(partition, stored.get(book.name, ()))

    async def drop(self) -> None:
        """All partitions may be taken away. Returns when no write of ours is under way."""
        async with self._busy:
            for partition in self._pending:
                for book in self.books:
                    book.drop(partition)
            self._pending.clear()
        self._drops += 1

    def apply(self, partition: int, message: Message | None, event: Acknowledged) -> None:
        """One message, with its event to acknowledge later. None: nothing in it can be used."""
        pending = self._pending.get(partition)
        if pending is None:
            return  # taken away meanwhile: the new owner gets it
        now = datetime.now(UTC)
        if message is not None:
            for book in self.books:
                fresh = book.apply(message, now)
                counter = telemetry.AGENT_MESSAGES if fresh else telemetry.AGENT_REPLAYS
                counter.labels(book.name).inc()
        pending.append(event)

    async def run(self) -> None:
        """Ticks until cancelled. Raises AgentsStopped when this process was stalled for long."""
        self._beat_at = time.monotonic()
        running = {asyncio.create_task(self._watch()), asyncio.create_task(self._tick())}
        try:
            done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in running:
                task.cancel()
            await asyncio.wait(running)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self.health.beat(LANE)
            async with self._busy:
                await self._publish()
                if time.monotonic() - self._checkpoint_at >= CHECKPOINT_S:
                    await self._checkpoint()
                    self._checkpoint_at = time.monotonic()

    async def _watch(self) -> None:
        """Notes that this process runs. Apart from the ticks, which may wait for a slow broker."""
        while True:
            await asyncio.sleep(TICK_S)
            self._check_stall()
            self._beat_at = time.monotonic()

    def _check_stall(self) -> None:
        """A worker that slept through its session must not write: others own its partitions."""
        silent_s = time.monotonic() - self._beat_at
        if silent_s > self.stall_limit_s:
            raise AgentsStopped(
                f"this process stood still for {silent_s:.1f} s; its partitions may have been "
                "taken over, so it must start again"
            )

    async def _publish(self) -> None:
        now = datetime.now(UTC)
        decided = [(book, p) for book in self.books for p in book.decide(now)]
        if not decided:
            return
        by_target: dict[tuple[str, int], list[Entry]] = {}
        for book, publication in decided:
            target = (book.name, publication.partition)
            by_target.setdefault(target, []).append(publication.entry)
        for (name, partition), entries in by_target.items():
            await self._store(name, partition, entries)
        self._check_stall()
        await self.ports.publish([publication for _, publication in decided])
        for _, publication in decided:
            telemetry.PUBLISHED.labels(publication.topic.value).inc()

    async def _checkpoint(self) -> None:
        for partition, pending in self._pending.items():
            events = pending.copy()
            entries = {book.name: book.unsaved(partition) for book in self.books}
            for name, unsaved in entries.items():
                if unsaved:
                    await self._store(name, partition, unsaved)
            for event in events:
                event.ack()
            del pending[: len(events)]
        for book in self.books:
            telemetry.STATE_SIZE.labels(book.name).set(book.size())

    async def _store(self, book: str, partition: int, entries: Sequence[Entry]) -> None:
        self._check_stall()
        await self.ports.store(book, partition, entries)
