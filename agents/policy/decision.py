"""When an A/B test is decided, and by whom it is won. How arms stand: agents.policy.look.

The test is decided when
- some arm is ahead, and it is better than (or within the margin of) every other arm that is not
  behind or level: it wins. Arms within the margin of each other: the higher mean wins;
- every arm is behind: the baseline wins;
- every arm is behind or level: no difference;
- it is open at its maximum duration: no difference was found, which the words say.

What the test's DecisionRule asks for first (a least duration, a least number of units) holds back
all but one decision: when every arm is behind, the baseline wins at once, since harm need not wait.

False decisions. Each role's comparisons hold together at alpha at every look (Bonferroni over arms
and metrics of the role). To win falsely, an arm must be found better than the truly best one: that
is one of (arms - 1) comparisons, each made at alpha / (arms - 1) or less, so a wrong winner is
named with probability at most alpha. Guardrails, least effects, durations and sizes can only
prevent or delay winners.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from agents.policy import price
from agents.policy.look import Look, Standing, gains
from agents.policy.trial import Decision, Trial
from agents.policy.units import UnitFindings
from schemas.entities import AbTest, MetricGoal
from streams.statistics import srm


def conclude(look: Look, trial: Trial, units: UnitFindings, now: datetime) -> Decision | None:
    """The decision that the comparisons and the test's rule allow at `now`; None: it is open."""
    found = _proposed(look, now)
    test = look.test
    if test.analysis == "units" and units.failure is not None:
        # Nothing newer is known: whatever is decided must rest on what can be asked for again.
        return None
    harm = found is not None and found.winner == test.baseline
    if found is not None and (harm or not waits(test, trial, units, now)):
        return found
    ends_at = deadline(test, trial)
    if ends_at is None or now < ends_at:
        return None
    return found or Decision("no_difference", None, _expired(look, test), now)


def waits(test: AbTest, trial: Trial, units: UnitFindings, now: datetime) -> list[str]:
    """What the test's rule still asks for, in words."""
    rule, found = test.decision, []
    lasted_s = duration_s(trial, now)
    if lasted_s < rule.min_duration_s:
        found.append(f"it must run for {span(rule.min_duration_s)} and has for {span(lasted_s)}")
    counts = units_of(test, trial, units)
    fewest = min(counts.values(), default=0)
    if fewest < rule.min_units:
        what = "units" if test.analysis == "units" else "calls"
        found.append(f"each arm must have {rule.min_units} {what} and one has {fewest}")
    return found


def units_of(test: AbTest, trial: Trial, units: UnitFindings) -> Mapping[str, int]:
    """What counts as independent, by arm: units, or calls."""
    if test.analysis == "units":
        return {arm.arm: units.units.get(arm.arm, 0) for arm in test.arms}
    return {arm.arm: trial.calls(arm.arm) for arm in test.arms}


def duration_s(trial: Trial, now: datetime) -> float:
    """Event time from the first call to the last one, never beyond `now`."""
    if trial.first_ms is None or trial.last_ms is None:
        return 0.0
    return max(min(trial.last_ms / 1000, now.timestamp()) - trial.first_ms / 1000, 0.0)


def deadline(test: AbTest, trial: Trial) -> datetime | None:
    """When the test must be decided; None: it has no maximum duration, or did not begin."""
    longest_s = test.decision.max_duration_s
    if longest_s is None or trial.first_ms is None:
        return None
    began = datetime.fromtimestamp(trial.first_ms / 1000, UTC)
    return began + timedelta(seconds=longest_s)


def span(seconds: float) -> str:
    """A duration for people: two digits and a unit."""
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"


