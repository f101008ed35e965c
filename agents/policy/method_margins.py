"""Rows about means: the difference by Student's t, in percent, and 'the same', or 'no worse',
within a margin."""

from collections.abc import Iterator
from dataclasses import replace

from agents.policy.comparisons import Sample
from agents.policy.method_rows import Found, MethodRow, Place, Quantity, either
from streams.statistics import equivalence, means, rates
from streams.statistics.estimates import Estimate, NoEstimate, estimate
from streams.statistics.means import Difference
from streams.statistics.moments import Moments
from streams.statistics.sequential import confidence_sequence

QUANTITY: Quantity = "difference"


def relative(place: Place, arm: Sample, baseline: Sample) -> MethodRow:
    """arm - baseline in percent of the baseline's mean."""
    pair = _moments(arm, baseline)
    ratio = pair if isinstance(pair, NoEstimate) else means.relative(*pair)
    found = (
        ratio
        if isinstance(ratio, NoEstimate)
        else _percent(confidence_sequence(ratio, place.level.tuning))
    )
    return place.row("relative", "percent", "at every look", found)


def student(place: Place, arm: Sample, baseline: Sample) -> MethodRow:
    """arm - baseline, with one variance for both."""
    pair = _moments(arm, baseline)
    found = pair if isinstance(pair, NoEstimate) else means.student(*pair, alpha=place.level.alpha)
    return place.row("student", QUANTITY, "once", found)


def margins(place: Place, arm: Sample, baseline: Sample) -> Iterator[MethodRow]:
    """p-values of 'the difference is the margin or more' (equivalence) and, of a guardrail, of 'the
    arm is worse by the margin or more'. Below alpha: it is not. None without a margin."""
    margin = place.goal.margin
    if margin is None:
        return
    pair, found = _moments(arm, baseline), _difference(arm, baseline)
    if margin > 0:
        yield from _equivalence(place, pair, found, margin)
    if place.goal.role == "guardrail":
        yield from _non_inferiority(place, pair, found, margin)


def _equivalence(
    place: Place,
    pair: tuple[Moments, Moments] | NoEstimate,
    found: Difference | NoEstimate,
    margin: float,
) -> Iterator[MethodRow]:
    always: Found = (
        found
        if isinstance(found, NoEstimate)
        else equivalence.anytime_equivalence(found, margin, place.level.tuning)
    )
    once: Found = pair if isinstance(pair, NoEstimate) else equivalence.equivalence(*pair, margin)
    gap = None if isinstance(found, NoEstimate) else found.value
    yield place.row("equivalence", QUANTITY, "at every look", always, value=gap, margin=margin)
    yield place.row("equivalence", QUANTITY, "once", once, value=gap, margin=margin)


def _non_inferiority(
    place: Place,
    pair: tuple[Moments, Moments] | NoEstimate,
    found: Difference | NoEstimate,
    margin: float,
) -> Iterator[MethodRow]:
    gap = None
    always: Found
    if isinstance(found, NoEstimate):
        always = found
    else:
        gap = found.value
        more_is_better = place.goal.direction == "higher"
        better = found if more_is_better else replace(found, value=-found.value)
        always = equivalence.anytime_non_inferiority(better, margin, place.level.tuning)
    once: Found
    if isinstance(pair, NoEstimate):
        once = pair
    else:
        arm, baseline = pair if place.goal.direction == "higher" else pair[::-1]
        once = equivalence.non_inferiority(arm, baseline, margin)
    yield place.row("non_inferiority", QUANTITY, "at every look", always, value=gap, margin=margin)
    yield place.row("non_inferiority", QUANTITY, "once", once, value=gap, margin=margin)


def _moments(arm: Sample, baseline: Sample) -> tuple[Moments, Moments] | NoEstimate:
    left, right = arm.moments, baseline.moments
    if isinstance(left, NoEstimate) or isinstance(right, NoEstimate):
        return either(left, right)
    return left, right


def _difference(arm: Sample, baseline: Sample) -> Difference | NoEstimate:
    """As the verdict's comparisons take it: of rates where all values are 0 or 1. Then a rate of 0
    has a spread too."""
    if arm.rate is not None and baseline.rate is not None:
        return rates.difference(arm.rate, baseline.rate)
    pair = _moments(arm, baseline)
    return pair if isinstance(pair, NoEstimate) else means.difference(*pair)


def _percent(found: Estimate | NoEstimate) -> Estimate | NoEstimate:
    if isinstance(found, NoEstimate):
        return found
    return estimate(100 * found.value, 100 * found.lower, 100 * found.upper, found.p_value)
