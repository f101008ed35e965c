"""The group-sequential analysis of a test whose looks are planned, beside its verdict. Pure.

A look is the first verdict in which the smaller arm had its share of planned_n values. Whoever read
verdicts before and after has not looked, as far as these rows are concerned: they rest on that
verdict alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from agents.policy.comparisons import Level
from agents.policy.look import levels_of
from schemas.entities import AbTest, MetricGoal, Spending, SpendingFamily
from streams.statistics.estimates import NoEstimate
from streams.statistics.planned import Judged, Seen, judged, needed_p
from streams.statistics.spending import APART_MIN, bounds

WHEN: Literal["at the planned looks only"] = "at the planned looks only"


@dataclass(frozen=True, slots=True)
class LookSeen:
    """A comparison in the first verdict in which the smaller arm had `needed` values: its numbers
    of a single look, or None and why."""

    needed: int
    as_of: datetime
    n_arm: int
    n_baseline: int
    difference: float | None
    lower: float | None
    upper: float | None
    p_value: float | None
    note: str | None


@dataclass(frozen=True, slots=True)
class LookRow:
    """One planned look of one arm against the baseline on one metric.

    `needed`: values of the smaller arm (units, of a test by units) at which it is due. `as_of`: of
    the verdict that reached them first; None: not reached. `fraction`: information as a share of
    the planned, that of the verdict, or the planned one until then. `bound`: the |z| that stops the
    test at this look, `p_needed` the same as a p-value, already corrected for `corrected_for`
    comparisons; None: the look is none, `note` says why. `crossed` None: not reached, or no
    estimate. `lower`, `upper`: hold at all planned looks together, at `level`. `p_value`: the
    nominal one, of this look as if it were the only one.
    """

    metric: str
    arm: str
    baseline: str
    method: Literal["group_sequential"]
    family: SpendingFamily
    look: int
    looks: int
    needed: int
    when: Literal["at the planned looks only"]
    as_of: datetime | None
    n_arm: int | None
    n_baseline: int | None
    fraction: float
    bound: float | None
    p_needed: float | None
    z: float | None
    value: float | None
    lower: float | None
    upper: float | None
    p_value: float | None
    crossed: bool | None
    level: float
    corrected_for: int
    note: str | None


def needed(test: AbTest) -> tuple[int, ...]:
    """Values of the smaller arm at each planned look; none without planned looks."""
    if test.spending is None:
        return ()
    looks = test.spending.looks
    return tuple(-(-look * test.planned_n // looks) for look in range(1, looks + 1))


def look_rows(
    test: AbTest, seen: Mapping[tuple[str, str], Sequence[LookSeen]]
) -> tuple[LookRow, ...]:
    """`seen` by metric and arm, in any order. By metric in the order of the goals, then by arm."""
    if test.spending is None:
        return ()
    levels = levels_of(test)
    return tuple(
        row
        for goal in test.metrics
        for arm in test.arms
        if arm.arm != test.baseline
        for row in _Contrast(test, test.spending, goal, arm.arm, levels[goal.role]).rows(
            seen.get((goal.metric, arm.arm), ())
        )
    )


@dataclass(frozen=True, slots=True)
class _Contrast:
    """One arm against the baseline on one metric."""

    test: AbTest
    spending: Spending
    goal: MetricGoal
    arm: str
    level: Level

    def rows(self, seen: Sequence[LookSeen]) -> Iterator[LookRow]:
        found = {each.needed: each for each in seen}
        due = needed(self.test)
        fractions = [self._fraction(n, found.get(n)) for n in due]
        made = _made(fractions)
        alpha = self.level.tuning.alpha
        limits = bounds([fractions[i] for i in made], alpha, self.spending.family)
        by_look = dict(zip(made, limits, strict=True))
        for i, n in enumerate(due):
            yield self._row(i, n, fractions[i], by_look.get(i), found.get(n))

    def _fraction(self, due: int, seen: LookSeen | None) -> float:
        n = due if seen is None else min(seen.n_arm, seen.n_baseline)
        return min(n / self.test.planned_n, 1.0)

    def _row(
        self, i: int, due: int, fraction: float, bound: float | None, seen: LookSeen | None
    ) -> LookRow:
        said: Judged | NoEstimate | None = None
        note = None
        if bound is None:
            note = "not a look of its own: the values for another one came with it, or just before"
        elif seen is None:
            note = "not reached"
        else:
            said = self._judged(seen, bound)
            note = said.reason if isinstance(said, NoEstimate) else None
        known = said if isinstance(said, Judged) else None
        return LookRow(
            metric=self.goal.metric,
            arm=self.arm,
            baseline=self.test.baseline,
            method="group_sequential",
            family=self.spending.family,
            look=i + 1,
            looks=self.spending.looks,
            needed=due,
            when=WHEN,
            as_of=None if seen is None else seen.as_of,
            n_arm=None if seen is None else seen.n_arm,
            n_baseline=None if seen is None else seen.n_baseline,
            fraction=fraction,
            bound=bound,
            p_needed=None if bound is None else needed_p(bound),
            z=None if known is None else known.z,
            value=None if known is None or seen is None else seen.difference,
            lower=None if known is None else known.lower,
            upper=None if known is None else known.upper,
            p_value=None if known is None or seen is None else seen.p_value,
            crossed=None if known is None else known.crossed,
            level=1 - self.level.tuning.alpha,
            corrected_for=self.level.family,
            note=note,
        )

    def _judged(self, seen: LookSeen, bound: float) -> Judged | NoEstimate:
        value, lower, upper, p = seen.difference, seen.lower, seen.upper, seen.p_value
        if value is None or lower is None or upper is None or p is None:
            return NoEstimate(seen.note or "the verdict has no estimate")
        return judged(Seen(value, lower, upper, p, self.test.alpha), bound)


def _made(fractions: Sequence[float]) -> list[int]:
    """Which looks there are: one verdict that is due for several is the last of them, and what
    comes right after a look is none."""
    found: list[int] = []
    for i, fraction in enumerate(fractions):
        together = i + 1 < len(fractions) and fractions[i + 1] == fraction
        too_close = bool(found) and fraction - fractions[found[-1]] < APART_MIN
        if not together and not too_close:
            found.append(i)
    return found
