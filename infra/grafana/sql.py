"""Pieces of SQL that several panels share.

`metric_panes` and `metric_hours` hold mergeable state: rows of one key are parts of a whole, so
every expression here merges (sum, min, max, sumMap) before it divides. What cannot be estimated is
NULL, which Grafana shows as a gap.
"""

STEP_S = "intDiv($__interval_s + 9, 10) * 10"
"""Grafana's interval, rounded up to whole panes: 15 s would hold one pane here and two there."""

HOURLY = "$__interval_s >= 3600"
"""Long ranges read the hourly roll-up; the constant condition lets ClickHouse skip the other."""

ORGANISATION = "org_id = ${organisation:singlequote}"
IN_RANGE = "$__timeFilter({column})"
STATE = "n, total, total_sq, minimum, maximum, total_nanos, sketch"

N = "sum(n)"
MEAN = "if(sum(n) = 0, NULL, sum(total) / sum(n))"
COST_MEAN = "if(sum(n) = 0, NULL, sum(total_nanos) / 1e9 / sum(n))"
COST_TOTAL = "if(sum(n) = 0, NULL, sum(total_nanos) / 1e9)"
VARIANCE = "rheostat_variance(sum(n), sum(total), sum(total_sq), min(minimum), max(maximum))"
STANDARD_ERROR = f"sqrt({VARIANCE} / sum(n))"


def quantile(q: float) -> str:
    """The q-quantile of the merged sketch, within 1 % of the value."""
    return f"rheostat_quantile(sumMap(sketch), {q:g})"


def step(column: str) -> str:
    """The start of the interval that a time falls into."""
    return f"toStartOfInterval({column}, toIntervalSecond({STEP_S}))"


def chosen(column: str, variable: str) -> str:
    """True for the variable's values, and for everything when it is All."""
    return f"$__conditionalAll({column} IN (${{{variable}:singlequote}}), ${variable})"


def metric_state(*conditions: str) -> str:
    """A subquery of mergeable rows in the dashboard's range, with their time as `t`.

    Begins at a whole interval: a first interval that is cut would look like a dip.
    """
    where = " AND ".join(conditions)
    dimensions = "metric, capability, model_id, model_version, arm, source"
    parts = [
        f"SELECT {dimensions}, {time} AS t, {STATE} FROM {table}\n"
        f"    WHERE {condition} AND {time} >= {step('$__fromTime')} AND {time} <= $__toTime\n"
        f"        AND {where}"
        for table, time, condition in (
            ("metric_panes", "pane", f"NOT ({HOURLY})"),
            ("metric_hours", "hour", HOURLY),
        )
    ]
    return "(\n    " + "\n    UNION ALL\n    ".join(parts) + "\n)"


def over_time(columns: str, by: str, *conditions: str) -> str:
    """A time series: `columns` of merged state for each interval and each value of `by`."""
    return (
        f"SELECT {step('t')} AS time, {by}, {columns}\n"
        f"FROM {metric_state(*conditions)}\n"
        f"GROUP BY time, {by}\nORDER BY time"
    )
