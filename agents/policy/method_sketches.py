"""Rows from sketches of values: quantiles, and which arm's values tend to be larger."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from agents.policy.method_rows import Found, MethodRow, Place, Quantity, either
from schemas.entities import Direction
from streams.statistics import quantiles as library
from streams.statistics import ranks
from streams.statistics.estimates import Estimate, NoEstimate
from streams.statistics.means import Difference
from streams.statistics.quantiles import Sketch
from streams.statistics.sequential import confidence_sequence
from streams.statistics.sums import Sums

Side = tuple[Sums, Sketch]
"""The sums and the sketch of an arm's values."""
HALF: tuple[Quantity, float] = ("p50", 0.5)
TAILS: Mapping[Direction, tuple[Quantity, float]] = {
    "lower": ("p95", 0.95),
    "higher": ("p05", 0.05),
}
"""The bad end of a metric, by the direction in which it is better."""


def quantiles(place: Place, arm: Side, baseline: Side | None = None) -> Iterator[MethodRow]:
    """The median and the bad tail (p95 where less is better, else p05), of the arm or arm minus
    baseline, at every look and at one."""
    missing = _incomplete(*arm) if baseline is None else _incomplete_pair(arm, baseline)
    for quantity, q in (HALF, TAILS[place.goal.direction]):
        always: Found
        once: Found
        if missing is not None:
            always = once = missing
        elif baseline is None:
            always = library.anytime(arm[1], q, place.anytime_alpha)
            once = library.fixed(arm[1], q, place.level.alpha)
        else:
            sides = arm[1], baseline[1]
            always = library.difference(*sides, q, place.anytime_alpha)
            once = library.difference(*sides, q, place.level.alpha, every_look=False)
        yield place.row("quantile", quantity, "at every look", always)
        yield place.row("quantile", quantity, "once", once)


def ranked(place: Place, arm: Side, baseline: Side) -> Iterator[MethodRow]:
    """The probability that a call of the arm has the larger value: at every look; at one look with
    an interval; and the Mann-Whitney test of 'both arms have one distribution'."""
    missing, sketches = _incomplete_pair(arm, baseline), (arm[1], baseline[1])
    found = ranks.superiority(*sketches) if missing is None else missing
    tested: Found = ranks.mann_whitney(*sketches) if missing is None else missing
    anytime: Found
    once: Found
    value = None
    if isinstance(found, NoEstimate):
        anytime = once = found
    else:
        value = found.value + 0.5
        anytime = _anytime(place, found)
        once = _probability(ranks.bounded(found, place.level.alpha))
    yield place.row("superiority", "probability", "at every look", anytime)
    yield place.row("brunner_munzel", "probability", "once", once)
    yield place.row("mann_whitney", "probability", "once", tested, value=value)


def _anytime(place: Place, found: Difference) -> Estimate | NoEstimate:
    """A probability: nothing of its interval is outside of 0 to 1."""
    known = _probability(confidence_sequence(found, place.level.tuning))
    if isinstance(known, NoEstimate):
        return known
    return replace(known, lower=max(known.lower, 0.0), upper=min(known.upper, 1.0))


def _probability(found: Estimate | NoEstimate) -> Estimate | NoEstimate:
    """From 'beyond 1/2' to the probability."""
    if isinstance(found, NoEstimate):
        return found
    return replace(found, value=found.value + 0.5, lower=found.lower + 0.5, upper=found.upper + 0.5)


def _incomplete(sums: Sums, sketch: Sketch) -> NoEstimate | None:
    if not sums.n:
        return NoEstimate("no values")
    if not sketch.n:
        return NoEstimate("no sketch of this metric is kept")
    if sketch.n != sums.n:
        return NoEstimate(f"the sketch holds {sketch.n:,} of {sums.n:,} values")
    return None


def _incomplete_pair(arm: Side, baseline: Side) -> NoEstimate | None:
    left, right = _incomplete(*arm), _incomplete(*baseline)
    return None if left is None and right is None else either(left, right)
