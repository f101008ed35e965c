"""One-sided numbers valid at every look: how bad can it be at worst?

The asymptotic sequence of streams.statistics.sequential with a half-normal mixture, which puts all
its weight on one side: with z standard errors and x = t rho^2,

    M = 2 / sqrt(1 + x) * exp(z^2 x / (2 (1 + x))) * Phi(z sqrt(x / (1 + x)))

Howard et al., Annals of Statistics 49(2), 2021, prop. 6, is the same mixture; Waudby-Smith et al.
2024, appendix, its asymptotic use. The p-value is 1 / M; the bound is where M = 1 / alpha.
"""

import math
from dataclasses import dataclass

from scipy.optimize import brentq
from scipy.special import log_ndtr

from streams.statistics.estimates import SMALLEST, NoEstimate
from streams.statistics.means import Difference
from streams.statistics.sequential import Tuning, too_few


@dataclass(frozen=True, slots=True)
class Bound:
    """`lower`: below the true value at all looks with probability 1 - alpha. `p_value`: of 'the
    value is at most `null`'."""

    value: float
    lower: float
    p_value: float


def log_e_value(z: float, x: float) -> float:
    """log of the evidence that the value is above the null it is z standard errors away from."""
    share = x / (1 + x)
    tail = float(log_ndtr(z * math.sqrt(share)))
    return math.log(2) - 0.5 * math.log1p(x) + z * z * share / 2 + tail


def factor(x: float, alpha: float) -> float:
    """How many standard errors below the value the bound is."""

    def excess(z: float) -> float:
        return log_e_value(z, x) + math.log(alpha)

    high = 1.0
    while excess(high) < 0:
        high *= 2
    return float(brentq(excess, -1.0, high, rtol=1e-13))


def lower_bound(found: Difference, tuning: Tuning, null: float = 0.0) -> Bound | NoEstimate:
    """The difference with a lower bound at tuning.alpha. For an upper one, swap the arms.

    Assumes what confidence_sequence assumes, its burn-in included.
    """
    early = too_few(found)
    if early is not None:
        return early
    x = found.effective_n * tuning.rho_squared
    lower = found.value - factor(x, tuning.alpha) * found.error
    log_e = log_e_value((found.value - null) / found.error, x)
    p_value = max(math.exp(min(-log_e, 0.0)), SMALLEST)
    if not math.isfinite(lower):
        return NoEstimate("the numbers are too large or too small for double precision")
    return Bound(found.value, lower, p_value)
