"""Rows of other methods: the numbers of scipy and statsmodels, when each holds, and which exist."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats
from statsmodels.stats.weightstats import ttost_ind

from agents.policy.look import levels_of
from agents.policy.method_rows import MethodRow
from agents.policy.methods import Readings, method_rows
from agents.policy.trial import Cell
from schemas.entities import AbTest, Arm, Direction, MetricGoal
from streams.sketch import keys
from streams.statistics.clusters import UnitSums
from streams.statistics.quantiles import Sketch
from streams.statistics.sums import Sums
from tests.support.trials import TEST

Floats = npt.NDArray[np.float64]
Key = tuple[str | None, str | None, str, str, str]
LATENCY = MetricGoal("latency_ms", "guardrail", "lower", margin=20.0)
ERROR = MetricGoal("error", "guardrail", "lower", margin=0.05)
QUALITY = MetricGoal("quality", "primary", "higher", margin=0.05)
RNG = np.random.default_rng(7)
SLOW = {"a": RNG.lognormal(5, 0.5, 700), "b": RNG.lognormal(5.1, 0.5, 600)}
FAILED = {"a": np.repeat([1.0, 0.0], [2, 28]), "b": np.repeat([1.0, 0.0], [9, 21])}
GOOD = {"a": RNG.beta(8, 2, 400), "b": RNG.beta(8.4, 2, 500)}


def of(goal: MetricGoal) -> AbTest:
    return replace(TEST, metrics=(goal,))


def readings(metric: str, values: dict[str, Floats]) -> Readings:
    return Readings(
        {Cell(arm, metric): Sums.of_values(given.tolist()) for arm, given in values.items()},
        {Cell(arm, metric): sketch(given) for arm, given in values.items()},
    )


def sketch(values: Floats) -> Sketch:
    bins, counts = np.unique(keys(values), return_counts=True)
    return Sketch(bins.tolist(), counts.tolist())


def by_key(rows: Sequence[MethodRow]) -> dict[Key, MethodRow]:
    found: dict[Key, MethodRow] = {
        (row.arm, row.baseline, row.method, row.quantity, row.when): row for row in rows
    }
    assert len(found) == len(rows)
    return found


def rows_of(goal: MetricGoal, values: dict[str, Floats]) -> dict[Key, MethodRow]:
    return by_key(method_rows(of(goal), readings(goal.metric, values)))


def test_rates_of_few_calls_are_exact() -> None:
    rows = rows_of(ERROR, FAILED)
    fisher = rows["b", "a", "fisher_exact", "difference", "once"]
    wanted = stats.fisher_exact(np.array([[9, 21], [2, 28]])).pvalue
    assert fisher.p_value == pytest.approx(wanted, rel=1e-9)
    assert fisher.value == pytest.approx(7 / 30)
    assert fisher.note is None
    few = rows_of(ERROR, {"a": FAILED["a"], "b": FAILED["b"][:12]})
    note = few["b", "a", "fisher_exact", "difference", "once"].note
    assert note is not None
    assert "expected count of 3.14" in note
    # All rates whose mixture evidence stays below 1 / alpha, found on a grid.
    alone = rows["b", None, "beta_binomial", "rate", "at every look"]
    grid = np.linspace(0.0005, 0.9995, 1999)
    evidence = stats.betabinom.logpmf(9, 30, 1, 1) - stats.binom.logpmf(9, 30, grid)
    kept = grid[evidence < math.log(20)]
    assert (alone.lower, alone.upper) == pytest.approx((kept[0], kept[-1]), abs=0.001)
    gap = rows["b", "a", "beta_binomial", "difference", "at every look"]
    assert gap.lower is not None
    assert gap.upper is not None
    assert gap.lower < 7 / 30 < gap.upper
    # Asymptotic methods have nothing to say of 30 calls, and say so.
    early = rows["b", "a", "relative", "percent", "at every look"]
    assert early.value is None
    assert early.note is not None


@pytest.mark.parametrize("arms", [2, 3])
def test_all_rates_at_once_are_pearsons(arms: int) -> None:
    given = {"a": (30, 400), "b": (52, 420), "c": (61, 390)}
    values = {
        arm: np.repeat([1.0, 0.0], [n, of - n]) for arm, (n, of) in list(given.items())[:arms]
    }
    test = replace(of(ERROR), arms=tuple(Arm(arm, arm) for arm in values))
    (row,) = (r for r in method_rows(test, readings("error", values)) if r.method == "chi_square")
    table = [[v.sum(), v.size - v.sum()] for v in values.values()]
    assert row.p_value == pytest.approx(stats.chi2_contingency(table, correction=False).pvalue)
    assert row.value == pytest.approx(sum(t[0] for t in table) / row.n_arm)
    assert (row.arm, row.baseline, row.n_arm) == (None, None, sum(v.size for v in values.values()))
    assert (row.when, row.corrected_for, row.note) == ("once", 1, None)
    silent = replace(test, arms=(*test.arms, Arm("d", "d")))
    rows = method_rows(silent, readings("error", values))
    (row,) = (row for row in rows if row.method == "chi_square")
    assert (row.value, row.p_value, row.note) == (None, None, "d: no values")
    rough = by_key(method_rows(of(ERROR), readings("error", FAILED | {"b": FAILED["b"][:12]})))
    note = rough[None, None, "chi_square", "rate", "once"].note
    assert note is not None
    assert "the p-value is rough" in note


def test_students_t_is_scipys_and_of_means_only() -> None:
    row = rows_of(LATENCY, SLOW)["b", "a", "student", "difference", "once"]
    wanted = stats.ttest_ind(SLOW["b"], SLOW["a"])
    ends = wanted.confidence_interval(0.95)
    assert row.p_value == pytest.approx(wanted.pvalue, rel=1e-9)
    assert (row.lower, row.upper) == pytest.approx((ends.low, ends.high), rel=1e-9)
    assert "student" not in {row.method for row in rows_of(ERROR, FAILED).values()}


def test_ranks_are_those_of_the_values() -> None:
    rows = rows_of(LATENCY, SLOW)
    whitney = stats.mannwhitneyu(SLOW["b"], SLOW["a"], method="asymptotic")
    found = rows["b", "a", "mann_whitney", "probability", "once"]
    assert found.value == pytest.approx(whitney.statistic / 700 / 600, abs=0.002)
    assert found.p_value is not None
    assert math.log(found.p_value) == pytest.approx(math.log(whitney.pvalue), rel=0.05)
    munzel = rows["b", "a", "brunner_munzel", "probability", "once"]
    anytime = rows["b", "a", "superiority", "probability", "at every look"]
    assert munzel.value == anytime.value == found.value
    assert munzel.lower is not None
    assert anytime.lower is not None
    assert munzel.lower > 0.5
    assert anytime.lower < munzel.lower, "looking always costs width"


@pytest.mark.parametrize(("quantity", "q"), [("p50", 0.5), ("p95", 0.95)])
def test_quantiles_hold_the_true_ones(quantity: str, q: float) -> None:
    rows = rows_of(LATENCY, SLOW)
    true = {
        "a": math.exp(5 + 0.5 * stats.norm.ppf(q)),
        "b": math.exp(5.1 + 0.5 * stats.norm.ppf(q)),
    }
    for arm, values in SLOW.items():
        row = rows[arm, None, "quantile", quantity, "at every look"]
        assert row.value == pytest.approx(np.quantile(values, q), rel=0.03)
        assert row.lower is not None
        assert row.upper is not None
        assert row.lower < true[arm] < row.upper
        assert row.p_value is None
    gap = rows["b", "a", "quantile", quantity, "at every look"]
    assert gap.lower is not None
    assert gap.upper is not None
    assert gap.lower < true["b"] - true["a"] < gap.upper


def ends_of_quantile(values: Floats, q: float, level: float) -> tuple[float, float]:
    found: Any = stats.quantile_test(values, p=q).confidence_interval(level)
    return found.low, found.high


@pytest.mark.parametrize(("quantity", "q"), [("p50", 0.5), ("p95", 0.95)])
def test_a_quantile_at_one_look_has_the_ranks_of_the_binomial(quantity: str, q: float) -> None:
    rows = rows_of(LATENCY, SLOW)
    ends = {}
    for arm, values in SLOW.items():
        row = rows[arm, None, "quantile", quantity, "once"]
        # A bin is 2 % wide, and scipy may stop one order statistic short of ours.
        wanted = ends_of_quantile(values, q, 0.95)
        assert (row.lower, row.upper) == pytest.approx(wanted, rel=0.04)
        always = rows[arm, None, "quantile", quantity, "at every look"]
        assert always.lower <= row.lower < row.upper <= always.upper  # type: ignore[operator]
        ends[arm] = ends_of_quantile(values, q, 0.975)
    gap = rows["b", "a", "quantile", quantity, "once"]
    wider = ends["b"][0] - ends["a"][1], ends["b"][1] - ends["a"][0]
    # Each end is of two quantiles, good to a bin or two.
    slack = 0.04 * (ends["a"][1] + ends["b"][1])
    assert (gap.lower, gap.upper) == pytest.approx(wider, abs=slack)
    assert (gap.when, gap.level, gap.corrected_for) == ("once", 0.95, 1)


def test_the_bad_tail_is_the_low_one_where_more_is_better() -> None:
    rows = rows_of(QUALITY, GOOD)
    assert ("b", None, "quantile", "p05", "at every look") in rows
    assert ("b", None, "quantile", "p95", "at every look") not in rows


@pytest.mark.parametrize("direction", ["lower", "higher"])
def test_margins_are_tested_as_statsmodels_does(direction: Direction) -> None:
    goal = replace(LATENCY, direction=direction)
    rows = rows_of(goal, SLOW)
    p, lower, upper = ttost_ind(SLOW["b"], SLOW["a"], -20.0, 20.0, usevar="unequal")
    once = rows["b", "a", "equivalence", "difference", "once"]
    assert once.p_value == pytest.approx(p, rel=1e-9)
    assert once.value == pytest.approx(SLOW["b"].mean() - SLOW["a"].mean())
    assert once.margin == 20.0
    worse = rows["b", "a", "non_inferiority", "difference", "once"]
    # 'lower' is better: the arm is not worse when the difference is below the margin.
    wanted = upper if direction == "lower" else lower
    assert worse.p_value == pytest.approx(wanted[1], rel=1e-9)
    always = rows["b", "a", "non_inferiority", "difference", "at every look"]
    assert always.p_value is not None
    assert worse.p_value is not None
    assert always.p_value >= worse.p_value


def test_a_difference_in_percent_has_the_error_of_the_delta_method() -> None:
    row = rows_of(LATENCY, SLOW)["b", "a", "relative", "percent", "at every look"]
    a, b = SLOW["a"], SLOW["b"]
    assert row.value == pytest.approx(100 * (b.mean() / a.mean() - 1))
    assert row.lower is not None
    assert row.upper is not None
    assert (row.lower + row.upper) / 2 == pytest.approx(row.value)
    ratio = b.mean() / a.mean()
    error = 100 * math.sqrt((b.var(ddof=1) / 600 + ratio**2 * a.var(ddof=1) / 700) / a.mean() ** 2)
    assert 2.5 < (row.upper - row.lower) / 2 / error < 4.5


def test_bounded_means_hold_from_the_first_value_on() -> None:
    few = {arm: values[:5] for arm, values in GOOD.items()}
    row = rows_of(QUALITY, few)["b", None, "empirical_bernstein", "mean", "at every look"]
    assert row.lower is not None
    assert row.upper is not None
    assert 0 <= row.lower < few["b"].mean() < row.upper <= 1
    many = rows_of(QUALITY, GOOD)
    gap = many["b", "a", "empirical_bernstein", "difference", "at every look"]
    assert gap.value == pytest.approx(GOOD["b"].mean() - GOOD["a"].mean())
    # Other metrics have no bounds that are known beforehand.
    other = rows_of(MetricGoal("score", "primary", "higher"), GOOD)
    assert {row.method for row in other.values()} == {
        "quantile",
        "superiority",
        "brunner_munzel",
        "mann_whitney",
        "relative",
        "student",
    }


def test_only_comparisons_at_every_look_are_corrected() -> None:
    test = replace(
        TEST,
        arms=(*TEST.arms, Arm("c", "huge")),
        metrics=(QUALITY, replace(LATENCY, role="primary")),
    )
    found = readings("latency_ms", SLOW | {"c": SLOW["b"]})
    rows = by_key([row for row in method_rows(test, found) if row.metric == "latency_ms"])
    family = levels_of(test)["primary"].family
    assert family == 4
    for row in rows.values():
        shared = row.baseline is not None and row.when == "at every look"
        assert row.corrected_for == (4 if shared else 1)
        assert row.level == pytest.approx(1 - 0.05 / row.corrected_for)
    alone = rows_of(LATENCY, SLOW)
    key: Key = ("b", "a", "superiority", "probability", "at every look")
    assert alone[key].p_value is not None
    assert rows[key].lower < alone[key].lower  # type: ignore[operator]


def test_a_test_by_units_takes_means_by_units() -> None:
    test = replace(of(LATENCY), analysis="units")
    found = readings("latency_ms", SLOW)
    # Each unit has five calls: as many values, a fifth of the evidence.
    units = {
        Cell(arm, "latency_ms"): UnitSums.of_units(
            [5 * x for x in values[:120].tolist()], [5.0] * 120
        )
        for arm, values in SLOW.items()
    }
    rows = by_key(method_rows(test, replace(found, units=units)))
    relative = rows["b", "a", "relative", "percent", "at every look"]
    assert relative.by == "units"
    mean = {arm: values[:120].mean() for arm, values in SLOW.items()}
    assert relative.value == pytest.approx(100 * (mean["b"] / mean["a"] - 1))
    student = rows["b", "a", "student", "difference", "once"]
    tested = stats.ttest_ind(*(SLOW[arm][:120] for arm in "ba"))
    assert (student.by, student.n_arm) == ("units", 120)
    assert student.p_value == pytest.approx(tested.pvalue, rel=0.01)
    assert rows["b", "a", "equivalence", "difference", "once"].by == "units"
    assert rows["b", "a", "mann_whitney", "probability", "once"].by == "calls"


def test_what_has_no_estimate_says_why() -> None:
    nothing = method_rows(of(LATENCY), Readings())
    assert {row.value for row in nothing} == {None}
    assert {row.p_value for row in nothing} == {None}
    assert {row.note for row in nothing} == {"no values", "arm: no values; baseline: no values"}
    held = readings("latency_ms", SLOW)
    bare = by_key(method_rows(of(LATENCY), replace(held, sketches={})))
    note = bare["b", "a", "quantile", "p95", "at every look"].note
    assert (
        note == "arm: no sketch of this metric is kept; baseline: no sketch of this metric is kept"
    )
    part = {Cell(arm, "latency_ms"): sketch(values[:100]) for arm, values in SLOW.items()}
    some = by_key(method_rows(of(LATENCY), replace(held, sketches=part)))
    assert some["a", None, "quantile", "p50", "at every look"].note == (
        "the sketch holds 100 of 700 values"
    )
