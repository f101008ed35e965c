"""Does the effect of an A/B test last, and did its units bring something along? Pure.

Signs are at one look: ALPHA is shared by all the questions of a kind (Bonferroni), so that a sound
test shows a sign of that kind in 1 of 100 looks, and more often if it is looked at often.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Literal

from schemas.entities import AbTest
from sinks.ab_drift import PIECES, Before, Earlier, Lasting
from sinks.ab_health import Measured, primary_metrics
from streams.statistics import clusters, drift, pieces
from streams.statistics.clusters import UnitSums
from streams.statistics.drift import Drift
from streams.statistics.estimates import Estimate, NoEstimate
from streams.statistics.pieces import UNITS_MIN, Pieces
from streams.statistics.strata import Side

Sign = Literal["sign", "no_sign", "not_enough_data"]
Clock = Literal["calendar", "exposure"]
ALPHA = 0.01
EXPOSED = 4
"""Periods of time since a unit's first value, each a piece of the test; of the units whose first
value lies early enough for all of them."""
_SPENT: dict[Clock, str] = {
    "calendar": "over the time of the test",
    "exposure": "with time since a unit's first value",
}


@dataclass(frozen=True, slots=True)
class EffectOverTime:
    """The difference of an arm to the baseline, period by period. None: not enough data.

    `clock`: 'calendar': the test's time in equal pieces; 'exposure': time since a unit's first
    value. `trend`: its change per period, with an interval and a p-value; `same_p_value`: of 'it is
    the same in every period'. `p_needed`: a sign is a p-value below it.
    """

    metric: str
    arm: str
    clock: Clock
    sign: Sign
    text: str
    p_needed: float
    differences: tuple[float, ...] = ()
    trend: float | None = None
    trend_lower: float | None = None
    trend_upper: float | None = None
    trend_p_value: float | None = None
    same_p_value: float | None = None


@dataclass(frozen=True, slots=True)
class CarriedOver:
    """A difference that is not of this test. None: not enough data.

    `earlier_test` None: of `arm` to the `other`, the baseline, before the test began. Else: of the
    units that came from `arm` of the earlier test to those from its `other`, within the arms of
    this test. A sign: the interval leaves out 0.
    """

    metric: str
    arm: str
    other: str
    earlier_test: str | None
    sign: Sign
    text: str
    difference: float | None = None
    lower: float | None = None
    upper: float | None = None
    p_value: float | None = None


def over_time(test: AbTest, found: Measured) -> tuple[EffectOverTime, ...]:
    """For every primary metric, arm and clock."""
    metrics, others = primary_metrics(test), _others(test)
    clocks: tuple[Clock, ...] = ("calendar", "exposure")
    # Two p-values each.
    level = ALPHA / max(len(metrics) * len(others) * len(clocks) * 2, 1)
    return tuple(
        _over_time(test, metric, arm, clock, found.lasting[metric], level)
        for metric in metrics
        for arm in others
        for clock in clocks
    )


def carried_over(test: AbTest, found: Measured) -> tuple[CarriedOver, ...]:
    """Before the test by primary metric and arm, then from the earlier test, if there was one."""
    metrics, others = primary_metrics(test), _others(test)
    came = _came(found.earlier)
    level = ALPHA / max(len(metrics) * (len(others) + max(len(came) - 1, 0)), 1)
    before = (
        _before(metric, (arm, test.baseline), found.before[metric], level)
        for metric in metrics
        for arm in others
    )
    return (*before, *_from_earlier(test, found.earlier, came, level))


def _others(test: AbTest) -> list[str]:
    return [arm.arm for arm in test.arms if arm.arm != test.baseline]


def _over_time(
    test: AbTest, metric: str, arm: str, clock: Clock, found: Lasting, level: float
) -> EffectOverTime:
    sides = [_periods(found, side, clock) for side in (arm, test.baseline)]
    judged = _judged(sides, level)
    if isinstance(judged, NoEstimate):
        why = f"{_SPENT[clock]}: not enough data: {judged.reason}"
        return EffectOverTime(metric, arm, clock, "not_enough_data", why, level)
    differences, drifted = judged
    sign, text = _said(drifted, len(differences), level)
    trend = drifted.trend
    return EffectOverTime(
        metric,
        arm,
        clock,
        sign,
        f"{_SPENT[clock]}: {text}",
        level,
        differences,
        trend.value,
        trend.lower,
        trend.upper,
        trend.p_value,
        drifted.same_p,
    )


def _periods(found: Lasting, arm: str, clock: Clock) -> Pieces | None:
    """None: no unit of the arm had a value (in time)."""
    by_first = found.get(arm, {})
    if clock == "calendar":
        parts = list(by_first.values())
    else:
        early = [first for first in by_first if first + EXPOSED <= PIECES]
        parts = [by_first[first].window(first, EXPOSED) for first in early]
    return reduce(add, parts) if parts else None


def _judged(
    sides: list[Pieces | None], level: float
) -> tuple[tuple[float, ...], Drift] | NoEstimate:
    arm, baseline = sides
    if arm is None or baseline is None:
        which = "the arm" if arm is None else "the baseline"
        return NoEstimate(f"no unit of {which} has a value")
    found = pieces.effects(arm, baseline)
    if isinstance(found, NoEstimate):
        return found
    drifted = drift.novelty(found.differences, level, found.correlation)
    if isinstance(drifted, NoEstimate):
        return drifted
    return tuple(each.value for each in found.differences), drifted


def _said(drifted: Drift, periods: int, level: float) -> tuple[Sign, str]:
    ends = f"{drifted.first:.4g} in the first of {periods} periods, {drifted.last:.4g} in the last"
    if drifted.fades(level):
        return "sign", f"a sign of novelty: the effect fades ({ends})"
    if drifted.grows(level):
        return "sign", f"a sign that units need time to learn: the effect grows ({ends})"
    if drifted.same_p < level:
        return "sign", f"a sign that the effect is not the same in every period ({ends})"
    return "no_sign", f"no sign that the effect changes ({ends})"


def _before(metric: str, arms: tuple[str, str], sums: Before, level: float) -> CarriedOver:
    arm, baseline = (_side(sums.get(side)) for side in arms)
    for name, side in zip(("the arm", "the baseline"), (arm, baseline), strict=True):
        if isinstance(side, NoEstimate):
            why = f"before the test: not enough data: {name}: {side.reason}"
            return CarriedOver(metric, *arms, None, "not_enough_data", why)
    assert not isinstance(arm, NoEstimate)
    assert not isinstance(baseline, NoEstimate)
    return _difference(
        CarriedOver(metric, *arms, None, "no_sign", "before the test"),
        drift.before_start(arm, baseline, level),
        "the arms differed already: units are not assigned at random, or brought something along",
    )


def _from_earlier(
    test: AbTest, earlier: Earlier | None, came: list[str], level: float
) -> Iterator[CarriedOver]:
    if earlier is None:
        return
    name = earlier.ab_test_id
    for metric, sums in earlier.sums.items():
        for then in came[1:]:
            sides = [
                (_side(sums.get((arm.arm, then))), _side(sums.get((arm.arm, came[0]))))
                for arm in test.arms
            ]
            about = f"from {name}, units of its arm {then} against those of {came[0]}"
            yield _difference(
                CarriedOver(metric, then, came[0], name, "no_sign", about),
                drift.carry_over(sides, level),
                "they differ now, in the same arms of this test: assign units anew, or wait",
            )


def _came(earlier: Earlier | None) -> list[str]:
    """The arms that units came from; the first is what the others are compared with."""
    if earlier is None:
        return []
    return sorted({then for sums in earlier.sums.values() for _, then in sums})


def _side(sums: UnitSums | None) -> Side:
    units = 0 if sums is None else sums.units
    if sums is None or units < UNITS_MIN:
        return NoEstimate(f"{units} such units have a value: {UNITS_MIN} are needed")
    return clusters.moments(sums)


def _difference(about: CarriedOver, found: Estimate | NoEstimate, why: str) -> CarriedOver:
    """`about` with what was found; its text says of what."""
    names = about.metric, about.arm, about.other, about.earlier_test
    if isinstance(found, NoEstimate):
        text = f"{about.text}: not enough data: {found.reason}"
        return CarriedOver(*names, "not_enough_data", text)
    shown = f"{found.value:.4g}, [{found.lower:.4g}, {found.upper:.4g}]"
    sure = found.lower > 0 or found.upper < 0
    sign: Sign = "sign" if sure else "no_sign"
    text = f"a sign of carry-over ({shown}): {why}" if sure else f"no sign of carry-over ({shown})"
    numbers = found.value, found.lower, found.upper, found.p_value
    return CarriedOver(*names, sign, f"{about.text}: {text}", *numbers)