def _proposed(look: Look, now: datetime) -> Decision | None:
    """What the comparisons alone say."""
    standings = {arm: look.standing(arm) for arm in look.contrasts}
    ahead = [arm for arm, standing in standings.items() if standing == "ahead"]
    rivals = [arm for arm, standing in standings.items() if standing in ("ahead", "open")]
    for arm in sorted(ahead, key=lambda name: -look.merit(name)):
        if all(look.surpasses(arm, rival) for rival in rivals if rival != arm):
            return Decision("winner", arm, _won(look, arm), now)
    if rivals or not any(goal.role == "primary" for goal in look.test.metrics):
        return None
    if all(standing == "behind" for standing in standings.values()):
        return Decision("winner", look.test.baseline, _kept(look), now)
    return Decision("no_difference", None, _same(look, standings), now)


def mismatch(
    test: AbTest, trial: Trial, counts: Mapping[str, int], log_e: float, now: datetime
) -> Decision:
    """The decision that the test is invalid, from the evidence against its weights."""
    weights = " : ".join(f"{arm.weight:g}" for arm in test.arms)
    seen = ", ".join(f"{arm} {count}" for arm, count in counts.items())
    text = f"Invalid: traffic is not split {weights} as the weights say ({seen}; "
    text += f"p = {srm.p_value(log_e):.1g})."
    if trial.decision is not None:
        text += f" Before, it was decided: {trial.decision.text}"
    return Decision("invalid", None, text, now)


def _won(look: Look, arm: str) -> str:
    better = [goal.metric for goal, found in look.primary(arm) if gains(goal, found)]
    text = f"{arm} wins: better than {look.test.baseline} on "
    text += ", ".join(_means(look, arm, metric) for metric in better)
    if look.guards(arm):
        text += "; no guardrail is broken"
    return text + "."


def _kept(look: Look) -> str:
    return f"{look.test.baseline} stays: {'; '.join(_why_behind(look, a) for a in look.contrasts)}."


def _same(look: Look, standings: Mapping[str, Standing]) -> str:
    level = [arm for arm, standing in standings.items() if standing == "level"]
    within = {
        _within(goal, found.worth(goal) == "not_worth")
        for arm in level
        for goal, found in look.primary(arm)
    }
    text = f"No difference beyond {', '.join(sorted(within))} between {', '.join(level)} "
    text += f"and {look.test.baseline}"
    behind = [arm for arm, standing in standings.items() if standing == "behind"]
    return "; ".join([text, *(_why_behind(look, arm) for arm in behind)]) + "."


def _within(goal: MetricGoal, small: bool) -> str:
    if small:
        return f"the least effect of {goal.min_effect:g} on {goal.metric}"
    return f"the margin of {goal.margin:g} on {goal.metric}"


def _expired(look: Look, test: AbTest) -> str:
    longest = span(test.decision.max_duration_s or 0.0)
    still = ", ".join(arm for arm in look.contrasts if look.standing(arm) in ("open", "ahead"))
    return (
        f"No difference was found in the maximum duration of {longest}: {still} may still differ "
        f"from {test.baseline}, by what the intervals say."
    )


def _why_behind(look: Look, arm: str) -> str:
    worse = [
        f"is worse on {_means(look, arm, goal.metric)}"
        for goal, found in look.primary(arm)
        if found.verdict(goal) == "worse"
    ]
    broken = [
        f"breaks the guardrail {_guarded(look, arm, name)}"
        for name, guard in look.guards(arm)
        if guard == "broken"
    ]
    return f"{arm} {' and '.join([*worse, *broken])}"


def _guarded(look: Look, arm: str, name: str) -> str:
    if name != price.NAME:
        return _means(look, arm, name)
    usd = look.test.decision.cost_per_point_usd or 0.0
    both = f"{_means(look, arm, 'cost_usd')} for {_means(look, arm, 'quality')}"
    return f"{name}: it costs more than ${usd:g} for each 0.01 of quality: {both}"


def _means(look: Look, arm: str, metric: str) -> str:
    mine, other = (sample.mean for sample in look.pair(arm, look.test.baseline, metric))
    return f"{metric} ({mine:.6g} against {other:.6g})"
