"""What to do about a test, with the reason in words: the recommendation never says more than the
decision, and while there is none it says what is missing."""

from datetime import datetime
from typing import NamedTuple

from agents.policy.comparisons import Contrast, oriented
from agents.policy.decision import waits
from agents.policy.look import Look
from agents.policy.trial import Decision, Trial
from agents.policy.units import UnitFindings
from schemas.entities import MetricGoal
from schemas.records import Recommendation
from streams.statistics.estimates import NoEstimate

UNEVEN = 1.5
"""From this design effect on, intervals by calls are a fifth too narrow and more."""
CROSSED = 0.01
"""The share of units in several arms that is worth a warning."""


class Advice(NamedTuple):
    """A recommendation and its reason."""

    recommendation: Recommendation
    reason: str


def advise(
    look: Look, trial: Trial, units: UnitFindings, decided: Decision | None, now: datetime
) -> Advice:
    """`decided`: what was decided up to `now`."""
    if decided is not None:
        return Advice(recommended(decided, look.test.baseline), decided.text)
    return Advice("keep_going", _missing(look, trial, units, now))


def recommended(decided: Decision, baseline: str) -> Recommendation:
    """What a decision amounts to: another arm than the baseline won, or the baseline did."""
    if decided.kind != "winner":
        return decided.kind
    return "roll_back" if decided.winner == baseline else "ship"


def _missing(look: Look, trial: Trial, units: UnitFindings, now: datetime) -> str:
    test = look.test
    if test.status == "draft":
        return "The test is a draft: it has not begun."
    if test.mode == "offline":
        return "An offline test is judged by its cases, not by traffic."
    if not trial.sums:
        return "No calls of the test have come yet."
    if test.analysis == "units" and units.failure is not None:
        return f"It is analysed by units, and there is nothing newer: {units.failure}."
    if not any(goal.role == "primary" for goal in test.metrics):
        return "No metric is primary, so nothing can be decided."
    held = waits(test, trial, units, now)
    ahead = [arm for arm in look.contrasts if look.standing(arm) == "ahead"]
    reasons = [f"{ahead[0]} is ahead, but {text}" if ahead else text for text in held]
    if not held:
        reasons = [_open(look, arm) for arm in look.contrasts if look.standing(arm) == "open"]
        reasons = reasons or [f"{', '.join(ahead)} are ahead and not told apart yet"]
    text = "; ".join(reasons[:3])
    # Names of arms are shown as they are.
    first = text.split(" ", 1)[0].rstrip(":,")
    named = any(arm.arm == first for arm in test.arms)
    return f"{text}." if named else f"{text[:1].upper()}{text[1:]}."


def _open(look: Look, arm: str) -> str:
    """What keeps an arm from being ahead, behind or level."""
    primary = look.primary(arm)
    if any(found.verdict(goal) == "better" for goal, found in primary):
        waiting = [name for name, guard in look.guards(arm) if guard == "open"]
        if waiting:
            return f"{arm} is better, but {', '.join(waiting)} may still be worse than is accepted"
    goal, found = primary[0]
    return f"{arm}: {_range(goal, found)}"


def _range(goal: MetricGoal, found: Contrast) -> str:
    if isinstance(found.anytime, NoEstimate):
        return f"no interval of {goal.metric} yet ({found.anytime.reason})"
    lower, upper = oriented(found.anytime, goal)
    said = f"{goal.metric} may be better by {upper:.3g}" if upper > 0 else ""
    if lower <= 0 < upper:
        return f"{said} or worse by {-lower:.3g}"
    if goal.min_effect is not None:
        return f"{said}, and {goal.min_effect:g} is the least that matters"
    return said or f"{goal.metric} is worse by {-upper:.3g} at least"


def warning(look: Look, trial: Trial, units: UnitFindings) -> str | None:
    """Why the numbers should be read with care; None: nothing is known against them."""
    test, found = look.test, []
    if test.analysis == "events":
        effects = [
            (effect, goal.metric)
            for goal in test.metrics
            for arm in test.arms
            if (effect := units.effect(arm.arm, goal.metric)) is not None
        ]
        largest = max(effects, default=None)
        if largest is not None and largest[0] >= UNEVEN:
            found.append(
                f"calls of a unit depend on each other: the variance of {largest[1]} is "
                f"{largest[0]:.1f} times what this analysis takes it for, so its intervals are too "
                "narrow; set analysis to units"
            )
    total = sum(units.units.values())
    if total and units.crossed > CROSSED * total:
        share = units.crossed / total
        found.append(f"{units.crossed} units ({share:.1%}) had calls in more than one arm")
    if test.allocation.method != "fixed":
        found.append(
            "weights follow the results, so means mix periods with different weights: the arms "
            "may differ by when they were served; trust the results by periods"
        )
    if trial.split.carried and test.allocation.method == "fixed":
        found.append(
            "weights were changed while the test ran, or it was paused: if weights changed, trust "
            "the results by periods"
        )
    text = "; ".join(found)
    return f"{text[:1].upper()}{text[1:]}." if text else None
