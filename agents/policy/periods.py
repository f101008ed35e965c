"""An A/B test whose weights changed, compared period by period: like times with like times.

Means over all time mix periods in which the arms had other shares. If calls then were easier or
harder than now, arms differ by when they were served (Simpson's paradox). Within a period of
constant weights they do not, so that with periods as strata (streams.statistics.strata) the
difference is that of the arms alone.

    weights 1:1              | settling |  weights 1:9        paused   | weights 1:9
    period 1                 | change 1 |  period 2           nothing  | period 2

Producers take new weights one after the other: calls of the first SETTLING_MS are mixed, and are a
stratum of their own, in which both arms were served at the same time as well. Calls count by their
event time and to a pane (10 s); the monitor counts them by when they came, which a few calls at a
change may put on the other side.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from agents.policy.comparisons import Contrast, Level
from agents.policy.look import levels_of
from agents.policy.numbers import Numbers, Result
from agents.policy.split import SETTLING_MS
from agents.policy.trial import Cell
from schemas.entities import AbTest, MetricGoal
from schemas.records import ComparisonVerdict
from streams.partials import PANE_MS
from streams.statistics import means, rates
from streams.statistics.estimates import NoEstimate
from streams.statistics.moments import Moments, moments
from streams.statistics.sequential import confidence_sequence
from streams.statistics.strata import Side, stratified
from streams.statistics.sums import Sums


class Version(NamedTuple):
    """A test as it was from an instant on."""

    since: datetime
    test: AbTest


class Stretch(NamedTuple):
    """A stratum from a pane on, to the next stretch. `stratum` None: the test was not running."""

    start_ms: int
    stratum: str | None


Strata = Mapping[str, Mapping[Cell, Sums]]


@dataclass(frozen=True, slots=True)
class PeriodEstimate:
    """One metric of an arm against the baseline (arm minus baseline), periods as strata.

    `plain`: the same of all calls together, as the verdict has it. `strata`: periods and changes
    between them; `left_out`: the share of calls in those in which only one arm has values with any
    spread. `fixed_*`: this comparison alone, at one look; `anytime_*`: at every look, corrected as
    the verdict's. None: no estimate, see note.
    """

    metric: str
    arm: str
    baseline: str
    plain: float | None
    strata: int
    left_out: float | None
    difference: float | None
    fixed_p_value: float | None
    fixed_lower: float | None
    fixed_upper: float | None
    anytime_p_value: float | None
    anytime_lower: float | None
    anytime_upper: float | None
    verdict: ComparisonVerdict
    note: str | None


@dataclass(frozen=True, slots=True)
class Periods:
    """`changes`: how often weights changed while calls were counted. `advice`: what to trust."""

    changes: int
    estimates: tuple[PeriodEstimate, ...]
    advice: str


def stretches(versions: Sequence[Version]) -> list[Stretch]:
    """The strata of a test with this history, oldest version first. A single one: weights never
    changed while it ran."""
    found: list[Stretch] = []
    weights: tuple[float, ...] | None = None
    period = 0
    for version in versions:
        start_ms = int(version.since.timestamp() * 1000) // PANE_MS * PANE_MS
        if version.test.status != "running":
            found.append(Stretch(start_ms, None))
            continue
        own = _shares(version.test)
        if own == weights and found[-1].stratum is not None:
            continue  # another change of the test, which must not cut a settling short
        if weights is not None and own != weights:
            found.append(Stretch(start_ms, f"change {period}"))
            start_ms += SETTLING_MS
        if own != weights:
            period += 1
        weights = own
        found.append(Stretch(start_ms, f"period {period}"))
    return _in_order(found)


def from_first_call(found: Sequence[Stretch], began_ms: int) -> list[Stretch]:
    """The same from the first call on that the monitor counted, by its event time.

    Calls may have happened before the registry knew the test (a replay, a producer that reports
    late): they were counted, as they came while it ran. Of that time no status is known; times at
    which the test is known not to have run stay left out.
    """
    start_ms = began_ms // PANE_MS * PANE_MS
    first = next((each.stratum for each in found if each.stratum is not None), None)
    if first is None or start_ms >= found[0].start_ms:
        return list(found)
    return [Stretch(start_ms, first), *(found[1:] if found[0].stratum == first else found)]


def estimates(test: AbTest, strata: Strata) -> list[PeriodEstimate]:
    """Of every arm and metric, in the verdict's order."""
    levels = levels_of(test)
    return [
        _estimate(goal, (arm.arm, test.baseline), strata, levels[goal.role])
        for arm in test.arms
        if arm.arm != test.baseline
        for goal in test.metrics
    ]


