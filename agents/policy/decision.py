"""When an A/B test is decided, and by whom it is won.

Each arm is compared with the baseline on every metric. An arm is then

    ahead     better on a primary metric, worse on none, and every guardrail is safe
    behind    worse on a primary metric, or a guardrail is broken
    level     no difference beyond the margin on every primary metric
    open      none of these yet

A guardrail with a margin is safe when the whole interval is above -margin, and broken when all of
it is below. Without a margin it is broken when the arm is worse, else safe. A guardrail whose
values are the same constant in both arms is safe; one that was not measured stays open.

The test is decided when
- some arm is ahead, and it is better than (or within the margin of) every other arm that is not
  behind or level: it wins. Arms within the margin of each other: the higher mean wins;
- every arm is behind: the baseline wins;
- every arm is behind or level: no difference.

False decisions. Each role's comparisons hold together at alpha at every look (Bonferroni over arms
and metrics of the role). To win falsely, an arm must be found better than the truly best one: that
is one of (arms - 1) comparisons, each made at alpha / (arms - 1) or less, so a wrong winner is
named with probability at most alpha. Guardrails can only prevent winners.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from agents.policy.comparisons import Contrast, Level, Sample, contrast, oriented
from agents.policy.trial import Cell, Decision, Trial
from schemas.entities import AbTest, MetricGoal, Role
from streams.statistics import srm
from streams.statistics.estimates import NoEstimate

Standing = Literal["ahead", "behind", "level", "open"]
Guard = Literal["safe", "broken", "open"]


def levels_of(test: AbTest) -> Mapping[Role, Level]:
    """At which level the comparisons of each role are made."""
    sizes = Counter(goal.role for goal in test.metrics)
    others = len(test.arms) - 1
    return {
        role: Level.shared(test.alpha, metrics * others, test.planned_n)
        for role, metrics in sizes.items()
    }


@dataclass(frozen=True, slots=True)
class Look:
    """All comparisons with the baseline at one instant: by arm, in the order of the goals."""

    test: AbTest
    levels: Mapping[Role, Level]
    samples: Mapping[Cell, Sample]
    contrasts: Mapping[str, Sequence[Contrast]]

    @classmethod
    def at(cls, test: AbTest, trial: Trial) -> "Look":
        levels = levels_of(test)
        samples = {
            Cell(arm.arm, goal.metric): Sample.of(trial.of(arm.arm, goal.metric))
            for arm in test.arms
            for goal in test.metrics
        }
        contrasts = {
            arm.arm: [
                contrast(
                    samples[Cell(arm.arm, goal.metric)],
                    samples[Cell(test.baseline, goal.metric)],
                    levels[goal.role],
                )
                for goal in test.metrics
            ]
            for arm in test.arms
            if arm.arm != test.baseline
        }
        return cls(test, levels, samples, contrasts)

    def pair(self, arm: str, other: str, metric: str) -> tuple[Sample, Sample]:
        return self.samples[Cell(arm, metric)], self.samples[Cell(other, metric)]

    def goals(self, arm: str) -> list[tuple[MetricGoal, Contrast]]:
        return list(zip(self.test.metrics, self.contrasts[arm], strict=True))

    def primary(self, arm: str) -> list[tuple[MetricGoal, Contrast]]:
        return [(goal, found) for goal, found in self.goals(arm) if goal.role == "primary"]

    def guards(self, arm: str) -> list[tuple[MetricGoal, Guard]]:
        return [
            (goal, self._guard(arm, goal, found))
            for goal, found in self.goals(arm)
            if goal.role == "guardrail"
        ]

    def standing(self, arm: str) -> Standing:
        verdicts = [found.verdict(goal) for goal, found in self.primary(arm)]
        guards = [guard for _, guard in self.guards(arm)]
        if "worse" in verdicts or "broken" in guards:
            return "behind"
        if "better" in verdicts:
            return "ahead" if all(guard == "safe" for guard in guards) else "open"
        return "level" if verdicts and set(verdicts) == {"no_difference"} else "open"

    def surpasses(self, arm: str, rival: str) -> bool:
        """Whether `arm` is better than `rival` on the first primary metric, or not different."""
        goal, _ = self.primary(arm)[0]
        found = contrast(*self.pair(arm, rival, goal.metric), self.levels["primary"])
        return found.verdict(goal) in ("better", "no_difference")

    def merit(self, arm: str) -> float:
        """Mean of the first primary metric, turned so that more is better."""
        goal, _ = self.primary(arm)[0]
        mean = self.samples[Cell(arm, goal.metric)].mean or 0.0
        return mean if goal.direction == "higher" else -mean

    def _guard(self, arm: str, goal: MetricGoal, found: Contrast) -> Guard:
        mine, other = (s.sums for s in self.pair(arm, self.test.baseline, goal.metric))
        if mine.constant and other.constant and mine.minimum == other.minimum:
            return "safe"
        if isinstance(found.fixed, NoEstimate):
            return "open"
        if goal.margin is None:
            return "broken" if found.verdict(goal) == "worse" else "safe"
        if isinstance(found.anytime, NoEstimate):
            return "open"
        lower, upper = oriented(found.anytime, goal)
        if upper < -goal.margin:
            return "broken"
        return "safe" if lower >= -goal.margin else "open"


def conclude(look: Look, now: datetime) -> Decision | None:
    """The decision that the comparisons allow at `now`; None while it is open."""
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


def mismatch(trial: Trial, log_e: float, now: datetime) -> Decision:
    """The decision that the test is invalid, from the evidence against its weights."""
    split = trial.split
    counts = ", ".join(f"{arm} {count}" for arm, count in split.complete().items())
    weights = " : ".join(f"{weight:g}" for _, weight in split.weights)
    text = f"Invalid: traffic is not split {weights} as the weights say ({counts}; "
    text += f"p = {srm.p_value(log_e):.1g})."
    if trial.decision is not None:
        text += f" Before, it was decided: {trial.decision.text}"
    return Decision("invalid", None, text, now)


def _won(look: Look, arm: str) -> str:
    better = [goal.metric for goal, found in look.primary(arm) if found.verdict(goal) == "better"]
    text = f"{arm} wins: better than {look.test.baseline} on "
    text += ", ".join(_means(look, arm, metric) for metric in better)
    if look.guards(arm):
        text += "; no guardrail is broken"
    return text + "."


def _kept(look: Look) -> str:
    return f"{look.test.baseline} stays: {'; '.join(_why_behind(look, a) for a in look.contrasts)}."


def _same(look: Look, standings: Mapping[str, Standing]) -> str:
    goals = [goal for goal in look.test.metrics if goal.role == "primary"]
    level = ", ".join(arm for arm, standing in standings.items() if standing == "level")
    margins = ", ".join(f"{goal.margin:g} on {goal.metric}" for goal in goals)
    text = f"No difference beyond the margin of {margins} between {level} and {look.test.baseline}"
    behind = [arm for arm, standing in standings.items() if standing == "behind"]
    return "; ".join([text, *(_why_behind(look, arm) for arm in behind)]) + "."


def _why_behind(look: Look, arm: str) -> str:
    worse = [
        f"is worse on {_means(look, arm, goal.metric)}"
        for goal, found in look.primary(arm)
        if found.verdict(goal) == "worse"
    ]
    broken = [
        f"breaks the guardrail {_means(look, arm, goal.metric)}"
        for goal, guard in look.guards(arm)
        if guard == "broken"
    ]
    return f"{arm} {' and '.join([*worse, *broken])}"


def _means(look: Look, arm: str, metric: str) -> str:
    mine, other = (sample.mean for sample in look.pair(arm, look.test.baseline, metric))
    return f"{metric} ({mine:.6g} against {other:.6g})"
