"""Applies sinks/migrations in order, once each. One source for a single node and a cluster."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources

import structlog

from sinks.clickhouse import ClickHouse
from sinks.errors import MigrationFailed, SinkBroken

log = structlog.get_logger(__name__)
DEDUPLICATION_WINDOW = 10_000
"""Tokens remembered a table, one for each insert and day or month it touches: hours of batches.

A restart repeats at most the last batch of each worker; a worker that slept asks Kafka for its
partition again before it inserts (see sinks/writer.py).
"""
SYSTEM_LOG_DAYS = 7
ROWS_DAYS = 30
"""How long tables of single rows keep them; the planner keeps runs that ended as long."""


@dataclass(frozen=True, slots=True)
class TableOptions:
    """How the tables are laid out. `cluster` None: one node."""

    database: str = "rheostat"
    cluster: str | None = None
    rows_days: int = ROWS_DAYS
    panes_days: int = 90
    hours_days: int = 730


@dataclass(frozen=True, slots=True)
class Migration:
    """One file. `name` is its stem and its identity."""

    name: str
    sql: str


def migrations() -> Iterator[Migration]:
    """All of them, in order."""
    folder = resources.files("sinks") / "migrations"
    for entry in sorted(folder.iterdir(), key=lambda e: e.name):
        if entry.name.endswith(".sql"):
            yield Migration(entry.name.removesuffix(".sql"), entry.read_text())


def render(sql: str, options: TableOptions) -> list[str]:
    """The statements for these options."""
    replicated = options.cluster is not None
    kind = "replicated" if replicated else "non_replicated"
    values = {
        "database": options.database,
        "on_cluster": f"ON CLUSTER '{options.cluster}'" if replicated else "",
        "deduplicate": f"{kind}_deduplication_window = {DEDUPLICATION_WINDOW}",
        "rows_days": str(options.rows_days),
        "panes_days": str(options.panes_days),
        "hours_days": str(options.hours_days),
    }

    def fill(match: re.Match[str]) -> str:
        name = match[1]
        if "MergeTree" in name:
            return f"Replicated{name}" if replicated else name
        return values[name]

    text = re.sub(r"--[^\n]*", "", sql)
    text = re.sub(r"\{([A-Za-z_]+(?:\([a-z_]+\))?)\}", fill, text)
    return [statement.strip() for statement in text.split(";\n") if statement.strip(" \n;")]


def apply(clickhouse: ClickHouse, options: TableOptions) -> list[str]:
    """Applies what has not succeeded yet; returns the names. Every statement may be repeated.

    Raises MigrationFailed, or Backpressure when ClickHouse does not answer.
    """
    on_cluster = f"ON CLUSTER '{options.cluster}'" if options.cluster else ""
    engine = "ReplicatedMergeTree" if options.cluster else "MergeTree"
    clickhouse.command(f"CREATE DATABASE IF NOT EXISTS {options.database} {on_cluster}")
    clickhouse.command(
        f"CREATE TABLE IF NOT EXISTS {options.database}.schema_migrations {on_cluster} "
        "(name String, applied_at DateTime64(3, 'UTC') DEFAULT now64(3)) "
        f"ENGINE = {engine} ORDER BY name"
    )
    applied = []
    for migration in migrations():
        if has_succeeded(clickhouse, options, migration.name):
            continue
        for statement in render(migration.sql, options):
            try:
                clickhouse.command(statement)
            except SinkBroken as error:
                raise MigrationFailed(f"{migration.name}: {error}\n{statement}") from error
        clickhouse.command(
            f"INSERT INTO {options.database}.schema_migrations (name) VALUES ('{migration.name}')"
        )
        applied.append(migration.name)
        log.info("migration applied", migration=migration.name)
    limit_system_logs(clickhouse)
    return applied


def has_succeeded(clickhouse: ClickHouse, options: TableOptions, name: str) -> bool:
    """Whether the migration is recorded as applied."""
    found = clickhouse.rows(
        f"SELECT count() FROM {options.database}.schema_migrations WHERE name = {{name:String}}",
        {"name": name},
    )
    return bool(found[0][0])


def pending(clickhouse: ClickHouse, options: TableOptions) -> list[str]:
    """Names of migrations that have not been applied; all of them when there is no database."""
    try:
        done = {
            row[0]
            for row in clickhouse.rows(f"SELECT name FROM {options.database}.schema_migrations")
        }
    except SinkBroken:
        done = set()
    return [m.name for m in migrations() if m.name not in done]


def limit_system_logs(clickhouse: ClickHouse) -> None:
    """Gives ClickHouse's own logs a TTL, which they lack by default; skips those it refuses."""
    tables = clickhouse.rows(
        "SELECT name FROM system.tables WHERE database = 'system' AND name LIKE '%\\_log' "
        "AND engine LIKE '%MergeTree' AND create_table_query NOT LIKE '%TTL event_date%'"
    )
    for (name,) in tables:
        try:
            clickhouse.command(
                f"ALTER TABLE system.{name} "
                f"MODIFY TTL event_date + INTERVAL {SYSTEM_LOG_DAYS} DAY DELETE"
            )
        except SinkBroken as error:
            log.warning("system log has no TTL", table=name, error=str(error))
