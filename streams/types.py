"""The values that travel through the data lane: offsets, raw batches, rejects, partials."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import polars as pl

from schemas.reasons import Reason


@dataclass(frozen=True, slots=True, order=True)
class OffsetSpan:
    """Offsets of one source partition, both ends included; gaps inside are allowed."""

    topic: str
    partition: int
    first: int
    last: int

    @property
    def next_offset(self) -> int:
        """Where reading goes on: what is committed."""
        return self.last + 1


class Coordinates(NamedTuple):
    """Where a message stood. `timestamp_ms` is the broker's (LogAppendTime on our topics)."""

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None


@dataclass(frozen=True, slots=True)
class RawBatch:
    """Messages of one topic as the broker gave them; a null value is None.

    `locate(i)` tells where values[i] stood: asked for rejects only, so that good rows cost nothing.
    `oldest_ms` and `newest_ms` bound the timestamps of the batch.
    """

    topic: str
    values: Sequence[bytes | None]
    locate: Callable[[int], Coordinates]
    oldest_ms: int
    newest_ms: int


@dataclass(frozen=True, slots=True)
class InvalidRecord:
    """A record that cannot be counted: its place in the batch, and why, with the value."""

    row: int
    reason: Reason
    text: str
    field: str | None = None


@dataclass(frozen=True, slots=True)
class Partials:
    """One metric-partials message.

    `frame` is tidy: the columns of `streams.partials.TIDY`, one row a dimension group, pane and
    metric. `spans` are the source offsets it covers, `events` how many events it counts.
    """

    batch_id: str
    produced_at: datetime
    spans: tuple[OffsetSpan, ...]
    events: int
    frame: pl.DataFrame
