"""Is an A/B test itself sound? What stands beside its results, in numbers and in words. Pure.

A sign is a reason to look closer before the results are believed, not a decision: only the mismatch
test of the calls (agents.policy.split) ends a test.
"""

from dataclasses import dataclass
from datetime import datetime

from agents.ab_lasting import CarriedOver, EffectOverTime, Sign, carried_over, over_time
from agents.ab_winsorised import WinsorisedDifference, winsorised
from agents.policy.verdicts import SRM_ALPHA
from schemas.entities import AbTest
from schemas.records import AbVerdict
from sinks.ab_health import CrossedUnit, Measured
from streams.statistics.assignment import Assignment, assignment
from streams.statistics.estimates import NoEstimate

TOLERANCE = 0.01
"""The share of units in several arms that is let pass: shared devices, lost cookies."""


@dataclass(frozen=True, slots=True)
class UnitsInSeveralArms:
    """`share`: `crossed` of `units`. `lower`, `upper`: where the share lies, valid at every look;
    `dilution`: the least share of a true effect that is left. None: no unit is settled yet.

    `examples`: at most 5 of them, with their arms in order of the first call.
    """

    sign: Sign
    text: str
    units: int
    crossed: int
    share: float | None
    lower: float | None
    upper: float | None
    dilution: float | None
    examples: tuple[CrossedUnit, ...]


@dataclass(frozen=True, slots=True)
class TrafficSplit:
    """p-values of 'arms get what their weights say', valid at every look: of the calls, as in the
    verdict, and of the units; None: not known, `text` says why."""

    sign: Sign
    text: str
    calls_p_value: float | None
    units_p_value: float | None


@dataclass(frozen=True, slots=True)
class Health:
    """`sign`: whether there is one anywhere; 'not_enough_data' when nothing could be judged.

    `over_time`, `carried_over`: by primary metric. `one_in`: of so many units one was looked at
    for these two.
    """

    as_of: datetime
    sign: Sign
    units_in_several_arms: UnitsInSeveralArms
    split: TrafficSplit
    over_time: tuple[EffectOverTime, ...]
    carried_over: tuple[CarriedOver, ...]
    winsorised: tuple[WinsorisedDifference, ...]
    one_in: int


def judged(
    test: AbTest, verdict: AbVerdict | None, found: Measured | None, now: datetime
) -> Health | NoEstimate:
    """`found`: as sinks.ab_health.measured has it; `now`: when that was."""
    if found is None:
        if test.mode == "offline":
            return NoEstimate("all arms of an offline test run the same cases: it has no units")
        return NoEstimate("no calls of the test are stored")
    assigned = _assigned(test, found)
    several = _several(found, assigned)
    split = _split(test, verdict, found, assigned)
    changes, carried = over_time(test, found), carried_over(test, found)
    signs: set[Sign] = {several.sign, split.sign}
    signs |= {change.sign for change in changes} | {each.sign for each in carried}
    order: tuple[Sign, ...] = ("sign", "no_sign", "not_enough_data")
    return Health(
        as_of=now,
        sign=next(sign for sign in order if sign in signs),
        units_in_several_arms=several,
        split=split,
        over_time=changes,
        carried_over=carried,
        winsorised=winsorised(test, found),
        one_in=found.extent.one_in,
    )


def _assigned(test: AbTest, found: Measured) -> Assignment | NoEstimate:
    total = sum(arm.weight for arm in test.arms)
    return assignment(
        [found.assigned.settled.get(arm.arm, 0) for arm in test.arms],
        [arm.weight / total for arm in test.arms],
        found.assigned.settled_crossed,
        TOLERANCE,
        SRM_ALPHA,
    )


def _several(found: Measured, assigned: Assignment | NoEstimate) -> UnitsInSeveralArms:
    counted = found.assigned.crossing
    share = counted.crossed / counted.units if counted.units else None
    shown = f"{counted.crossed:,} of {counted.units:,} units"
    if share:
        shown += f" ({share:.2%})"
    common = counted.units, counted.crossed, share
    if isinstance(assigned, NoEstimate):
        text = f"not enough data: {shown} were in several arms, and none is settled yet"
        return UnitsInSeveralArms(
            "not_enough_data", text, *common, None, None, None, found.assigned.examples
        )
    sign: Sign = "not_enough_data"
    text = f"not enough data to say whether it is more than {TOLERANCE:.0%}"
    if assigned.crossing:
        sign, text = "sign", f"a sign: more than the {TOLERANCE:.0%} that is let pass"
    elif assigned.crossed.upper <= TOLERANCE:
        sign, text = "no_sign", f"no sign of more than the {TOLERANCE:.0%} that is let pass"
    return UnitsInSeveralArms(
        sign,
        f"{shown} were in several arms: {text}",
        *common,
        assigned.crossed.lower,
        assigned.crossed.upper,
        assigned.dilution,
        found.assigned.examples,
    )


def _split(
    test: AbTest, verdict: AbVerdict | None, found: Measured, assigned: Assignment | NoEstimate
) -> TrafficSplit:
    calls = None if verdict is None else verdict.srm_p_value
    units, why = _of_units(test, found, assigned)
    known = [p for p in (calls, units) if p is not None]
    parts = ["calls: no complete pane yet" if calls is None else f"calls: p {calls:.4g}"]
    parts.append(f"units: {why}" if units is None else f"units: p {units:.4g}")
    shown = ", ".join(parts)
    if not known:
        return TrafficSplit("not_enough_data", f"not enough data ({shown})", calls, units)
    if min(known) < SRM_ALPHA:
        text = f"a sign that arms do not get what their weights say ({shown})"
        return TrafficSplit("sign", text, calls, units)
    return TrafficSplit("no_sign", f"no sign of a mismatch ({shown})", calls, units)


def _of_units(
    test: AbTest, found: Measured, assigned: Assignment | NoEstimate
) -> tuple[float | None, str]:
    """(p-value, why there is none)."""
    if test.allocation.method != "fixed":
        return None, "not judged, as the weights follow the evidence"
    if found.weights_changed is None:
        return None, "not judged, as ClickHouse does not know the weights of earlier versions"
    if found.weights_changed:
        return None, "not judged, as the weights were changed"
    if isinstance(assigned, NoEstimate):
        return None, "none is settled yet"
    return assigned.split_p, ""
