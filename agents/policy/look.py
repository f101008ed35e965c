"""All comparisons of a test at one instant, and how each arm stands.

Each arm is compared with the baseline on every metric. An arm is then

    ahead     better on a primary metric, by enough to matter, worse on none, every guardrail safe
    behind    worse on a primary metric, or a guardrail is broken
    level     on every primary metric no difference beyond the margin, or none worth shipping
    open      none of these yet

A guardrail with a margin is safe when the whole interval is above -margin, and broken when all of
it is below. Without a margin it is broken when the arm is worse, else safe. A guardrail whose
values are the same constant in both arms is safe; one that was not measured stays open. A price
for quality (DecisionRule.cost_per_point_usd) is one more guardrail: agents.policy.price.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from agents.policy import price
from agents.policy.comparisons import Contrast, Level, Sample, contrast, oriented
from agents.policy.trial import NOTHING, Cell, Trial, followed_metrics
from agents.policy.units import UnitFindings
from schemas.entities import AbTest, MetricGoal, Role
from schemas.records import Guard
from streams.statistics.clusters import UnitSums
from streams.statistics.estimates import NoEstimate

Standing = Literal["ahead", "behind", "level", "open"]


def levels_of(test: AbTest) -> Mapping[Role, Level]:
    """At which level the comparisons of each role are made."""
    sizes = Counter(goal.role for goal in test.metrics)
    if test.decision.cost_per_point_usd is not None:
        sizes["guardrail"] += 1
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
    _standings: dict[str, Standing] = field(default_factory=dict, compare=False)

    @classmethod
    def at(cls, test: AbTest, trial: Trial, units: UnitFindings) -> "Look":
        """`units`: what a test by units rests on; nothing else does."""
        levels = levels_of(test)
        metrics = {*(goal.metric for goal in test.metrics), *followed_metrics(test)}
        cells = (Cell(arm.arm, metric) for arm in test.arms for metric in metrics)
        samples = {cell: _sample(test, trial, units, cell) for cell in cells}
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

    def guards(self, arm: str) -> list[tuple[str, Guard]]:
        """(what is guarded, how it stands), the price of quality last."""
        found = [
            (goal.metric, self.guard(arm, goal, contrast))
            for goal, contrast in self.goals(arm)
            if goal.role == "guardrail"
        ]
        usd = self.test.decision.cost_per_point_usd
        if usd is not None:
            found.append((price.NAME, price.guard(self._dear(arm), usd, self.levels["guardrail"])))
        return found

    def _dear(self, arm: str) -> price.Sides:
        baseline = self.test.baseline
        return price.Sides(
            self.pair(arm, baseline, "quality"), self.pair(arm, baseline, "cost_usd")
        )

    def standing(self, arm: str) -> Standing:
        """See above. Found once: decision and reason both ask."""
        known = self._standings.get(arm)
        if known is None:
            known = self._standings[arm] = self._standing(arm)
        return known

    def _standing(self, arm: str) -> Standing:
        primary = self.primary(arm)
        verdicts = [found.verdict(goal) for goal, found in primary]
        guards = [guard for _, guard in self.guards(arm)]
        if "worse" in verdicts or "broken" in guards:
            return "behind"
        if any(gains(goal, found) for goal, found in primary):
            return "ahead" if all(guard == "safe" for guard in guards) else "open"
        return "level" if primary and all(_level(g, found) for g, found in primary) else "open"

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

    def guard(self, arm: str, goal: MetricGoal, found: Contrast) -> Guard:
        mine, other = self.pair(arm, self.test.baseline, goal.metric)
        if mine.constant is not None and mine.constant == other.constant:
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


def gains(goal: MetricGoal, found: Contrast) -> bool:
    """Better, and by enough to matter."""
    return found.verdict(goal) == "better" and found.worth(goal) in (None, "worth")


def _level(goal: MetricGoal, found: Contrast) -> bool:
    return found.verdict(goal) == "no_difference" or found.worth(goal) == "not_worth"


def _sample(test: AbTest, trial: Trial, units: UnitFindings, cell: Cell) -> Sample:
    if test.analysis == "events":
        return Sample.of(trial.sums.get(cell, NOTHING))
    return Sample.of_units(units.sums.get(cell, UnitSums()), units.adjusted.get(cell))
