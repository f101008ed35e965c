"""Less noise with several covariates: regression adjustment, from sums of squares and products.

Covariates x that are known before the treatment can act predict part of y. With slopes b from the
variation within arms,

    d = (mean y_1 - mean y_0) - b' (mean x_1 - mean x_0)

One slope for both arms is the analysis of covariance (R. A. Fisher); slopes of their own for each
arm are never worse as samples grow: Winston Lin, "Agnostic notes on regression adjustments to
experimental data: reexamining Freedman's critique", Annals of Applied Statistics 7, 2013. One
covariate with one slope is CUPED (streams.statistics.adjustment).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from streams.statistics.adjustment import Adjusted
from streams.statistics.estimates import NoEstimate
from streams.statistics.moments import Moments

Floats = npt.NDArray[np.float64]
DIGITS = 1e-10
"""Of a covariate: spread that is left beside the other covariates, as a share of its own."""

ROUNDING = 1e-13
"""Of a mean: deviations from it that say nothing."""


@dataclass(frozen=True, slots=True)
class Cross:
    """Of n units: means of (y, x_1, .., x_k), and the centred products of each two, (k+1, k+1).

    Zero: Cross.zero(k). Merging is exact up to rounding, in any order.
    """

    n: int
    means: Floats
    products: Floats

    @classmethod
    def zero(cls, covariates: int) -> "Cross":
        size = covariates + 1
        return cls(0, np.zeros(size), np.zeros((size, size)))

    @classmethod
    def of_units(cls, y: Sequence[float], x: Floats) -> "Cross":
        """y: (n,), x: (n, k), a row a unit. Raises ValueError when they do not fit."""
        values = np.column_stack([np.asarray(y, np.float64), np.asarray(x, np.float64)])
        if not len(values):
            return cls.zero(values.shape[1] - 1)
        # What overflows is infinite, and found when it is used.
        with np.errstate(over="ignore", invalid="ignore"):
            means = values.mean(axis=0)
            centred = values - means
            return cls(len(values), means, centred.T @ centred)

    def __add__(self, other: "Cross") -> "Cross":
        """Chan, Golub, LeVeque 1982, for vectors."""
        if not self.n or not other.n:
            return other if not self.n else self
        n = self.n + other.n
        with np.errstate(over="ignore", invalid="ignore"):
            delta = other.means - self.means
            products = self.products + other.products
            products = products + np.outer(delta, delta) * (self.n * other.n / n)
            return Cross(n, self.means + delta * (other.n / n), products)


def adjusted(
    arm: Cross, baseline: Cross, slopes: Literal["common", "own"] = "common"
) -> Adjusted | NoEstimate:
    """Both arms moved to the covariates' mean over both, for means.welch or confidence sequences.

    `theta` of the result is the slope of the first covariate (own slopes: the arm's). Degrees of
    freedom for the k slopes are taken off each arm's variance. Assumes that the treatment cannot
    change x. No estimate when a covariate follows from the others, or an arm has too few units.
    """
    k = len(arm.means) - 1
    if k < 1 or len(baseline.means) != k + 1:
        raise ValueError(f"covariates: {k} and {len(baseline.means) - 1}")
    sides = {"arm": arm, "baseline": baseline}
    for name, side in sides.items():
        if side.n < k + 3:
            return NoEstimate(f"{name}: {side.n} units are too few for {k} covariates")
        if not (np.isfinite(side.products).all() and np.isfinite(side.means).all()):
            return NoEstimate(f"{name}: the numbers are too large for double precision")
        # What centring leaves of equal values is rounding.
        rounding = side.n * (ROUNDING * side.means) ** 2
        if not (np.diag(side.products) > rounding).all():
            return NoEstimate(f"{name}: the metric or a covariate has no spread")
    pooled = arm.products + baseline.products
    fits = [pooled, pooled] if slopes == "common" else [arm.products, baseline.products]
    thetas = []
    for fit in fits:
        theta = _slopes(fit)
        if isinstance(theta, NoEstimate):
            return theta
        thetas.append(theta)
    center = (arm.n * arm.means[1:] + baseline.n * baseline.means[1:]) / (arm.n + baseline.n)
    apart = thetas[0] - thetas[1]
    # The common centre is an estimate too; it moves the difference by the slopes' difference.
    shared = float(apart @ pooled[1:, 1:] @ apart) / (arm.n + baseline.n) ** 2
    moved = []
    for side, theta in zip((arm, baseline), thetas, strict=True):
        combination = np.concatenate([[1.0], -theta])
        m2 = float(combination @ side.products @ combination)
        if not m2 > DIGITS * side.products[0, 0]:
            return NoEstimate("the covariates predict the metric exactly: no spread is left")
        mean = float(side.means[0] - theta @ (side.means[1:] - center))
        lost = k if slopes == "own" else k / 2
        m2 = m2 * (side.n - 1) / (side.n - 1 - lost) + shared / 2 * side.n * (side.n - 1)
        moved.append(Moments(side.n, mean, m2))
    before = sum(side.products[0, 0] / (side.n - 1) / side.n for side in (arm, baseline))
    after = moved[0].mean_variance + moved[1].mean_variance
    return Adjusted(moved[0], moved[1], float(thetas[0][0]), float(after / before))


def _slopes(products: Floats) -> Floats | NoEstimate:
    """Least squares, on covariates scaled to a spread of 1."""
    scale = np.sqrt(np.diag(products)[1:])
    correlations = products[1:, 1:] / np.outer(scale, scale)
    values = np.linalg.eigvalsh(correlations)
    if not values[0] > DIGITS * len(scale):
        return NoEstimate("a covariate follows from the others: leave it out")
    scaled = np.linalg.solve(correlations, products[1:, 0] / scale)
    return np.asarray(scaled / scale, np.float64)
