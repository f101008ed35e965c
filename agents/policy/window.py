"""A rolling window of event time over tallies: blocks go in, old blocks come out, sums stay exact.

    watermark - length                     watermark
        |  block  |  block  | ... |  block  |
        expired <-|                 newest pane seen, but never ahead of the clock

Blocks are the unit of storage: short enough that the window is right to 1/60 of its length, few
enough that state does not grow with traffic. A row for a block that is already out of the window is
too late to matter and is dropped.

Every block carries the offset of the last message of its source partition that it contains, so a
replayed message is recognised block by block (several blocks are not stored in one atomic step).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from agents.policy.contributions import ModelKey
from agents.policy.sums import Tally, dump, load
from streams.partials import PANE_MS

WIDTHS_MS = (PANE_MS, 60_000, 600_000, 3_600_000)
BLOCKS_MIN = 60
UNPACKED_MAX = 4
"""Blocks that stay decoded between messages; older ones are touched by late rows only."""


class Span(NamedTuple):
    """Where a block stands in event time."""

    start_ms: int
    width_ms: int

    @property
    def end_ms(self) -> int:
        return self.start_ms + self.width_ms


def block_width_ms(length_ms: int) -> int:
    """The widest block that still cuts a window of this length into at least BLOCKS_MIN."""
    return max((w for w in WIDTHS_MS if w * BLOCKS_MIN <= length_ms), default=PANE_MS)


@dataclass(slots=True)
class Block:
    """The tallies of one stretch, as values or packed as JSON values, and its applied offset."""

    offset: int
    tallies: dict[ModelKey, Tally] | None
    packed: list[Any] | None = None

    def unpack(self) -> dict[ModelKey, Tally]:
        """The tallies as values that may be changed."""
        if self.tallies is None:
            self.tallies = {ModelKey(*key): load(value) for key, value in self.packed or ()}
        self.packed = None
        return self.tallies

    def pack(self) -> list[Any]:
        """The tallies as JSON values."""
        if self.packed is None:
            tallies = sorted((self.tallies or {}).items())
            self.packed = [[list(key), dump(tally)] for key, tally in tallies]
        return self.packed


@dataclass(slots=True)
class Window:
    """The blocks of one capability and their sum by model."""

    blocks: dict[Span, Block] = field(default_factory=dict)
    sums: dict[ModelKey, Tally] = field(default_factory=dict)
    watermark_ms: int = 0
    changed: set[Span] = field(default_factory=set)
    removed: set[Span] = field(default_factory=set)

    def apply(
        self,
        panes: Mapping[int, Mapping[ModelKey, Tally]],
        offset: int,
        length_ms: int,
        now_ms: int,
    ) -> bool:
        """Adds the rows of one message; whether anything changed.

        Rows that a block already contains (a replay) and rows older than the window are skipped.
        """
        newest = max((pane + PANE_MS for pane in panes), default=0)
        self.watermark_ms = max(self.watermark_ms, min(newest, now_ms))
        width = block_width_ms(length_ms)
        horizon = self.watermark_ms - length_ms
        added = {Span(pane // width * width, width) for pane in panes}
        fresh = {s for s in added if s.end_ms > horizon and self._offset(s) < offset}
        for pane, tallies in panes.items():
            span = Span(pane // width * width, width)
            if span in fresh:
                self._add(span, tallies)
        for span in fresh:
            self.blocks[span].offset = offset
            self.changed.add(span)
            self.removed.discard(span)
        return bool(fresh) | self.expire(length_ms)

    def expire(self, length_ms: int) -> bool:
        """Takes out what has left the window; whether there was anything."""
        horizon = self.watermark_ms - length_ms
        old = [span for span in self.blocks if span.end_ms <= horizon]
        for span in old:
            for key, tally in self.blocks.pop(span).unpack().items():
                self._subtract(key, tally)
            self.changed.discard(span)
            self.removed.add(span)
        return bool(old)

    def restore(self, span: Span, offset: int, packed: list[Any]) -> None:
        """Puts a stored block back."""
        block = Block(offset, None, packed)
        for key, tally in block.unpack().items():
            self.sums.setdefault(key, Tally()).add(tally)
        block.pack()
        block.tallies = None
        self.blocks[span] = block

    def unsaved(self) -> Iterator[tuple[Span, Block | None]]:
        """Blocks to store, then blocks to delete (None); forgets that they were unsaved."""
        changed, removed = sorted(self.changed), sorted(self.removed)
        self.changed.clear()
        self.removed.clear()
        for span in changed:
            yield span, self.blocks[span]
        for span in removed:
            yield span, None
        for span in sorted(self.blocks)[:-UNPACKED_MAX]:
            self.blocks[span].pack()
            self.blocks[span].tallies = None

    def _offset(self, span: Span) -> int:
        block = self.blocks.get(span)
        return -1 if block is None else block.offset

    def _add(self, span: Span, tallies: Mapping[ModelKey, Tally]) -> None:
        block = self.blocks.setdefault(span, Block(-1, {}))
        held = block.unpack()
        for key, tally in tallies.items():
            held.setdefault(key, Tally()).add(tally)
            self.sums.setdefault(key, Tally()).add(tally)

    def _subtract(self, key: ModelKey, tally: Tally) -> None:
        left = self.sums[key]
        left.subtract(tally)
        if left == Tally():
            del self.sums[key]
