"""Who changed what in the registry, and who tried to. One organisation at a time, newest first.

Both lists are paged by the place of the last row seen (`before`), so that rows that arrive
meanwhile move nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from sinks.clickhouse import ClickHouse
from streams.times import moment


@dataclass(frozen=True, slots=True)
class FactRow:
    """One version of an entity. `entity`: its fields as JSON values; None after a null.

    Deletions say what was deleted. `offset` is the place to page from.
    """

    key: str
    version: int
    author: str
    accepted_at: datetime | None
    command_id: str
    deleted: bool
    entity: dict[str, Any] | None
    offset: int


@dataclass(frozen=True, slots=True)
class ProblemRow:
    """Why a change was not made."""

    field: str
    text: str
    current_version: int | None


@dataclass(frozen=True, slots=True)
class CommandRow:
    """One change of a judged command. (`offset`, `change`) is the place to page from."""

    command_id: str
    change: int
    key: str
    action: str
    status: str
    author: str
    submitted_at: datetime
    decided_at: datetime
    expected_version: int | None
    version: int | None
    problems: tuple[ProblemRow, ...]
    offset: int


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """What is looked for; '' or None: anything. Times are aware, `until` exclusive."""

    key: str = ""
    kind: str = ""
    author: str = ""
    status: str = ""
    since: datetime | None = None
    until: datetime | None = None


def history(
    clickhouse: ClickHouse, org_id: str, key: str, before: int | None = None, limit: int = 100
) -> list[FactRow]:
    """The versions of one entity. Raises Backpressure, SinkBroken."""
    rows = clickhouse.rows(
        _HISTORY,
        {
            "database": clickhouse.database,
            "org_id": org_id,
            "key": key,
            "before": -1 if before is None else before,
            "limit": limit,
        },
    )
    return [_fact(row) for row in rows]


def commands(
    clickhouse: ClickHouse,
    org_id: str,
    wanted: AuditFilter,
    before: tuple[int, int] | None = None,
    limit: int = 100,
) -> list[CommandRow]:
    """Changes that were judged, the refused ones too. Raises Backpressure, SinkBroken."""
    offset, change = (-1, 0) if before is None else before
    rows = clickhouse.rows(
        _COMMANDS,
        {
            "database": clickhouse.database,
            "org_id": org_id,
            "key": wanted.key,
            "kind": wanted.kind,
            "author": wanted.author,
            "status": wanted.status,
            "since": _ms(wanted.since, 0),
            "until": _ms(wanted.until, _FOREVER_MS),
            "offset": offset,
            "change": change,
            "limit": limit,
        },
    )
    return [_command(row) for row in rows]


def _fact(row: Sequence[Any]) -> FactRow:
    key, version, author, accepted_ms, command_id, deleted, entity, offset = row
    return FactRow(
        key=key,
        version=version,
        author=author,
        accepted_at=None if accepted_ms is None else moment(accepted_ms),
        command_id=command_id,
        deleted=bool(deleted),
        entity=orjson.loads(entity) if entity else None,
        offset=offset,
    )


def _command(row: Sequence[Any]) -> CommandRow:
    command_id, change, key, action, status, author, submitted_ms, decided_ms = row[:8]
    expected_version, version, fields, texts, versions, offset = row[8:]
    return CommandRow(
        command_id=command_id,
        change=change,
        key=key,
        action=action,
        status=status,
        author=author,
        submitted_at=moment(submitted_ms),
        decided_at=moment(decided_ms),
        expected_version=expected_version,
        version=version,
        problems=tuple(map(ProblemRow, fields, texts, versions)),
        offset=offset,
    )


def _ms(moment: datetime | None, otherwise: int) -> int:
    return otherwise if moment is None else int(moment.timestamp() * 1000)


_FOREVER_MS = 10_000_000_000_000
_HISTORY = """
SELECT key, version, author, toUnixTimestamp64Milli(accepted_at), command_id, deleted, entity,
    src_offset
FROM {database:Identifier}.registry
WHERE org_id = {org_id:String} AND key = {key:String}
    AND ({before:Int64} < 0 OR src_offset < {before:Int64})
ORDER BY src_offset DESC
LIMIT {limit:UInt32}
"""
_COMMANDS = """
SELECT command_id, change, key, action, status, author, toUnixTimestamp64Milli(submitted_at),
    toUnixTimestamp64Milli(decided_at), expected_version, version, problems.field, problems.text,
    problems.current_version, src_offset
FROM {database:Identifier}.registry_commands
WHERE org_id = {org_id:String}
    AND ({key:String} = '' OR key = {key:String})
    AND ({kind:String} = '' OR kind = {kind:String})
    AND ({author:String} = '' OR author = {author:String})
    AND ({status:String} = '' OR status = {status:String})
    AND decided_at >= fromUnixTimestamp64Milli({since:Int64})
    AND decided_at < fromUnixTimestamp64Milli({until:Int64})
    AND ({offset:Int64} < 0 OR (src_offset, -toInt64(change)) < ({offset:Int64}, -{change:Int64}))
ORDER BY src_offset DESC, change
LIMIT {limit:UInt32}
"""
