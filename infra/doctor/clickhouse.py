"""ClickHouse: who answers, migrations, tables, and the dead letters stored lately."""

import re
from collections.abc import Iterator

from infra.clickhouse_admin import ask, query
from infra.configuration import hidden
from infra.doctor.finding import Finding, found_or, hint, ok, problem
from infra.settings import Settings
from sinks.clickhouse import ClickHouse
from sinks.migrate import TableOptions, migrations, pending, render

DEAD_LETTERS = """
SELECT reason_code, source_topic, count() AS letters FROM {database}.dead_letters
WHERE rejected_at > now() - INTERVAL 1 HOUR GROUP BY reason_code, source_topic ORDER BY letters DESC
"""
OPTIONS = TableOptions()


def server(settings: Settings) -> Iterator[Finding]:
    """Whether ClickHouse answers, and which."""
    answer = ask(settings)
    yield ok(
        "ClickHouse",
        f"{hidden(settings.clickhouse)} answers in {answer.within_s * 2000:.0f} ms: "
        f"version {answer.version}",
    )


def tables(settings: Settings) -> list[Finding]:
    """Whether migrations are pending, and whether what they made is still there."""
    clickhouse = ClickHouse(settings.clickhouse, timeout_s=8.0)
    try:
        waiting = pending(clickhouse, OPTIONS)
    finally:
        clickhouse.close()
    if waiting:
        return [
            problem(
                "tables",
                f"{len(waiting)} migrations are not applied: {', '.join(waiting)}",
                "tables or columns that the sinks write to are missing",
                "Run: rheostat migrate",
            )
        ]
    wanted, functions = expected()
    sql = f"SELECT name FROM system.tables WHERE database = '{OPTIONS.database}'"
    there = {str(name) for (name,) in query(settings, sql)}
    there |= {
        str(name)
        for (name,) in query(settings, "SELECT name FROM system.functions WHERE origin != 'System'")
    }
    gone = [name for name in (*wanted, *functions) if name not in there]
    found = [_gone(name) for name in gone]
    if settings.clickhouse_cluster is not None:
        found += _replicas(settings)
    count = f"{len(wanted)} tables and {len(functions)} functions exist, no migration is pending"
    return found_or(found, ok("tables", count))


def dead_letters(settings: Settings) -> list[Finding]:
    """What was rejected in the last hour, by reason."""
    rows = query(settings, DEAD_LETTERS.format(database=OPTIONS.database))
    if not rows:
        return [ok("dead letters", "none in the last hour")]
    total = sum(int(count) for _, _, count in rows)
    kinds = ", ".join(f"{int(count):,} {reason} on {topic}" for reason, topic, count in rows[:5])
    more = f" and {len(rows) - 5} other kinds" if len(rows) > 5 else ""
    return [
        hint(
            "dead letters",
            f"{total:,} in the last hour: {kinds}{more}",
            "these records are not counted; their bytes and reasons are kept for 30 days",
            f"SELECT reason, field, count() FROM {OPTIONS.database}.dead_letters GROUP BY 1, 2; "
            "reasons: docs/reference/reasons.md",
        )
    ]


def expected() -> tuple[list[str], list[str]]:
    """Names of the tables (views too) and of the functions that the migrations make."""
    made = [s for m in migrations() for s in render(m.sql, OPTIONS)]
    tables = [
        name
        for s in made
        for name in re.findall(r"CREATE (?:TABLE|MATERIALIZED VIEW) IF NOT EXISTS \w+\.(\w+)", s)
    ]
    functions = [name for s in made for name in re.findall(r"CREATE OR REPLACE FUNCTION (\w+)", s)]
    return tables, functions


def _gone(name: str) -> Finding:
    return problem(
        "tables",
        f"{name} is gone although its migration is recorded as applied",
        "inserts into it, or queries of it, fail",
        f"Forget the migration that makes it (sinks/migrations), by DELETE FROM {OPTIONS.database}"
        ".schema_migrations WHERE name = '...', then run: rheostat migrate",
    )


def _replicas(settings: Settings) -> list[Finding]:
    sql = f"SELECT table FROM system.replicas WHERE database = '{OPTIONS.database}' AND is_readonly"
    return [
        problem(
            "tables",
            f"the replica of {table} is read-only",
            "inserts into it fail until it finds its Keeper again",
            "See whether ClickHouse Keeper answers; SYSTEM RESTORE REPLICA if its data is lost.",
        )
        for (table,) in query(settings, sql)
    ]
