"""Is better quality worth its price? One more guardrail: a call may cost `usd` more for each 0.01
of quality that it is better.

    surplus = usd * 100 * (difference of quality) - (difference of cost)

must not be below 0. Both differences come from the same calls, and partials carry no covariance:
the standard error of a difference is at most the sum of the standard errors (triangle inequality),
and that bound is used. The surplus is looked at by an anytime-valid interval like every guardrail.
"""

from dataclasses import dataclass

from agents.policy.comparisons import Level, Sample
from schemas.records import Guard
from streams.statistics import means
from streams.statistics.estimates import NoEstimate
from streams.statistics.means import Difference
from streams.statistics.sequential import confidence_sequence

NAME = "price of quality"
POINTS = 100
"""Quality is in [0, 1]; a point is 0.01."""


@dataclass(frozen=True, slots=True)
class Sides:
    """(arm, baseline) of both metrics."""

    quality: tuple[Sample, Sample]
    cost_usd: tuple[Sample, Sample]


def surplus(sides: Sides, usd: float) -> Difference | NoEstimate:
    """The surplus of a call in USD; its error is an upper bound."""
    found = []
    for arm, baseline in (sides.quality, sides.cost_usd):
        if isinstance(arm.moments, NoEstimate):
            return arm.moments
        if isinstance(baseline.moments, NoEstimate):
            return baseline.moments
        found.append(means.difference(arm.moments, baseline.moments))
    quality, cost = found
    return Difference(
        usd * POINTS * quality.value - cost.value,
        usd * POINTS * quality.error + cost.error,
        min(quality.effective_n, cost.effective_n),
        min(quality.smaller_n, cost.smaller_n),
    )


def guard(sides: Sides, usd: float, level: Level) -> Guard:
    """safe: worth its price at every look. broken: not. open: not known yet."""
    found = surplus(sides, usd)
    if isinstance(found, NoEstimate):
        return "open"
    interval = confidence_sequence(found, level.tuning)
    if isinstance(interval, NoEstimate):
        return "open"
    if interval.upper < 0:
        return "broken"
    return "safe" if interval.lower >= 0 else "open"
