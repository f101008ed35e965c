"""Queries of dashboards as Grafana and its ClickHouse plugin send them.

The plugin first resolves `$__conditionalAll`, then Grafana puts in the variables, then the plugin's
backend expands the other macros (grafana/clickhouse-datasource, src/data/CHDatasource.ts and
pkg/macros/macros.go). Only what the dashboards use is here; anything else is an error.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

ALL = "$__all"
Value = str | Sequence[str]


@dataclass(frozen=True, slots=True)
class View:
    """What a person looks at: the range, the interval, the choices. A list is a multi-choice."""

    start: datetime
    end: datetime
    interval_s: int
    variables: Mapping[str, Value]
    options: Mapping[str, Sequence[str]]
    """What All stands for."""


def expand(sql: str, view: View) -> str:
    """The SQL that reaches ClickHouse. Raises ValueError for what it does not know."""
    sql = _conditional_all(sql, view)
    sql = _put_in(sql, view)
    start, end = int(view.start.timestamp()), int(view.end.timestamp())
    between = rf"\g<1> >= toDateTime({start}) AND \g<1> <= toDateTime({end})"
    by_interval = rf"toStartOfInterval(toDateTime(\g<1>), INTERVAL {view.interval_s} second)"
    for pattern, text in (
        (r"\$__timeFilter\((\w+)\)", between),
        (r"\$__timeInterval\((\w+)\)", by_interval),
        (r"\$__fromTime\b", f"toDateTime({start})"),
        (r"\$__toTime\b", f"toDateTime({end})"),
        (r"\$__interval_s\b", str(view.interval_s)),
    ):
        sql = re.sub(pattern, text, sql)
    if "$" in sql:
        raise ValueError(f"not expanded: {sql[sql.index('$') :][:60]}")
    return sql


def _conditional_all(sql: str, view: View) -> str:
    macro = "$__conditionalAll("
    while macro in sql:
        at = sql.rindex(macro)
        condition, variable, end = _two_arguments(sql, at + len(macro))
        name = variable.strip().removeprefix("$")
        value = view.variables[name]
        first = value if isinstance(value, str) else ",".join(value)
        sql = sql[:at] + ("1=1" if first in ("", ALL) else condition) + sql[end:]
    return sql


def _two_arguments(sql: str, at: int) -> tuple[str, str, int]:
    """The arguments that begin at `at`, and where the closing parenthesis ends."""
    depth, comma = 1, -1
    for i in range(at, len(sql)):
        if sql[i] == "(":
            depth += 1
        elif sql[i] == ")":
            depth -= 1
            if depth == 0:
                if comma < 0:
                    break
                return sql[at:comma], sql[comma + 1 : i], i + 1
        elif sql[i] == "," and depth == 1:
            comma = i
    raise ValueError(f"$__conditionalAll wants two arguments: {sql[at : at + 60]}")


def _put_in(sql: str, view: View) -> str:
    def value(match: re.Match[str]) -> str:
        chosen = view.variables[match[1]]
        if chosen == ALL or ALL in chosen:
            chosen = view.options[match[1]]
        values = [chosen] if isinstance(chosen, str) else chosen
        return ",".join("'" + v.replace("'", "\\'") + "'" for v in values)

    return re.sub(r"\$\{(\w+):singlequote\}", value, sql)


def panels(dashboard: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Every panel with queries, those inside collapsed rows too."""
    for panel in dashboard["panels"]:
        if panel["type"] == "row":
            yield from panels(panel)
        else:
            yield panel


def queries(dashboard: Mapping[str, Any], field: str) -> Iterator[tuple[Mapping[str, Any], str]]:
    """(panel, text) of every target with `field`: rawSql of ClickHouse, expr of Prometheus."""
    for panel in panels(dashboard):
        for target in panel["targets"]:
            if field in target:
                yield panel, target[field]
