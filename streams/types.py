"""The values that travel through the data lane: spans of offsets, raw batches, partials."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl


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


@dataclass(frozen=True, slots=True)
class RawBatch:
    """Messages of one topic and partition, in offset order, as the broker gave them.

    `values[i]` belongs to `offsets[i]`; None is a null value.
    """

    topic: str
    partition: int
    offsets: Sequence[int]
    values: Sequence[bytes | None]


@dataclass(frozen=True, slots=True)
class Partials:
    """One metric-partials message.

    `frame` is tidy: the columns of `streams.partials.TIDY`, one row a dimension group, pane and
    metric.
    `spans` are the source offsets it covers, `events` how many events it counts.
    """

    batch_id: str
    produced_at: datetime
    spans: tuple[OffsetSpan, ...]
    events: int
    frame: pl.DataFrame
