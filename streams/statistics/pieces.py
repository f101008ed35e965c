"""Effects in successive pieces of time, of units that come back: their errors move together.

A unit with calls in several pieces makes their errors depend on each other, whatever the metric.
From sums over units of x_i, the unit's total in piece i, and m_i, its size there, with
r_i = sum x_i / sum m_i and e_i = x_i - r_i m_i of each unit,

    cov(r_i, r_j) = sum e_i e_j / (sum m_i sum m_j)

times G / (G - 1) as in streams.statistics.clusters, of which this is the form for several ratios
(the multivariate delta method: Alex Deng, Ulf Knoblich, Jiannan Lu, KDD 2018). Arms are taken to
have no unit in common, so the covariances of a difference are the sums of both arms'.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from streams.statistics import clusters, means
from streams.statistics.clusters import UnitSums
from streams.statistics.estimates import NoEstimate
from streams.statistics.means import Difference

Matrix = npt.NDArray[np.float64]
UNITS_MIN = 50
"""With a value in a piece, in each arm: below, an error is not known well enough to judge by."""


@dataclass(frozen=True, slots=True, eq=False)
class Pieces:
    """Sums over the units of one arm, by piece of time.

    `units`: k counts of those with a value in the piece. `totals`, `sizes`: sums of x_i and m_i,
    shape (k,). `products`: sums of z_i z_j with z = x_1 .. x_k, m_1 .. m_k, shape (2k, 2k).
    """

    units: npt.NDArray[np.int64]
    totals: Matrix
    sizes: Matrix
    products: Matrix

    @classmethod
    def of_units(
        cls, totals: Sequence[Sequence[float]], sizes: Sequence[Sequence[float]]
    ) -> "Pieces":
        """From x and m of each unit, k numbers each."""
        x, m = np.asarray(totals, np.float64), np.asarray(sizes, np.float64)
        z = np.concatenate([x, m], axis=1)
        return cls((m > 0).sum(axis=0), x.sum(axis=0), m.sum(axis=0), z.T @ z)

    def __add__(self, other: "Pieces") -> "Pieces":
        """Of both together; no unit is in both."""
        return Pieces(
            self.units + other.units,
            self.totals + other.totals,
            self.sizes + other.sizes,
            self.products + other.products,
        )

    def window(self, first: int, count: int) -> "Pieces":
        """Of `count` pieces, from the one with index `first` on."""
        k = len(self.units)
        kept = slice(first, first + count)
        rows = [*range(k)[kept], *range(k, 2 * k)[kept]]
        products = self.products[np.ix_(rows, rows)]
        return Pieces(self.units[kept], self.totals[kept], self.sizes[kept], products)

    def of(self, i: int) -> UnitSums:
        """Of the piece with this index alone."""
        k = len(self.units)
        x_sq, m_sq = float(self.products[i, i]), float(self.products[k + i, k + i])
        cross = float(self.products[i, k + i])
        total, size = float(self.totals[i]), float(self.sizes[i])
        return UnitSums(int(self.units[i]), total, x_sq, size, m_sq, cross, None)


@dataclass(frozen=True, slots=True, eq=False)
class Effects:
    """The difference of two arms in each piece, in order, and the correlation of their errors."""

    differences: tuple[Difference, ...]
    correlation: Matrix


def effects(arm: Pieces, baseline: Pieces) -> Effects | NoEstimate:
    """arm - baseline by piece, for streams.statistics.drift.novelty. At least UNITS_MIN units with
    a value are needed in each piece and arm.
    """
    found = []
    for i in range(len(arm.units)):
        for name, side in (("the arm", arm), ("the baseline", baseline)):
            if side.units[i] < UNITS_MIN:
                return NoEstimate(
                    f"{side.units[i]} units of {name} have a value in piece {i + 1} of "
                    f"{len(arm.units)}: {UNITS_MIN} are needed"
                )
        one, other = clusters.moments(arm.of(i)), clusters.moments(baseline.of(i))
        for each in (one, other):
            if isinstance(each, NoEstimate):
                return NoEstimate(f"piece {i + 1} of {len(arm.units)}: {each.reason}")
        assert not isinstance(one, NoEstimate)
        assert not isinstance(other, NoEstimate)
        found.append(means.difference(one, other))
    errors = np.array([each.error for each in found])
    with np.errstate(all="ignore"):
        together = (_covariance(arm) + _covariance(baseline)) / np.outer(errors, errors)
    if not np.isfinite(together).all():
        return NoEstimate("the numbers are too large or too small for double precision")
    return Effects(tuple(found), together)


def _covariance(side: Pieces) -> Matrix:
    """Of the ratios of one arm; its diagonal is that of clusters.moments."""
    k = len(side.units)
    ratios = side.totals / side.sizes
    xx, xm, mm = side.products[:k, :k], side.products[:k, k:], side.products[k:, k:]
    # xm[i, j] is the sum of x_i m_j.
    residuals = xx - xm * ratios[None, :] - xm.T * ratios[:, None] + mm * np.outer(ratios, ratios)
    unbiased = np.sqrt(side.units / (side.units - 1.0))
    found: Matrix = residuals / np.outer(side.sizes, side.sizes) * np.outer(unbiased, unbiased)
    return found
