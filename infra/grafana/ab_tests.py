"""Dashboard: what the statistics say of an A/B test, and how they came to say it."""

from collections.abc import Iterator
from typing import Any

from infra.grafana import variables
from infra.grafana.page import Page, Row
from infra.grafana.panels import Column, Lines, Steps, Style, graph, sql, sql_series, stat, table
from infra.grafana.sql import MEAN, ORGANISATION, STEP_S, N, over_time

THE_TEST = "ab_test_id = ${ab_test:singlequote}"
THE_METRIC = "metric = ${metric:singlequote}"
PUBLISHED = f"{ORGANISATION} AND {THE_TEST} AND as_of <= $__toTime"
IN_RANGE = f"{ORGANISATION} AND {THE_TEST} AND $__timeFilter(as_of)"
BY_ARM = Lines("${__field.labels.arm}")
SRM_STEPS: Steps = ((None, "red"), (0.001, "yellow"), (0.01, "green"))
NO_STEPS: Steps = ((None, "text"),)


def page() -> Page:
    """The dashboard."""
    return Page(
        uid="rheostat-ab",
        file="ab_tests.json",
        title="Rheostat / A/B tests",
        description="Verdicts of A/B tests, their intervals over time, and the arms' traffic.",
        variables=(
            variables.clickhouse(),
            variables.organisation(),
            variables.ab_test(),
            variables.ab_metric(),
        ),
        rows=(
            Row("The test now", tuple(_now())),
            Row("How it came to this", tuple(_history())),
            Row("All tests of the organisation", (_all_tests(),)),
        ),
    )


def _latest(columns: str) -> Any:
    return sql(
        f"SELECT {columns}\nFROM ab_verdicts\nWHERE {PUBLISHED}\nORDER BY as_of DESC\nLIMIT 1"
    )


def _now() -> Iterator[Any]:
    yield stat(
        "Recommendation",
        "What to do now. ship: an arm is better and safe. roll back: keep the baseline, the others "
        "are worse. no difference: none that matters was found. invalid: believe nothing of it. "
        "keep going: not known yet; the reason says what is missing.",
        _latest("replaceAll(recommendation, '_', ' ') AS recommendation"),
        Style("string", NO_STEPS),
    )
    yield stat(
        "Status",
        "collecting: no decision yet. decided: it stands and does not un-decide. invalid: the "
        "split of units is not the planned one, so nothing can be concluded. stopped: ended by "
        "hand.",
        _latest("status"),
        Style("string", NO_STEPS),
    )
    yield stat(
        "Winner",
        "The arm that the decision names. Empty while collecting, and when the arms are equal "
        "within the stated margin.",
        _latest("coalesce(winner, 'none') AS winner"),
        Style("string", NO_STEPS),
    )
    yield stat(
        "Sample-ratio p-value",
        "How likely a split this uneven is if units are assigned as planned. Red below 0.001: the "
        "assignment is broken, and no difference between the arms may be believed.",
        _latest("srm_p_value"),
        Style("none", SRM_STEPS, 4, 0, 1),
    )
    yield stat(
        "Events",
        "Events of all arms together since the test began.",
        _latest("arraySum(`arms.events`) AS events"),
        Style("short", decimals=0),
    )
    yield stat(
        "Decided",
        "When the decision fell. No data: there is none.",
        _latest("toUnixTimestamp64Milli(decided_at) AS decided"),
        Style("dateTimeFromNow", NO_STEPS),
    )
    yield table(
        "Why",
        "The reason of the recommendation; whether calls or units were taken as independent; and "
        "what speaks against the numbers, such as a design effect (calls of a unit that depend on "
        "each other make intervals too narrow) or units that were in several arms. Alpha is the "
        "chance of a false alarm that the whole test allows itself, over every look at it.",
        _latest(
            "reason, analysis, alpha, coalesce(warning, '') AS warning, "
            "coalesce(decided_by, if(decision IS NULL, '', 'the statistics')) AS `decided by`"
        ),
        {
            "reason": Column(width_px=600),
            "analysis": Column(width_px=90),
            "alpha": Column("percentunit", decimals=1),
        },
        height=4,
    )
    yield table(
        "Beliefs",
        "Under a flat prior: how probably each arm is the best of the primary metric, and what "
        "choosing it loses on average. For choosing, not for stopping.",
        sql(_beliefs()),
        {
            "probably best": Column("percentunit", decimals=1),
            "expected loss": Column("none", decimals=5),
        },
    )
    yield table(
        "Comparisons",
        "Each arm against the baseline, as of the last verdict. The anytime interval may be read "
        "at any moment and still holds; the fixed one only if this is the one planned look. "
        "An interval that excludes 0 is a difference. Empty cells have no estimate; the note says "
        "why.",
        sql(_comparisons()),
        {
            "n": Column("short", decimals=0),
            "n baseline": Column("short", decimals=0),
            "relative": Column("percentunit", decimals=2),
            "anytime p": Column("none", decimals=4),
            "fixed p": Column("none", decimals=4),
            "adjusted p": Column("none", decimals=4),
            "design effect": Column("none", decimals=2),
            "verdict": Column(width_px=120),
            "note": Column(width_px=300),
        },
    )


