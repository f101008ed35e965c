"""A mean with its interval: of cases, by clusters, and of rates. Pure."""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from scipy.special import ndtri, stdtrit

from streams.statistics.clusters import UnitSums, moments
from streams.statistics.estimates import NoEstimate
from streams.statistics.rates import Rate, wilson


@dataclass(frozen=True, slots=True)
class Interval:
    """A value and its interval at level 1 - alpha."""

    value: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class NoInterval:
    """A value of which cannot be said how exact it is."""

    value: float
    reason: str


MeanResult = Interval | NoInterval | NoEstimate


def mean_interval(
    values: Sequence[float], clusters: Sequence[Hashable], alpha: float, share: bool = False
) -> MeanResult:
    """The mean of `values`, whose errors depend on each other within a cluster only.

    Student's t with G - 1 degrees of freedom for G clusters, and the cluster-robust variance of
    streams.statistics.clusters (with clusters of one case: the ordinary one). So advises Evan
    Miller, "Adding error bars to evals", 2024, arXiv:2411.00640, section 2.2.

    `share`: values lie in [0, 1]. Then the interval is cut there. It is Wilson's for independent
    values of 0 and 1; also where all values are 0, or all 1, but for G values only, as the cases of
    a cluster may be copies of one.
    """
    if not values:
        return NoEstimate("no values")
    totals: dict[Hashable, list[float]] = {}
    for value, cluster in zip(values, clusters, strict=True):
        totals.setdefault(cluster, []).append(value)
    mean = math.fsum(values) / len(values)
    alone = len(totals) == len(values) and set(values) <= {0.0, 1.0}
    if share and (alone or mean in (0.0, 1.0)):
        rate = Rate(len(totals), round(mean * len(totals)))
        return Interval(mean, *wilson(rate, -float(ndtri(alpha / 2))))
    found = moments(
        UnitSums.of_units(
            [math.fsum(v) for v in totals.values()], [float(len(v)) for v in totals.values()]
        )
    )
    if isinstance(found, NoEstimate):
        return NoInterval(mean, found.reason)
    half = -float(stdtrit(found.n - 1, alpha / 2)) * math.sqrt(found.mean_variance)
    lower, upper = mean - half, mean + half
    return (
        Interval(mean, max(lower, 0.0), min(upper, 1.0)) if share else Interval(mean, lower, upper)
    )
