"""Intervals and p-values that hold at every look: look at each event, stop when you like.

Asymptotic confidence sequences: Ian Waudby-Smith, David Arbour, Ritwik Sinha, Edward H. Kennedy,
Aaditya Ramdas: "Time-uniform central limit theory and asymptotic confidence sequences", Annals of
Statistics 52(6), 2024 (arXiv 2103.06476), theorem 2.2 and eq. 9-10: after t values with standard
deviation s,

    mean +- s sqrt( 2 (t rho^2 + 1) / (t^2 rho^2) * log( sqrt(t rho^2 + 1) / alpha ) )

covers the true mean at all t together with probability 1 - alpha, as the first look moves to larger
samples. With the standard error e = s / sqrt(t) and x = t rho^2 this is

    mean +- e sqrt( (1 + 1/x) * (log(1 + x) - 2 log alpha) ).

For a difference of two arms (their section 3, without covariates), e is Welch's standard error, and
the clock t is what e^2 measures: the values per arm that would give it in equal arms. Any clock
proportional to 1 / e^2 is the same theorem; this one also holds when the arms' shares change.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

from scipy.special import lambertw

from streams.statistics.estimates import SMALLEST, Estimate, NoEstimate, estimate
from streams.statistics.means import Difference

VALUES_MIN = 100
"""Values in the smaller arm before the first look: the guarantee is asymptotic in the first look.
docs/statistics-simulations.md shows how often intervals miss from here on."""
UNEQUAL_MIN = 500
"""The same when arms are very unequal: errors of the normal approximation then no longer cancel
between the arms, and skewed metrics would be wrong more often than stated."""
UNEQUAL = 1.65
"""effective_n / smaller_n above which they are: about 1 : 4.7 with equal variances."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """Where the sequence is tightest: at `planned_n` values per arm, for intervals at `alpha`."""

    alpha: float
    planned_n: int

    @property
    def rho_squared(self) -> float:
        """The width at t = planned_n is least for t rho^2 = -W_{-1}(-alpha^2 / e) - 1.

        Setting the derivative of (1 + 1/x) (log(1 + x) - 2 log alpha) to 0 gives
        x = log(1 + x) - 2 log alpha; the paper's eq. 12 in closed form.
        """
        return _best(self.alpha) / self.planned_n


@lru_cache(maxsize=1024)
def _best(alpha: float) -> float:
    return float(-lambertw(-alpha * alpha / math.e, -1).real) - 1


def factor(x: float, alpha: float) -> float:
    """How many standard errors wide the interval is on each side, at x = t rho^2."""
    return math.sqrt((1 + 1 / x) * (math.log1p(x) - 2 * math.log(alpha)))


def always_valid_p(z: float, x: float) -> float:
    """The smallest alpha whose interval at x = t rho^2 leaves out a value z standard errors away.

    Inverting the interval: sqrt(1 + x) exp(-z^2 x / (2 (1 + x))), at most 1 and above 0, is the
    reciprocal of a normal mixture likelihood ratio. Ramesh Johari, Leo Pekelis, David J. Walsh:
    "Always valid inference", Operations Research 70(3), 2022. It is what holds now; the smallest of
    all looks so far is valid too.
    """
    return max(math.exp(min(-log_e_value(z, x), 0.0)), SMALLEST)


def values_min(found: Difference) -> int:
    """Values that the smaller arm needs before anything is said."""
    return UNEQUAL_MIN if found.effective_n > UNEQUAL * found.smaller_n else VALUES_MIN


def too_few(found: Difference) -> NoEstimate | None:
    """Why it is too early to say anything; None when it is not."""
    needed = values_min(found)
    if found.smaller_n >= needed:
        return None
    why = "" if needed == VALUES_MIN else ", as arms differ much in size"
    return NoEstimate(f"too few values yet: intervals start at {needed} in each arm{why}")


def log_e_value(z: float, x: float) -> float:
    """log of the evidence against 'the value is 0' at a look, for streams.statistics.evidence.

    The normal mixture likelihood ratio whose reciprocal is `always_valid_p`.
    """
    return z * z * x / (2 * (1 + x)) - 0.5 * math.log1p(x)


def evidence(found: Difference, tuning: Tuning) -> float | NoEstimate:
    """log_e_value of a difference, where confidence_sequence has an interval."""
    early = too_few(found)
    if early is not None:
        return early
    if not (found.error > 0 and math.isfinite(found.value / found.error)):
        return NoEstimate("the numbers are too large or too small for double precision")
    log_e = log_e_value(found.value / found.error, found.effective_n * tuning.rho_squared)
    return log_e if math.isfinite(log_e) else NoEstimate("the evidence is beyond doubles")


def confidence_sequence(found: Difference, tuning: Tuning) -> Estimate | NoEstimate:
    """The difference with an interval and a p-value that are valid at every look.

    Needs `values_min` values in each arm. Assumes independent values with finite variance.
    """
    early = too_few(found)
    if early is not None:
        return early
    x = found.effective_n * tuning.rho_squared
    half = factor(x, tuning.alpha) * found.error
    p_value = always_valid_p(found.value / found.error, x)
    return estimate(found.value, found.value - half, found.value + half, p_value)
