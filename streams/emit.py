"""What leaves the data lane: partials and dead letters, as messages of one transaction."""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl
from confluent_kafka import murmur2

from schemas.wire import Codec
from streams.partials import to_ipc
from streams.times import moment
from streams.types import InvalidRecord, OffsetSpan, RawBatch

PARTIALS_BYTES_MAX = 8 * 1024 * 1024
YEAR_9999_MS = 253_370_764_800_000


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to produce. `partition` None: by key."""

    value: bytes
    key: bytes | None
    partition: int | None = None


@dataclass(frozen=True, slots=True)
class Envelope:
    """What every partials message of a batch says."""

    worker_id: str
    produced_at: datetime
    spans: tuple[OffsetSpan, ...]


def partials(
    wide: Sequence[pl.DataFrame],
    tidy: Sequence[pl.DataFrame],
    envelope: Envelope,
    partitions: int,
    codec: Codec,
) -> Iterator[Outgoing]:
    """One message for each target partition: all groups of an organisation go to the same one."""
    by_target: dict[int, tuple[list[pl.DataFrame], list[pl.DataFrame]]] = {}
    for which, frames in enumerate((wide, tidy)):
        for frame in frames:
            for target, part in _by_partition(frame, partitions):
                by_target.setdefault(target, ([], []))[which].append(part)
    for target, (wides, tidies) in sorted(by_target.items()):
        yield from _messages(
            pl.concat(wides) if wides else None,
            pl.concat(tidies) if tidies else None,
            envelope,
            target,
            codec,
        )


def _by_partition(frame: pl.DataFrame, partitions: int) -> Iterator[tuple[int, pl.DataFrame]]:
    """The rows of each target partition, by the hash that Java's and our producers use for keys.

    An organisation's rows stand together: they are cut out without being copied.
    """
    parts: dict[int, list[pl.DataFrame]] = {}
    begin = 0
    for length, org in frame["org_id"].rle().struct.unnest().rows():
        target = target_partition(org, partitions)
        parts.setdefault(target, []).append(frame.slice(begin, length))
        begin += length
    for target in sorted(parts):
        yield target, pl.concat(parts[target], rechunk=False)


def target_partition(org_id: str, partitions: int) -> int:
    """Where the partials of an organisation go."""
    return int(murmur2(org_id.encode(), partitions))


def _messages(
    wide: pl.DataFrame | None,
    tidy: pl.DataFrame | None,
    envelope: Envelope,
    target: int,
    codec: Codec,
) -> Iterator[Outgoing]:
    wide_bytes = None if wide is None else to_ipc(wide)
    tidy_bytes = None if tidy is None else to_ipc(tidy)
    size = len(wide_bytes or b"") + len(tidy_bytes or b"")
    rows = (0 if wide is None else wide.height) + (0 if tidy is None else tidy.height)
    if size > PARTIALS_BYTES_MAX and rows > 1:
        # Partials add up: the halves together are the whole.
        for half in (0, 1):
            yield from _messages(_half(wide, half), _half(tidy, half), envelope, target, codec)
        return
    record = {
        "batch_id": uuid.uuid4().hex,
        "worker_id": envelope.worker_id,
        "produced_at": envelope.produced_at,
        "spans": [
            {
                "topic": s.topic,
                "partition": s.partition,
                "first_offset": s.first,
                "last_offset": s.last,
            }
            for s in envelope.spans
        ],
        "events": _events(wide, tidy),
        "rows": rows,
        "wide": wide_bytes,
        "tidy": tidy_bytes,
    }
    orgs = {org for frame in (wide, tidy) if frame is not None for org in frame["org_id"].unique()}
    key = orgs.pop().encode() if len(orgs) == 1 else None
    yield Outgoing(codec.encode("MetricPartials", record), key, target)


def _half(frame: pl.DataFrame | None, half: int) -> pl.DataFrame | None:
    if frame is None:
        return None
    middle = frame.height // 2
    part = frame[middle:] if half else frame[:middle]
    return part if part.height else None


def _events(wide: pl.DataFrame | None, tidy: pl.DataFrame | None) -> int:
    """Events counted: every inference has an error metric, every feedback is one row's count."""
    inferences = 0 if wide is None else int(wide["error.n"].sum())
    return inferences + (0 if tidy is None else int(tidy["n"].sum()))


def _claimed(timestamp_ms: int) -> datetime:
    """A message's timestamp; on a topic with CreateTime a producer may claim any."""
    return moment(min(max(0, timestamp_ms), YEAR_9999_MS))


def dead_letter(batch: RawBatch, reject: InvalidRecord, now: datetime, codec: Codec) -> Outgoing:
    """The untouched bytes of a record, where it stood and why it was rejected."""
    at = batch.locate(reject.row)
    record = {
        "source_topic": batch.topic,
        "source_partition": at.partition,
        "source_offset": at.offset,
        "source_timestamp": _claimed(at.timestamp_ms),
        "key": at.key,
        "value": batch.values[reject.row],
        "reason_code": reject.reason.value,
        "reason": reject.text,
        "field": reject.field,
        "rejected_at": now,
    }
    return Outgoing(codec.encode("DeadLetter", record), batch.topic.encode())
