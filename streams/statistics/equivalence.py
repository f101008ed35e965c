"""Not worse by more than a margin, or not different by more: 'cheaper, and not worse'.

Donald J. Schuirmann, Journal of Pharmacokinetics and Biopharmaceutics 15, 1987: two one-sided
tests. At a fixed horizon by Welch's t, or valid at every look by one_sided.lower_bound. A p-value
below alpha says so; one above says nothing, least of all that there is a difference.
"""

import math

from scipy.special import stdtr

from streams.statistics.estimates import SMALLEST, NoEstimate
from streams.statistics.means import Difference, difference
from streams.statistics.moments import Moments
from streams.statistics.one_sided import lower_bound
from streams.statistics.sequential import Tuning


def non_inferiority(arm: Moments, baseline: Moments, margin: float) -> float:
    """p-value of 'arm - baseline <= -margin', more being better, margin >= 0. Looked at once."""
    found = difference(arm, baseline)
    share = arm.mean_variance / (arm.mean_variance + baseline.mean_variance)
    freedom = 1 / (share**2 / (arm.n - 1) + (1 - share) ** 2 / (baseline.n - 1))
    p_value = float(stdtr(freedom, -(found.value + margin) / found.error))
    return max(p_value, SMALLEST)


def equivalence(arm: Moments, baseline: Moments, margin: float) -> float:
    """p-value of '|arm - baseline| >= margin': TOST. Looked at once."""
    return max(non_inferiority(arm, baseline, margin), non_inferiority(baseline, arm, margin))


def anytime_non_inferiority(found: Difference, margin: float, tuning: Tuning) -> float | NoEstimate:
    """The p-value of non_inferiority, valid at every look."""
    bound = lower_bound(found, tuning, null=-margin)
    return bound if isinstance(bound, NoEstimate) else bound.p_value


def anytime_equivalence(found: Difference, margin: float, tuning: Tuning) -> float | NoEstimate:
    """The p-value of equivalence, valid at every look."""
    swapped = Difference(-found.value, found.error, found.effective_n, found.smaller_n)
    sides = [anytime_non_inferiority(side, margin, tuning) for side in (found, swapped)]
    worst = -math.inf
    for side in sides:
        if isinstance(side, NoEstimate):
            return side
        worst = max(worst, side)
    return worst