def advice(test: AbTest, changes: int, found: Sequence[PeriodEstimate]) -> str:
    """In words, what to trust, and where it matters."""
    often = "1 time" if changes == 1 else f"{changes} times"
    text = (
        f"Weights changed {often} while the test ran: trust the differences by periods, "
        "which compare calls of the same time. The verdict's means mix times in which the arms had "
        "other shares, and the recommendation rests on them."
    )
    if test.analysis == "units":
        text += " By periods, calls are taken as independent, which calls of a unit are not."
    apart = [e for e in found if e.plain is not None and _apart(e)]
    if apart:
        listed = ", ".join(
            f"{e.metric} of {e.arm} ({e.plain:.4g} in all, {e.difference:.4g} by periods)"
            for e in apart
        )
        text += f" The plain difference is outside of the interval by periods: {listed}."
    return text


def changes_of(found: Sequence[Stretch]) -> int:
    """How often weights changed."""
    return sum(each.stratum is not None and each.stratum.startswith("change") for each in found)


def _in_order(found: Sequence[Stretch]) -> list[Stretch]:
    """A version that came within the settling of another cuts it short."""
    kept: list[Stretch] = []
    for one in found:
        while kept and kept[-1].start_ms >= one.start_ms:
            kept.pop()
        kept.append(one)
    return kept


def _shares(test: AbTest) -> tuple[float, ...]:
    total = sum(arm.weight for arm in test.arms)
    return tuple(arm.weight / total for arm in test.arms)


def _apart(found: PeriodEstimate) -> bool:
    low, high, plain = found.fixed_lower, found.fixed_upper, found.plain
    return low is not None and high is not None and plain is not None and not low <= plain <= high


def _estimate(
    goal: MetricGoal, arms: tuple[str, str], strata: Strata, level: Level
) -> PeriodEstimate:
    mine, other = (Cell(arm, goal.metric) for arm in arms)
    both = {
        name: (cells.get(mine, Sums()), cells.get(other, Sums())) for name, cells in strata.items()
    }
    both = {name: pair for name, pair in both.items() if pair[0].n or pair[1].n}
    binary = all(not sums.n or sums.binary for pair in both.values() for sums in pair)
    found = stratified({n: (_side(a, binary), _side(b, binary)) for n, (a, b) in both.items()})
    fixed: Result
    anytime: Result
    if isinstance(found, NoEstimate):
        fixed = anytime = found
    else:
        fixed = means.normal(found.difference, level.alpha)
        anytime = confidence_sequence(found.difference, level.tuning)
    once, always = Numbers.of(fixed, 1), Numbers.of(anytime, level.family)
    in_all, of_baseline = (
        sum((pair[side] for pair in both.values()), Sums()).mean for side in (0, 1)
    )
    return PeriodEstimate(
        metric=goal.metric,
        arm=arms[0],
        baseline=arms[1],
        plain=None if in_all is None or of_baseline is None else in_all - of_baseline,
        strata=len(both),
        left_out=None if isinstance(found, NoEstimate) else found.left_out,
        difference=once.value,
        fixed_p_value=once.p_value,
        fixed_lower=once.lower,
        fixed_upper=once.upper,
        anytime_p_value=always.p_value,
        anytime_lower=always.lower,
        anytime_upper=always.upper,
        verdict=Contrast("means", fixed, anytime).verdict(goal),
        note=next((e.reason for e in (fixed, anytime) if isinstance(e, NoEstimate)), None),
    )


def _side(sums: Sums, binary: bool) -> Side:
    """Rates with one success and one failure added to their spread, so that a period without a
    failure is no certainty (streams.statistics.rates)."""
    if not binary or sums.n < 2:
        return moments(sums)
    rate = rates.Rate(sums.n, sums.ones)
    return Moments(rate.n, rate.value, rate.variance * (rate.n - 1))
