"""Differences of an A/B test without its largest values, beside the plain ones. Pure.

Both by units and valid at every look, at the level that the verdict's comparisons have.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from agents.policy.comparisons import Contrast, Level, Sample, contrast
from agents.policy.look import levels_of
from schemas.entities import AbTest, MetricGoal
from schemas.records import ComparisonVerdict
from sinks.ab_capped import Capped
from sinks.ab_health import Measured
from streams.statistics.clusters import UnitSums
from streams.statistics.estimates import Estimate, NoEstimate


@dataclass(frozen=True, slots=True)
class DifferenceByUnits:
    """arm - baseline with its anytime interval; None: no estimate, `note` says why."""

    difference: float | None
    lower: float | None
    upper: float | None
    verdict: ComparisonVerdict
    note: str | None


@dataclass(frozen=True, slots=True)
class WinsorisedDifference:
    """One metric of one arm. Values above `limit` count as `limit`.

    `share`: of the largest values that may be above it (0.01: it is the 99th percentile of all
    arms together); `above`: that are. None: nothing is cut off, `text` says why.
    """

    metric: str
    arm: str
    share: float
    limit: float | None
    above: float | None
    plain: DifferenceByUnits | None
    winsorised: DifferenceByUnits | None
    text: str


def winsorised(test: AbTest, found: Measured) -> tuple[WinsorisedDifference, ...]:
    """For every metric and arm."""
    levels = levels_of(test)
    return tuple(
        _winsorised(test, goal, arm.arm, found.capped[goal.metric], levels[goal.role])
        for goal in test.metrics
        for arm in test.arms
        if arm.arm != test.baseline
    )


def _winsorised(
    test: AbTest, goal: MetricGoal, arm: str, found: Capped, level: Level
) -> WinsorisedDifference:
    if found.limit is None:
        text = found.why_none or ""
        return WinsorisedDifference(goal.metric, arm, found.share, None, None, None, None, text)
    plain, cut = (
        contrast(_sample(sums, arm), _sample(sums, test.baseline), level)
        for sums in (found.plain, found.winsorised)
    )
    above = found.above / found.values if found.values else None
    return WinsorisedDifference(
        goal.metric,
        arm,
        found.share,
        found.limit,
        above,
        _numbers(plain, goal),
        _numbers(cut, goal),
        _text(plain.verdict(goal), cut.verdict(goal)),
    )


def _sample(sums: Mapping[str, UnitSums], arm: str) -> Sample:
    return Sample.of_units(sums.get(arm, UnitSums()), None)


def _numbers(found: Contrast, goal: MetricGoal) -> DifferenceByUnits:
    anytime, verdict = found.anytime, found.verdict(goal)
    if isinstance(anytime, Estimate):
        ends = anytime.lower, anytime.upper
        return DifferenceByUnits(anytime.value, *ends, verdict, None)
    # Of a few units there is a difference already, and no interval yet.
    value = None if isinstance(found.fixed, NoEstimate) else found.fixed.value
    return DifferenceByUnits(value, None, None, verdict, anytime.reason)


def _text(plain: ComparisonVerdict, cut: ComparisonVerdict) -> str:
    if plain == cut:
        return f"{_words(plain)}, with and without the largest values"
    return f"{_words(plain)}; without the largest values: {_words(cut)}"


def _words(verdict: ComparisonVerdict) -> str:
    return verdict.replace("_", " ")
