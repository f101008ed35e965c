"""What was decided and raised, as it was stored: verdicts, selections and alerts. One organisation
at a time, the newest first.

Lists are paged by the place of the last row seen, so that rows that arrive meanwhile move nothing.
Times are milliseconds since 1970.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from schemas.records import AbVerdict, Alert, SelectionUpdate
from sinks import stored
from sinks.clickhouse import ClickHouse
from sinks.stored import Stored

T = TypeVar("T")
Place = Sequence[Any]
FOREVER = (0, 2**62)


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """A table as a list. `at`: the column of its time. `tie`: what orders rows of one instant and
    tells them apart, with its type; rows alike in both are told once. Partitions of a topic number
    their offsets apart, so time comes first. `filters`: columns that may be asked for."""

    table: str
    stored: Stored[T]
    at: str
    filters: tuple[str, ...]
    tie: tuple[str, str] = ("src_offset", "UInt64")


VERDICTS: Listing[AbVerdict] = Listing("ab_verdicts", stored.VERDICTS, "as_of", ("ab_test_id",))
SELECTIONS: Listing[SelectionUpdate] = Listing(
    "selection_updates", stored.SELECTIONS, "issued_at", ("capability",)
)
ALERTS: Listing[Alert] = Listing(
    "alerts",
    stored.ALERTS,
    "raised_at",
    ("kind", "severity", "capability", "model_id", "ab_test_id"),
    # An alert that was published again has another offset, and is the same alert.
    ("alert_id", "String"),
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows of an organisation. `filters`: columns and what they must be; None: anything.
    `span`: (from, before). `before`: the place of the last row seen; None: from the newest on."""

    org_id: str
    filters: Mapping[str, str | None]
    span: tuple[int, int] = FOREVER
    before: Place | None = None
    limit: int = 1


@dataclass(frozen=True, slots=True)
class Seen(Generic[T]):
    """A record and the place of its row to page from."""

    record: T
    place: tuple[int | str, ...]


def page(clickhouse: ClickHouse, listing: Listing[T], wanted: Wanted) -> list[Seen[T]]:
    """Raises Backpressure, SinkBroken; ValueError for a column that the list is not filtered by."""
    given = {name: value for name, value in wanted.filters.items() if value is not None}
    if not given.keys() <= set(listing.filters):
        raise ValueError(f"{listing.table} is filtered by {listing.filters}, not by {[*given]}")
    tie, kind = listing.tie
    conditions = ["org_id = {org_id:String}", "at >= {since:Int64}", "at < {until:Int64}"]
    conditions += [f"{name} = {{{name}:String}}" for name in given]
    since, until = wanted.span
    parameters = {
        "database": clickhouse.database,
        "org_id": wanted.org_id,
        "since": since,
        "until": until,
        "limit": wanted.limit,
        **given,
    }
    if wanted.before is not None:
        conditions.append(f"(at, {tie}) < ({{last_at:Int64}}, {{last_tie:{kind}}})")
        parameters["last_at"], parameters["last_tie"] = wanted.before
    rows = clickhouse.rows(
        f"SELECT toUnixTimestamp64Milli({listing.at}) AS at, {tie} AS tie, {listing.stored.columns}"
        f" FROM {{database:Identifier}}.{listing.table} WHERE {' AND '.join(conditions)}"
        " ORDER BY at DESC, tie DESC LIMIT 1 BY at, tie LIMIT {limit:UInt32}"
        " SETTINGS max_execution_time = 20",
        parameters,
    )
    return [Seen(listing.stored.record(row[2:]), (row[0], row[1])) for row in rows]