def _comparisons() -> str:
    columns = {
        "metric": "metric",
        "role": "role",
        "direction": "better when",
        "arm": "arm",
        "baseline": "baseline",
        "n_arm": "n",
        "n_baseline": "n baseline",
        "mean_arm": "mean",
        "mean_baseline": "mean baseline",
        "difference": "difference",
        "relative_difference": "relative",
        "anytime_lower": "anytime lower",
        "anytime_upper": "anytime upper",
        "anytime_p_value": "anytime p",
        "fixed_lower": "fixed lower",
        "fixed_upper": "fixed upper",
        "fixed_p_value": "fixed p",
        "adjusted_p_value": "adjusted p",
        "verdict": "verdict",
        "worth": "worth",
        "guard": "guard",
        "design_effect": "design effect",
        "note": "note",
    }
    joined = ", ".join(f"comparisons.{field} AS `{name}`" for field, name in columns.items())
    listed = ", ".join(f"`{name}`" for name in columns.values())
    return (
        f"SELECT {listed}\nFROM (\n    SELECT * FROM ab_verdicts\n    WHERE {PUBLISHED}\n"
        f"    ORDER BY as_of DESC\n    LIMIT 1\n)\nARRAY JOIN {joined}\n"
        "ORDER BY indexOf(['primary', 'guardrail', 'secondary'], role), metric, arm"
    )


def _beliefs() -> str:
    columns = {
        "metric": "metric",
        "arm": "arm",
        "probability_best": "probably best",
        "expected_loss": "expected loss",
        "lower": "credible lower",
        "upper": "credible upper",
    }
    joined = ", ".join(f"beliefs.{field} AS `{name}`" for field, name in columns.items())
    listed = ", ".join(f"`{name}`" for name in columns.values())
    return (
        f"SELECT {listed}\nFROM (\n    SELECT * FROM ab_verdicts\n    WHERE {PUBLISHED}\n"
        f"    ORDER BY as_of DESC\n    LIMIT 1\n)\nARRAY JOIN {joined}\nORDER BY metric, arm"
    )


def _over_verdicts(fields: str) -> Any:
    """The last verdict of each interval: `fields` of the chosen metric, by arm."""
    names = fields.split(", ")
    joined = ", ".join(f"comparisons.{name} AS {name}" for name in ("metric", "arm", *names))
    # In a tuple, since argMax passes over NULL, and an estimate that is gone must stay gone.
    values = ", ".join(f"argMax(tuple({name}), as_of).1 AS `{_SHOWN[name]}`" for name in names)
    return sql_series(
        f"SELECT $__timeInterval(as_of) AS time, arm, {values}\nFROM ab_verdicts\n"
        f"ARRAY JOIN {joined}\nWHERE {IN_RANGE} AND {THE_METRIC}\n"
        "GROUP BY time, arm\nORDER BY time"
    )


_SHOWN = {
    "anytime_lower": "lower",
    "difference": "difference",
    "anytime_upper": "upper",
    "anytime_p_value": "anytime p",
    "fixed_p_value": "fixed p",
}


