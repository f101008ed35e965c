"""Dead letters as they were stored: what was rejected, where it stood and why. They belong to no
organisation here: whoever shows them must decide whose they are."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sinks.clickhouse import ClickHouse
from streams.times import moment

Place = tuple[int, int, int]
"""Of a row in the list: when it was rejected (ms), its partition and offset in dead-letters."""
FIRST: Place = (2**62, 0, 0)


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter. `key` and `value` are the untouched bytes; `value` is None also where only
    `value_bytes` was asked for. `source_topic`: the name on the broker."""

    partition: int
    offset: int
    source_topic: str
    source_partition: int
    source_offset: int
    source_timestamp: datetime | None
    rejected_at: datetime
    reason_code: str
    reason: str
    field: str | None
    key: bytes | None
    value: bytes | None
    value_bytes: int | None

    @property
    def letter_id(self) -> str:
        """Its place in dead-letters."""
        return f"{self.partition}-{self.offset}"

    @property
    def place(self) -> Place:
        """To page from."""
        return int(self.rejected_at.timestamp() * 1000), self.partition, self.offset


@dataclass(frozen=True, slots=True)
class LetterFilter:
    """What is looked for; '' is anything. `mentions`: bytes that the value holds. Times in ms."""

    source_topic: str = ""
    reason_code: str = ""
    mentions: str = ""
    since_ms: int = 0
    until_ms: int = 2**62


def letters(
    clickhouse: ClickHouse,
    wanted: LetterFilter,
    before: Place | None,
    limit: int,
    value_bytes_max: int,
) -> list[Letter]:
    """The newest first, values only up to a size. Raises Backpressure, SinkBroken."""
    at, partition, offset = before or FIRST
    rows = clickhouse.rows(
        _LETTERS,
        {
            "database": clickhouse.database,
            "topic": wanted.source_topic,
            "reason": wanted.reason_code,
            "mentions": wanted.mentions,
            "since": wanted.since_ms,
            "until": wanted.until_ms,
            "at": at,
            "partition": partition,
            "offset": offset,
            "limit": limit,
            "most": value_bytes_max,
        },
    )
    return [_letter(row) for row in rows]


def letter(clickhouse: ClickHouse, partition: int, offset: int) -> Letter | None:
    """One, with its whole value. Raises Backpressure, SinkBroken."""
    rows = clickhouse.rows(
        _LETTER,
        {
            "database": clickhouse.database,
            "partition": partition,
            "offset": offset,
            "most": 2**62,
        },
    )
    return _letter(rows[0]) if rows else None


def _letter(row: Sequence[Any]) -> Letter:
    at, partition, offset, topic, place, source_offset, stamped, code, reason, field = row[:10]
    key, value, size = row[10:]
    return Letter(
        partition=partition,
        offset=offset,
        source_topic=topic,
        source_partition=place,
        source_offset=source_offset,
        source_timestamp=None if stamped is None else moment(stamped),
        rejected_at=moment(at),
        reason_code=code,
        reason=reason,
        field=field,
        key=None if key is None else base64.b64decode(key),
        value=None if value is None else base64.b64decode(value),
        value_bytes=size,
    )


_COLUMNS = """toUnixTimestamp64Milli(rejected_at) AS at, src_partition, src_offset, source_topic,
    source_partition, source_offset, toUnixTimestamp64Milli(source_timestamp), reason_code, reason,
    field, base64Encode(key),
    if(length(value) <= {most:Int64}, base64Encode(value), NULL), length(value)"""

_LETTERS = f"""
SELECT {_COLUMNS}
FROM {{database:Identifier}}.dead_letters
WHERE ({{topic:String}} = '' OR source_topic = {{topic:String}})
    AND ({{reason:String}} = '' OR reason_code = {{reason:String}})
    AND at >= {{since:Int64}} AND at < {{until:Int64}}
    AND (at, src_partition, src_offset) < ({{at:Int64}}, {{partition:UInt32}}, {{offset:UInt64}})
    AND ({{mentions:String}} = '' OR position(ifNull(value, ''), {{mentions:String}}) > 0)
ORDER BY at DESC, src_partition DESC, src_offset DESC
LIMIT {{limit:UInt32}}
SETTINGS max_execution_time = 20
"""

_LETTER = f"""
SELECT {_COLUMNS}
FROM {{database:Identifier}}.dead_letters
WHERE src_partition = {{partition:UInt32}} AND src_offset = {{offset:UInt64}}
LIMIT 1
SETTINGS max_execution_time = 20
"""
