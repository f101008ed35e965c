"""The cases that are read and have not ended, by partition, and when to read no more. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from agents.evaluation.runner.outgoing import Outgoing, Partition, Place
from agents.evaluation.runner.progress import WINDOW, Progress

SPAN_MAX = WINDOW // 2
"""Offsets between the oldest case that has not ended and the next to read, before a partition is
paused: what is on its way then still fits the window."""


@dataclass(frozen=True, slots=True)
class Room:
    """How many cases may be held, and how many bytes of them."""

    cases: int = 4_000
    bytes: int = 128 * 1024 * 1024


@dataclass(slots=True)
class Holdings:
    """Our partitions. `batch`: endings that the next transaction carries, by the case's place."""

    room: Room
    batch: dict[Place, Outgoing] = field(default_factory=dict)
    _progress: dict[Partition, Progress] = field(default_factory=dict)
    _sizes: dict[Place, int] = field(default_factory=dict)
    _bytes: int = 0
    _paused: set[Partition] = field(default_factory=set)

    @property
    def partitions(self) -> frozenset[Partition]:
        return frozenset(self._progress)

    @property
    def held(self) -> int:
        """Cases that are read and have not ended."""
        return len(self._sizes)

    def gain(self, partition: Partition, progress: Progress) -> None:
        """A partition is ours now, as it was committed."""
        self._progress[partition] = progress

    def forget(self, partitions: frozenset[Partition]) -> None:
        """They are ours no more: what of them is not committed is their next owner's."""
        for partition in partitions:
            self._progress.pop(partition, None)
            self._paused.discard(partition)
        for place in [p for p in self._sizes if p.where in partitions]:
            self._bytes -= self._sizes.pop(place)
        for place in [p for p in self.batch if p.where in partitions]:
            del self.batch[place]

    def deliver(self, place: Place, size: int) -> bool:
        """A case was read; False: it is not to be executed, as it ended before or is not ours."""
        progress = self._progress.get(place.where)
        if progress is None or place.offset < progress.position:
            return False
        if not progress.deliver(place.offset):
            return False
        self._sizes[place] = size
        self._bytes += size
        return True

    def end(self, place: Place, message: Outgoing | None) -> None:
        """A held case has ended; None: nothing is to be said of it. Others' endings are left."""
        size = self._sizes.pop(place, None)
        progress = self._progress.get(place.where)
        if size is None or progress is None:
            return
        self._bytes -= size
        progress.end(place.offset)
        if message is not None:
            self.batch[place] = message

    def positions(self) -> Mapping[Partition, tuple[int, str]]:
        """What the batch commits for each partition of it: offset and metadata."""
        concerned = sorted({place.where for place in self.batch})
        found = ((where, self._progress[where]) for where in concerned)
        return {where: (at.base, at.metadata()) for where, at in found}

    def settle(self, committed: Mapping[Partition, Progress]) -> None:
        """Takes out of the batch what turned out to be committed."""
        for place in list(self.batch):
            known = committed.get(place.where)
            if known is not None and known.has_ended(place.offset):
                del self.batch[place]

    def balance(self) -> tuple[Sequence[Partition], Sequence[Partition]]:
        """Partitions to pause now, and to resume, so that reading does not outrun ending."""
        full = self.held >= self.room.cases or self._bytes >= self.room.bytes
        roomy = self.held < self.room.cases // 2 and self._bytes < self.room.bytes // 2
        wide = {p for p, at in self._progress.items() if at.span >= SPAN_MAX}
        stop = (set(self._progress) if full else wide) - self._paused
        narrow = {p for p in self._paused if self._progress[p].span < SPAN_MAX // 2}
        go = narrow - stop if roomy else set()
        self._paused = (self._paused | stop) - go
        return sorted(stop), sorted(go)