def _history() -> Iterator[Any]:
    yield graph(
        "Difference from the baseline, with its anytime interval",
        "The chosen metric: arm minus baseline, and the interval that holds at every moment at "
        "once. It narrows as events arrive; when it leaves 0 the arms differ. Gaps: no estimate "
        "was possible then.",
        _over_verdicts("anytime_lower, difference, anytime_upper"),
        Style("none", ((None, "green"),)),
        Lines("${__field.labels.arm} ${__field.name}", min_interval="1s"),
    )
    yield graph(
        "p-values",
        "The anytime p-value never has to be corrected for looking often; the fixed one is shown "
        "for comparison and is misleading before the planned end. The dashed line is 0.05.",
        _over_verdicts("anytime_p_value, fixed_p_value"),
        Style("none", ((None, "green"), (0.05, "transparent")), low=0, high=1),
        Lines(
            "${__field.labels.arm} ${__field.name}", stairs=True, threshold=True, min_interval="1s"
        ),
    )
    in_test = (ORGANISATION, THE_TEST, "source = 'production'")
    yield graph(
        "Calls a second by arm",
        "The traffic that each arm gets. Arms should keep the planned ratio; the sample-ratio "
        "test above judges it.",
        sql_series(over_time(f"{N} / ({STEP_S}) AS calls", "arm", *in_test, "metric = 'error'")),
        Style("reqps", low=0),
        Lines(BY_ARM.name, stacked=True),
    )
    yield graph(
        "Mean of the metric by arm",
        "The chosen metric in each interval on its own. It swings far more than the difference "
        "above, which uses everything since the start.",
        sql_series(over_time(f"{MEAN} AS mean", "arm", *in_test, THE_METRIC)),
        Style("none"),
        BY_ARM,
    )
    yield graph(
        "Events by arm since the start",
        "What the verdicts counted. Lines that drift apart from the planned ratio end in a "
        "sample-ratio mismatch.",
        sql_series(
            "SELECT $__timeInterval(as_of) AS time, arm, max(events) AS events\nFROM ab_verdicts\n"
            f"ARRAY JOIN arms.arm AS arm, arms.events AS events\nWHERE {IN_RANGE}\n"
            "GROUP BY time, arm\nORDER BY time"
        ),
        Style("short", decimals=0, low=0),
        Lines(BY_ARM.name, stairs=True, min_interval="1s"),
    )
    yield graph(
        "Sample-ratio p-value over time",
        "Below the dashed line at 0.001 the split is not the planned one. It is corrected for "
        "being looked at all the time.",
        sql_series(
            "SELECT $__timeInterval(as_of) AS time, argMax(tuple(srm_p_value), as_of).1 AS p\n"
            f"FROM ab_verdicts\nWHERE {IN_RANGE}\nGROUP BY time\nORDER BY time"
        ),
        Style("none", ((None, "red"), (0.001, "green")), low=0, high=1),
        Lines("p", stairs=True, threshold=True, min_interval="1s"),
    )


def _all_tests() -> Any:
    here = (
        "/d/rheostat-ab?${organisation:queryparam}&var-ab_test=${__value.raw}&${__url_time_range}"
    )
    return table(
        "Every test's last verdict",
        "One line a test, the latest first; choose one by its name. Tests without a verdict yet "
        "are not listed.",
        sql(
            "SELECT ab_test_id AS test, capability, status, "
            "replaceAll(recommendation, '_', ' ') AS recommendation, "
            "coalesce(winner, '') AS winner, reason, arraySum(`arms.events`) AS events, "
            "srm_p_value AS `sample-ratio p`, as_of AS `as of`, decided_at AS decided\n"
            f"FROM ab_verdicts\nWHERE {ORGANISATION} AND as_of <= $__toTime\n"
            "ORDER BY as_of DESC\nLIMIT 1 BY ab_test_id"
        ),
        {
            "test": Column(width_px=220, links=(("Show this test", here),)),
            "events": Column("short", decimals=0),
            "sample-ratio p": Column("none", SRM_STEPS, 4),
        },
    )
