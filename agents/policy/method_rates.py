"""Rows of 0/1 values, and of means that are exact because values are bounded."""

from collections.abc import Callable, Iterator, Mapping

from agents.policy.method_rows import MethodRow, Place, Quantity, either
from streams.statistics import rates
from streams.statistics.estimates import NoEstimate
from streams.statistics.exact import Bounds, Interval, bounded_sequence, rate_sequence
from streams.statistics.rates import Rate
from streams.statistics.sums import Sums

Method = Callable[[Sums, float], Interval | NoEstimate]


def rated(place: Place, arm: Sums, baseline: Sums | None) -> Iterator[MethodRow]:
    """The beta-binomial sequence of the arm's rate, or of the difference, and Fisher's test."""
    found = _sequence(place, arm, baseline, _rate_sequence)
    quantity: Quantity = "rate" if baseline is None else "difference"
    yield place.row("beta_binomial", quantity, "at every look", found)
    if baseline is not None:
        yield _fisher(place, rates.rate(arm), rates.rate(baseline))


def chi_square(place: Place, arms: Mapping[str, Sums]) -> MethodRow:
    """Pearson's test of 'the rates of all arms are equal'; `value` is the rate of all calls."""
    known = {name: rates.rate(sums) for name, sums in arms.items()}
    missing = [f"{name}: {e.reason}" for name, e in known.items() if isinstance(e, NoEstimate)]
    if missing:
        return place.row("chi_square", "rate", "once", NoEstimate("; ".join(missing)))
    found = [each for each in known.values() if isinstance(each, Rate)]
    pooled = sum(each.ones for each in found) / sum(each.n for each in found)
    least = rates.expected_minimum(found)
    note = None
    if least < rates.EXPECTED_MIN:
        note = f"a table with an expected count of {least:.3g}: the p-value is rough"
    tested = rates.chi_square(found)
    return place.row("chi_square", "rate", "once", tested, value=pooled, note=note)


def bernstein(place: Place, arm: Sums, baseline: Sums | None, *, planned_n: int) -> MethodRow:
    """The empirical Bernstein sequence of the arm's mean, or of the difference: of values within 0
    and 1. `planned_n`: values an arm at which it is tightest."""

    def sequence(sums: Sums, alpha: float) -> Interval | NoEstimate:
        return bounded_sequence(sums, Bounds(planned_n=planned_n), alpha)

    found = _sequence(place, arm, baseline, sequence)
    quantity: Quantity = "mean" if baseline is None else "difference"
    return place.row("empirical_bernstein", quantity, "at every look", found)


def _rate_sequence(sums: Sums, alpha: float) -> Interval | NoEstimate:
    found = rates.rate(sums)
    return found if isinstance(found, NoEstimate) else rate_sequence(found, alpha)


def _sequence(
    place: Place, arm: Sums, baseline: Sums | None, sequence: Method
) -> Interval | NoEstimate:
    """Of two arms: each at half of alpha, which hold together."""
    if baseline is None:
        return sequence(arm, place.anytime_alpha)
    half = place.anytime_alpha / 2
    left, right = sequence(arm, half), sequence(baseline, half)
    if isinstance(left, NoEstimate) or isinstance(right, NoEstimate):
        return either(left, right)
    return left.minus(right)


def _fisher(place: Place, arm: Rate | NoEstimate, baseline: Rate | NoEstimate) -> MethodRow:
    if isinstance(arm, NoEstimate) or isinstance(baseline, NoEstimate):
        return place.row("fisher_exact", "difference", "once", either(arm, baseline))
    least = rates.expected_minimum([arm, baseline])
    note = None
    if least < rates.EXPECTED_MIN:
        note = f"a table with an expected count of {least:.3g}: trust this, not z or chi-square"
    gap = arm.value - baseline.value
    found = rates.fisher(arm, baseline)
    return place.row("fisher_exact", "difference", "once", found, value=gap, note=note)
