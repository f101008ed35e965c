"""Does the effect last? Novelty (it changes with time since a unit's first call) and carry-over.

Novelty: differences of arms by period (days since the unit was first seen, or since the start). If
there is one effect, they scatter around it by their errors alone: William G. Cochran's Q,
Biometrics 10, 1954, is chi-square with periods - 1 degrees of freedom. A trend is the slope of a
weighted regression on the period. Kohavi, Tang, Xu, "Trustworthy Online Controlled Experiments",
2020, chapter 23. One look, at periods that are complete.

Carry-over: units remember the arm they were in before. Within each arm of this test, those that
came from one arm of the earlier test are compared with those that came from the other: an effect
there is not of this test. James E. Grizzle, Biometrics 21, 1965.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import solve_triangular
from scipy.special import chdtrc

from streams.statistics.estimates import SMALLEST, Estimate, NoEstimate
from streams.statistics.means import Difference, normal
from streams.statistics.moments import Moments
from streams.statistics.strata import Side, stratified

Matrix = npt.NDArray[np.float64]
ALONE_MIN = 1e-4
"""The least share of a period's error that the periods before it may leave open."""


@dataclass(frozen=True, slots=True)
class Drift:
    """`same_p`: p-value of 'the effect is the same in every period'. `trend`: its change per
    period. `first`, `last`: the effect in the first and the last period, of `effect` at all."""

    same_p: float
    trend: Estimate
    effect: float
    first: float
    last: float

    def fades(self, alpha: float = 0.01) -> bool:
        """Whether the effect goes towards 0 with time: novelty that wears off."""
        toward = self.trend.value * self.effect < 0
        return toward and self.trend.p_value < alpha

    def grows(self, alpha: float = 0.01) -> bool:
        """Whether the effect goes away from 0: units need time to learn."""
        away = self.trend.value * self.effect > 0
        return away and self.trend.p_value < alpha


def novelty(
    periods: Sequence[Difference], alpha: float = 0.05, correlation: Matrix | None = None
) -> Drift | NoEstimate:
    """From the differences of periods of the same length, in order; three at least.

    `correlation` of their errors, where units have values in several (streams.statistics.pieces);
    None: they are independent. Q and the regression are then the generalised ones, which are those
    of the independent periods L^-1 d with correlation = L L^T: A. C. Aitken, Proceedings of the
    Royal Society of Edinburgh 55, 1935. `alpha`: of the trend's interval. By the normal
    distribution: give each period dozens of values.
    """
    k = len(periods)
    if k < 3:
        return NoEstimate(f"{k} periods show no trend: three are needed")
    if not all(0 < p.error < math.inf and math.isfinite(p.value) for p in periods):
        return NoEstimate("a period's difference has no error to judge by")
    root = _root(np.eye(k) if correlation is None else correlation)
    if root is None:
        return NoEstimate("the errors of the periods move together: they cannot be told apart")
    values = np.array([p.value for p in periods])
    errors = np.array([p.error for p in periods])
    # Relative to the smallest error, so that weights do not overflow.
    least = float(errors.min())
    with np.errstate(all="ignore"):
        level = solve_triangular(root, least / errors, lower=True, check_finite=False)
        clock = solve_triangular(
            root, np.arange(k) * (least / errors), lower=True, check_finite=False
        )
        total = float(level @ level)
        effect = (
            float(
                level
                @ solve_triangular(root, least / errors * values, lower=True, check_finite=False)
            )
            / total
        )
        center = float(level @ clock) / total
        clock -= center * level
        spread = float(clock @ clock)
        apart = solve_triangular(root, (values - effect) / errors, lower=True, check_finite=False)
        q = float(apart @ apart)
        slope = least * float(clock @ apart)
    if not (spread > 0 and math.isfinite(q) and math.isfinite(effect)):
        return NoEstimate("one period outweighs all others")
    smaller = min(p.smaller_n for p in periods)
    found = Difference(slope / spread, least / math.sqrt(spread), math.nan, smaller)
    trend = normal(found, alpha)
    if isinstance(trend, NoEstimate):
        return trend
    same = max(float(chdtrc(k - 1, q)), SMALLEST)
    return Drift(same, trend, effect, periods[0].value, periods[-1].value)


def _root(correlation: Matrix) -> Matrix | None:
    """The lower L with L L^T = correlation; None: there is none, or it has no digits."""
    try:
        root: Matrix = np.asarray(np.linalg.cholesky(correlation), np.float64)
    except np.linalg.LinAlgError:
        return None
    return root if root.diagonal().min() > ALONE_MIN else None


def carry_over(by_arm: Sequence[tuple[Side, Side]], alpha: float = 0.05) -> Estimate | NoEstimate:
    """The effect of the earlier arm on what is measured now, at one look.

    For each arm of this test (units that were in the earlier test's treatment, those that were in
    its baseline). An interval that leaves out 0: units are not fresh; assign them anew with another
    salt, or wait.
    """
    named = {f"arm {i}": pair for i, pair in enumerate(by_arm, start=1)}
    found = stratified(named, left_out_max=1.0)
    return found if isinstance(found, NoEstimate) else normal(found.difference, alpha)


def before_start(arm: Moments, baseline: Moments, alpha: float = 0.05) -> Estimate | NoEstimate:
    """The difference of the arms in a period before the test began: there should be none.

    An interval that leaves out 0 has found units that are not assigned at random, or carry-over.
    """
    squared = arm.mean_variance + baseline.mean_variance
    smaller = min(arm.n, baseline.n)
    found = Difference(arm.mean - baseline.mean, math.sqrt(squared), math.nan, smaller)
    return normal(found, alpha)
