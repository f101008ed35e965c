"""The page of ClickHouse's tables, from the migrations."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from infra.docs.markdown import block, code, page, table
from sinks.migrate import TableOptions, migrations, render

INTRO = """
Database `rheostat`. `rheostat migrate` makes and changes them; this is what all migrations together
make on one node. With `RHEOSTAT_CLICKHOUSE_CLUSTER` the same tables are replicated. A repeated
insert is recognised by its token. `src_partition` and `src_offset` tell where a row stood in Kafka.
No A/B test and no arm is `''`. There is no estimate where a value is NULL, never 0.
"""


@dataclass(frozen=True, slots=True)
class Column:
    """One column as declared; `comment` from its COMMENT."""

    name: str
    kind: str
    comment: str


def tables() -> str:
    """docs/reference/tables.md"""
    parts = [part for m in migrations() for part in _migration(m.name, m.sql)]
    return page("ClickHouse tables", "sinks/migrations/*.sql", INTRO, *parts)


def _migration(name: str, sql: str) -> Iterator[str]:
    comments = _comments(sql)
    for statement in render(sql, TableOptions()):
        made = re.match(
            r"CREATE (?:OR REPLACE )?(TABLE|MATERIALIZED VIEW|FUNCTION)(?: IF NOT EXISTS)? (\S+)",
            statement,
        )
        if made is None:
            yield from (f"## {name}", block(statement, "sql"))
            continue
        kind, title = made[1].lower(), made[2].removeprefix("rheostat.")
        yield f"## {title}"
        yield f"{kind.capitalize()}, from `{name}`. {comments.get(title, '')}".rstrip()
        if kind == "table":
            yield from _table(statement)
        else:
            yield block(statement, "sql")


def _table(statement: str) -> Iterator[str]:
    inside, _, layout = statement.partition("\n(\n")[2].partition("\n)\n")
    rows = [[code(c.name), code(c.kind), c.comment] for c in map(_column, inside.splitlines())]
    yield table(["column", "type", "meaning"], rows)
    yield block(layout, "sql")


def _column(line: str) -> Column:
    found = re.match(r"\s*`?([\w.]+)`? (.+?)(?: COMMENT '(.*)')?,?$", line)
    if found is None:
        raise ValueError(f"not a column: {line!r}")
    return Column(found[1], re.sub(r" CODEC\(.*\)", "", found[2]), found[3] or "")


def _comments(sql: str) -> dict[str, str]:
    """Of each object, the comment lines right above it."""
    found: dict[str, str] = {}
    above: list[str] = []
    for line in sql.splitlines():
        made = re.match(r"CREATE .*?(?:EXISTS|FUNCTION) (?:\{database\}\.)?(\w+)", line)
        if made is not None:
            found[made[1]] = " ".join(above)
        above = [*above, line.removeprefix("--").strip()] if line.startswith("--") else []
    return found
