"""How far a running A/B test is: what it still takes to find a difference, metric by metric.

From its newest verdict: the spread of single values follows from the fixed interval, the traffic
from the values since the start. Side by side: for looking always, as the monitor does, for looking
once at the planned end, and for the planned looks of a test that has them.
"""

import math
from dataclasses import dataclass

from scipy.special import ndtri

from agents.policy.look import levels_of
from schemas.entities import AbTest, MetricGoal
from schemas.records import AbVerdict, Comparison
from streams.statistics import planning
from streams.statistics.planning import AtLooks

DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Plan:
    """One arm against the baseline on one primary metric.

    `effect`: the difference asked for, in the metric's unit: min_effect, else the margin, else
    None, and then only what can be detected is said. `n`: values of the smaller arm; `needed`:
    values an arm. `detectable`: by planned_n values an arm. `..._looks`: by the looks that the test
    planned, if it goes on to the last. None: not known, or not planned.
    """

    arm: str
    metric: str
    n: int
    per_day: float | None
    deviation: float | None
    effect: float | None
    needed_always: int | None
    needed_once: int | None
    needed_looks: int | None
    days_left_always: float | None
    days_left_once: float | None
    days_left_looks: float | None
    detectable_always: float | None
    detectable_once: float | None
    detectable_looks: float | None
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
    n = min(each.n_arm, each.n_baseline)
    per_day = _per_day(verdict, n)
    deviation = _deviation(each, verdict.alpha)
    effect = goal.min_effect or goal.margin
    always, once, looks = (
        _Size() if way is None else _size(test.planned_n, effect, deviation, way)
        for way in _ways(test, power)
    )
    note = None
    if deviation is None:
        note = each.note or "no estimate of the spread yet"
    elif effect is None:
        note = "the metric has neither min_effect nor margin: no difference to plan for"
    return Plan(
        arm=each.arm,
        metric=each.metric,
        n=n,
        per_day=per_day,
        deviation=deviation,
        effect=effect,
        needed_always=always.needed,
        needed_once=once.needed,
        needed_looks=looks.needed,
        days_left_always=always.days_left(n, per_day),
        days_left_once=once.days_left(n, per_day),
        days_left_looks=looks.days_left(n, per_day),
        detectable_always=always.detectable,
        detectable_once=once.detectable,
        detectable_looks=looks.detectable,
        power=power,
        note=note,
    )


def _ways(test: AbTest, power: float) -> tuple[planning.Reaching | None, ...]:
    """Always, once, and at the planned looks; None: there are none."""
    alpha = levels_of(test)["primary"].tuning.alpha
    planned = test.spending
    return (
        planning.Plan(alpha, power),
        planning.Plan(alpha, power, anytime=False),
        None if planned is None else AtLooks(planned.family, planned.looks, alpha, power),
    )


@dataclass(frozen=True, slots=True)
class _Size:
    """What one way of looking takes; None: not known."""

    needed: int | None = None
    detectable: float | None = None

    def days_left(self, n: int, per_day: float | None) -> float | None:
        if self.needed is None or per_day is None:
            return None
        return planning.days_left(self.needed, n, per_day)


def _size(
    planned_n: int, effect: float | None, deviation: float | None, way: planning.Reaching
) -> _Size:
    if deviation is None:
        return _Size()
    least = planning.detectable(planned_n, deviation, way)
    if effect is None or effect <= 0:
        return _Size(None, least)
    return _Size(planning.sample_size(effect, deviation, way), least)


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
