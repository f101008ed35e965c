"""How far a running A/B test is: what it still takes to find a difference, metric by metric.

From its newest verdict: the spread of single values follows from the fixed interval, the traffic
from the values since the start. Two numbers side by side: for looking always, as the monitor
does, and for looking once at the planned end.
"""

import math
from dataclasses import dataclass

from scipy.special import ndtri

from agents.policy.look import levels_of
from schemas.entities import AbTest, MetricGoal
from schemas.records import AbVerdict, Comparison
from streams.statistics import planning

DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Plan:
    """One arm against the baseline on one primary metric.

    `effect`: the difference asked for, in the metric's unit: min_effect, else the margin, else
    None, and then only what can be detected is said. `n`: values of the smaller arm; `needed`:
    values an arm. `detectable`: by planned_n values an arm. None: not known.
    """

    arm: str
    metric: str
    n: int
    per_day: float | None
    deviation: float | None
    effect: float | None
    needed_always: int | None
    needed_once: int | None
    days_left_always: float | None
    days_left_once: float | None
    detectable_always: float | None
    detectable_once: float | None
    power: float
    note: str | None


def plan(test: AbTest, verdict: AbVerdict, power: float = 0.8) -> list[Plan]:
    """For every arm and primary metric, in the verdict's order."""
    goals = {goal.metric: goal for goal in test.metrics if goal.role == "primary"}
    return [
        _plan(test, verdict, each, goals[each.metric], power)
        for each in verdict.comparisons
        if each.role == "primary" and each.metric in goals
    ]


def _plan(
    test: AbTest, verdict: AbVerdict, each: Comparison, goal: MetricGoal, power: float
) -> Plan:
    alpha = levels_of(test)["primary"].tuning.alpha
    n = min(each.n_arm, each.n_baseline)
    per_day = _per_day(verdict, n)
    deviation = _deviation(each, verdict.alpha)
    effect = goal.min_effect or goal.margin
    always, once = (planning.Plan(alpha, power, anytime) for anytime in (True, False))
    needed: list[int | None] = [None, None]
    detectable: list[float | None] = [None, None]
    if deviation is not None:
        detectable = [planning.detectable(test.planned_n, deviation, p) for p in (always, once)]
        if effect is not None and effect > 0:
            needed = [planning.sample_size(effect, deviation, p) for p in (always, once)]
    left = [
        None if count is None or per_day is None else planning.days_left(count, n, per_day)
        for count in needed
    ]
    note = None
    if deviation is None:
        note = each.note or "no estimate of the spread yet"
    elif effect is None:
        note = "the metric has neither min_effect nor margin: no difference to plan for"
    return Plan(
        each.arm,
        each.metric,
        n,
        per_day,
        deviation,
        effect,
        needed[0],
        needed[1],
        left[0],
        left[1],
        detectable[0],
        detectable[1],
        power,
        note,
    )


def _per_day(verdict: AbVerdict, n: int) -> float | None:
    """Values an arm a day, since the first call."""
    if verdict.started_at is None:
        return None
    elapsed_s = (verdict.as_of - verdict.started_at).total_seconds()
    return n * DAY_S / elapsed_s if elapsed_s > 0 else None


def _deviation(each: Comparison, alpha: float) -> float | None:
    """Of a single value: the fixed interval is `reach` standard errors wide on each side."""
    if each.fixed_lower is None or each.fixed_upper is None:
        return None
    error = (each.fixed_upper - each.fixed_lower) / 2 / -float(ndtri(alpha / 2))
    return error / math.sqrt(1 / each.n_arm + 1 / each.n_baseline)
