"""Where one mean or rate lies, at one look that was fixed beforehand.

Means by Student's t (Biometrika 6, 1908): mean ± t(n - 1) * s / sqrt(n); rates by Wilson's score
interval (streams.statistics.rates). Values are taken as independent.
"""

import math

from scipy.special import ndtri, stdtrit

from streams.statistics.estimates import NoEstimate
from streams.statistics.exact import Interval
from streams.statistics.moments import moments
from streams.statistics.rates import Rate, wilson
from streams.statistics.sums import Sums


def interval(sums: Sums, alpha: float) -> Interval | NoEstimate:
    """Of a metric's mean at level 1 - alpha; 0/1 metrics are taken as rates."""
    if sums.n and sums.binary:
        found = Rate(sums.n, sums.ones)
        return Interval(found.value, *wilson(found, -float(ndtri(alpha / 2))))
    known = moments(sums)
    if isinstance(known, NoEstimate):
        return known
    half = -float(stdtrit(known.n - 1, alpha / 2)) * math.sqrt(known.mean_variance)
    lower, upper = known.mean - half, known.mean + half
    if not (math.isfinite(lower) and math.isfinite(upper)):
        return NoEstimate("the numbers are too large for double precision")
    return Interval(known.mean, lower, upper)
