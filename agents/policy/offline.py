"""The verdict of an offline A/B test: all arms answered the same cases, compared case by case.

Paired differences are what is independent. The number of cases is fixed and they are looked at
once, so decisions rest on Student's paired t at the level that the comparisons of a role share
(Bonferroni). The anytime numbers, for whoever looks while a run is under way, come from the same
differences. Wilcoxon's signed ranks, and McNemar's test where all values are 0 or 1, stand beside
them: they are no basis of a decision.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from agents.policy.case_pairs import CasePair, PairedTests, case_pair
from agents.policy.comparisons import Context, Sample, comparison
from agents.policy.decision import conclude
from agents.policy.look import Look, levels_of
from agents.policy.recommend import recommended
from agents.policy.trial import Cell, Trial
from agents.policy.units import UnitFindings
from schemas.entities import AbTest, DecisionRule
from schemas.records import AbVerdict, ArmCount, Comparison
from streams.statistics.estimates import Estimate
from streams.statistics.sums import Sums
from streams.statistics.version import VERSION

MULTIPLICITY = (
    "decisions: paired t over the same cases, Bonferroni over arms and metrics of a role; fixed "
    "numbers are of one comparison alone"
)
Cases = Mapping[Cell, Mapping[str, float]]
"""One value a case, by arm and metric."""


@dataclass(frozen=True, slots=True)
class OfflineAnalysis:
    """The verdict, and every test behind each of its comparisons."""

    verdict: AbVerdict
    paired: tuple[PairedTests, ...]


def judge_offline(test: AbTest, cases: Cases, now: datetime) -> OfflineAnalysis:
    """Of what is finished at `now`. Durations and sizes of the rule are of traffic, and are not
    asked for; a price of quality is not compared."""
    ruled = replace(test, analysis="events", decision=DecisionRule())
    levels = levels_of(ruled)
    arms = [arm.arm for arm in test.arms if arm.arm != test.baseline]
    pairs = {
        (arm, goal.metric): case_pair(
            (goal.metric, arm, test.baseline),
            cases.get(Cell(arm, goal.metric), {}),
            cases.get(Cell(test.baseline, goal.metric), {}),
            levels[goal.role],
        )
        for arm in arms
        for goal in test.metrics
    }
    samples = {
        Cell(arm.arm, goal.metric): Sample.of(
            Sums.of_values(list(cases.get(Cell(arm.arm, goal.metric), {}).values()))
        )
        for arm in test.arms
        for goal in test.metrics
    }
    contrasts = {a: [pairs[a, goal.metric].decisive for goal in test.metrics] for a in arms}
    look = Look(ruled, levels, samples, contrasts)
    decided = conclude(look, Trial(), UnitFindings(), now)
    reason = _reason(arms, test, pairs) if decided is None else decided.text
    counts = {a.arm: _finished(test, cases, a.arm) for a in test.arms}
    verdict = AbVerdict(
        ab_test_id=test.ab_test_id,
        org_id=test.org_id,
        capability=test.capability,
        as_of=now,
        status="collecting" if decided is None else "decided",
        winner=None if decided is None else decided.winner,
        decided_at=None if decided is None else now,
        decision=None if decided is None else decided.text,
        srm_p_value=None,
        alpha=test.alpha,
        arms=tuple(ArmCount(a.arm, a.model_id, counts[a.arm]) for a in test.arms),
        comparisons=tuple(_comparisons(look, pairs)),
        recommendation="keep_going" if decided is None else recommended(decided, test.baseline),
        reason=reason,
        warning=_warning(counts),
        multiplicity=MULTIPLICITY,
        statistics_version=VERSION,
    )
    return OfflineAnalysis(verdict, tuple(pair.tests for pair in pairs.values()))


def _comparisons(look: Look, pairs: Mapping[tuple[str, str], CasePair]) -> list[Comparison]:
    baseline, found = look.test.baseline, []
    for arm in look.contrasts:
        for goal, decisive in look.goals(arm):
            pair = pairs[arm, goal.metric]
            guard = look.guard(arm, goal, decisive) if goal.role == "guardrail" else None
            each = comparison(
                goal,
                (arm, baseline),
                look.pair(arm, baseline, goal.metric),
                pair.shown,
                Context(look.levels[goal.role], None, guard, None),
            )
            gap = pair.shown.fixed
            found.append(
                replace(
                    each,
                    n_arm=pair.tests.cases,
                    n_baseline=pair.tests.cases,
                    difference=gap.value if isinstance(gap, Estimate) else None,
                    verdict=decisive.verdict(goal),
                    worth=decisive.worth(goal) if goal.role == "primary" else None,
                    note=pair.note,
                )
            )
    return found


def _finished(test: AbTest, cases: Cases, arm: str) -> int:
    return max((len(cases.get(Cell(arm, goal.metric), {})) for goal in test.metrics), default=0)


def _reason(arms: Sequence[str], test: AbTest, pairs: Mapping[tuple[str, str], CasePair]) -> str:
    least = min(pairs[arm, goal.metric].tests.cases for arm in arms for goal in test.metrics)
    if not least:
        return "No case is finished by all arms yet, with a value of every metric."
    return f"{least} cases answered by all do not tell the arms apart: add cases."


def _warning(counts: Mapping[str, int]) -> str | None:
    if len(set(counts.values())) < 2:
        return None
    listed = ", ".join(f"{arm} {count}" for arm, count in counts.items())
    return f"Arms finished different numbers of cases: {listed}."
