"""What other methods say of an A/B test, beside its verdict, which they do not change. Pure.

A verdict rests on one method a metric. Whoever wants the tail of a latency, an exact answer from a
few calls, or 'the same within a margin', finds the row here. Which rows there are:

    every metric            the difference in percent
    values all 0 or 1       Fisher's exact test, beta-binomial sequences of rates; of all arms
                            together, chi-square
    all else, or by units   Student's t
    quality, not all 0, 1   empirical Bernstein sequences of means: it cannot leave 0 to 1
    all but 0/1 values      quantiles, and which arm's values tend to be larger: from sketches
    a goal with a margin    equivalence; of a guardrail also non-inferiority

A method that belongs to a metric and has no estimate yet is a row that says why.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from agents.policy.comparisons import Sample
from agents.policy.look import levels_of
from agents.policy.method_margins import margins, relative, student
from agents.policy.method_rates import bernstein, chi_square, rated
from agents.policy.method_rows import By, MethodRow, Place
from agents.policy.method_sketches import Side, quantiles, ranked
from agents.policy.trial import NOTHING, Cell
from schemas.entities import AbTest, MetricGoal
from streams.statistics.clusters import UnitSums
from streams.statistics.quantiles import Sketch
from streams.statistics.sums import Sums

BOUNDED = ("quality", "error")
"""Values outside of 0 to 1 do not enter: the rules of the events refuse them."""
CAUTIONS = (
    "These rows decide nothing: verdicts rest on their own comparisons.",
    (
        "'once' holds at a single look that was fixed beforehand: who looks often and stops at a "
        "small p-value is wrong more often than stated. 'at every look' holds however often one "
        "looks."
    ),
    (
        "Comparisons at every look are corrected for the arms and metrics of a role, as the "
        "verdict's. Rows 'once' and intervals of one arm alone are corrected for nothing, and no "
        "row for the number of methods: choose the method before looking."
    ),
)
NONE = Sketch((), ())


@dataclass(frozen=True, slots=True)
class Readings:
    """What was added up of a test: exact sums and sketches of calls by arm and metric, and of a
    test by units its sums over units."""

    sums: Mapping[Cell, Sums] = field(default_factory=dict)
    sketches: Mapping[Cell, Sketch] = field(default_factory=dict)
    units: Mapping[Cell, UnitSums] = field(default_factory=dict)


def method_rows(test: AbTest, found: Readings) -> tuple[MethodRow, ...]:
    """By metric in the order of the goals: each arm alone, all together, then each against the
    baseline."""
    return tuple(row for goal in test.metrics for row in _of_goal(test, goal, found))


def _of_goal(test: AbTest, goal: MetricGoal, found: Readings) -> Iterator[MethodRow]:
    level = levels_of(test)[goal.role]
    names = [arm.arm for arm in test.arms]
    sides: dict[str, Side] = {
        name: (
            found.sums.get(Cell(name, goal.metric), NOTHING),
            found.sketches.get(Cell(name, goal.metric), NONE),
        )
        for name in names
    }
    known = [sums for sums, _ in sides.values() if sums.n]
    binary = bool(known) and all(sums.binary for sums in known)
    for name in names:
        place = Place(goal, name, None, level, sides[name][0].n)
        yield from _of_calls(test, place, binary, sides[name], None)
    if binary:
        every = Place(goal, None, None, level, sum(sums.n for sums in known))
        yield chi_square(every, {name: sums for name, (sums, _) in sides.items()})
    for name in (name for name in names if name != test.baseline):
        one, other = sides[name], sides[test.baseline]
        place = Place(goal, name, test.baseline, level, one[0].n, other[0].n)
        yield from _of_calls(test, place, binary, one, other)
        arm, baseline = (_sample(test, goal, found, each) for each in (name, test.baseline))
        by: By = "units" if test.analysis == "units" else "calls"
        place = replace(place, by=by, n_arm=arm.n, n_baseline=baseline.n)
        if by == "units" or not binary:
            yield student(place, arm, baseline)
        yield relative(place, arm, baseline)
        yield from margins(place, arm, baseline)


def _of_calls(
    test: AbTest, place: Place, binary: bool, arm: Side, baseline: Side | None
) -> Iterator[MethodRow]:
    """What needs every value: of the arm alone, or against the baseline."""
    other = None if baseline is None else baseline[0]
    if binary:
        yield from rated(place, arm[0], other)
        return
    if place.goal.metric in BOUNDED:
        yield bernstein(place, arm[0], other, planned_n=test.planned_n)
    yield from quantiles(place, arm, baseline)
    if baseline is not None:
        yield from ranked(place, arm, baseline)


def _sample(test: AbTest, goal: MetricGoal, found: Readings, arm: str) -> Sample:
    cell = Cell(arm, goal.metric)
    if test.analysis == "units":
        return Sample.of_units(found.units.get(cell, UnitSums()), None)
    return Sample.of(found.sums.get(cell, NOTHING))
