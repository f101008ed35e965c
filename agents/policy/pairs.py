"""Every pair of arms on the primary metrics, where there are more than two arms."""

from itertools import combinations

from agents.policy.comparisons import Contrast, Level, contrast
from agents.policy.look import Look
from schemas.entities import MetricGoal
from schemas.records import ArmPair
from streams.statistics.estimates import Estimate
from streams.statistics.multiple import bonferroni_p


def pairs(look: Look) -> tuple[ArmPair, ...]:
    """Intervals and p-values hold together for all pairs and primary metrics (Bonferroni)."""
    test = look.test
    if len(test.arms) < 3:
        return ()
    goals = [goal for goal in test.metrics if goal.role == "primary"]
    both = list(combinations([arm.arm for arm in test.arms], 2))
    level = Level.shared(test.alpha, len(both) * len(goals), test.planned_n)
    found = []
    for goal in goals:
        for other, arm in both:
            result = contrast(*look.pair(arm, other, goal.metric), level)
            found.append(_pair(goal, arm, other, result, level))
    return tuple(found)


def _pair(goal: MetricGoal, arm: str, other: str, result: Contrast, level: Level) -> ArmPair:
    value = p_value = lower = upper = None
    if isinstance(result.fixed, Estimate):
        value = result.fixed.value
    if isinstance(result.anytime, Estimate):
        p_value = bonferroni_p(result.anytime.p_value, level.family)
        lower, upper = result.anytime.lower, result.anytime.upper
    verdict = result.verdict(goal)
    return ArmPair(goal.metric, arm, other, value, p_value, lower, upper, verdict)
