"""Which arm's values tend to be larger, whatever the distribution: Mann-Whitney from sketches.

Henry B. Mann, Donald R. Whitney, Annals of Mathematical Statistics 18, 1947. A sketch knows the bin
of a value, and bins are in the order of values, so ranks are known up to ties within a bin; ties
are handled as everywhere: half to each side. Bins are 2 % wide, so of two values that are nearer to
each other than this the order is not known, which can only hide a difference.

    superiority = P(arm > baseline) + P(equal) / 2

Its error is the one of Edgar Brunner, Ullrich Munzel, Biometrical Journal 42, 2000, which does not
assume that both distributions have the same shape; 1/2 is 'neither tends to be larger'.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from streams.statistics.estimates import SMALLEST, Estimate, NoEstimate, estimate
from streams.statistics.means import Difference
from streams.statistics.quantiles import Sketch

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Table:
    """Counts of both arms in the same bins, in the order of values."""

    arm: Floats
    baseline: Floats

    @classmethod
    def of(cls, arm: Sketch, baseline: Sketch) -> "_Table | NoEstimate":
        for name, side in (("arm", arm), ("baseline", baseline)):
            if side.n < 2:
                return NoEstimate(f"{name}: {side.n} values have no order")
        bins = np.unique(np.concatenate([np.asarray(arm.bins), np.asarray(baseline.bins)]))
        if len(bins) < 2:
            return NoEstimate("all values are in one bin of the sketch: none is larger")
        return cls(*(_spread(side, bins) for side in (arm, baseline)))


def _spread(sketch: Sketch, bins: npt.NDArray[np.int64]) -> Floats:
    counts = np.zeros(len(bins))
    counts[np.searchsorted(bins, np.asarray(sketch.bins))] = sketch.counts
    return counts


def _placed(counts: Floats) -> Floats:
    """For each bin: how many values are below it, those in it counted half."""
    return np.asarray(np.cumsum(counts) - counts / 2, np.float64)


def mann_whitney(arm: Sketch, baseline: Sketch) -> float | NoEstimate:
    """Two-sided p-value of 'both have one distribution', with ties, at one look.

    Normal approximation with continuity correction: from some 20 values an arm. No statement on
    means.
    """
    table = _Table.of(arm, baseline)
    if isinstance(table, NoEstimate):
        return table
    n1, n2 = float(table.arm.sum()), float(table.baseline.sum())
    n = n1 + n2
    u = float((table.arm * _placed(table.baseline)).sum())
    ties = table.arm + table.baseline
    variance = n1 * n2 / 12 * ((n + 1) - float((ties**3 - ties).sum()) / (n * (n - 1)))
    if not variance > 0:
        return NoEstimate("all values are tied: none is larger")
    z = max(abs(u - n1 * n2 / 2) - 0.5, 0.0) / math.sqrt(variance)
    return max(math.erfc(z / math.sqrt(2)), SMALLEST)


def superiority(arm: Sketch, baseline: Sketch) -> Difference | NoEstimate:
    """P(arm > baseline) + P(equal) / 2 - 1/2 with its error, in [-1/2, 1/2]: 0 when neither is.

    For means.normal at one look, or sequential.confidence_sequence at every look. Placements of an
    arm's values among the other's are as good as independent once both arms have dozens.
    """
    table = _Table.of(arm, baseline)
    if isinstance(table, NoEstimate):
        return table
    n1, n2 = float(table.arm.sum()), float(table.baseline.sum())
    mine = _placed(table.baseline) / n2
    theirs = 1 - _placed(table.arm) / n1
    value = float((table.arm * mine).sum()) / n1
    spread1 = float((table.arm * (mine - value) ** 2).sum()) / (n1 - 1)
    spread2 = float((table.baseline * (theirs - value) ** 2).sum()) / (n2 - 1)
    squared = spread1 / n1 + spread2 / n2
    if not squared > 0:
        return NoEstimate("every value of one arm is beyond all of the other")
    effective = (spread1 + spread2) / squared
    return Difference(value - 0.5, math.sqrt(squared), effective, int(min(n1, n2)))


def bounded(found: Difference, alpha: float) -> Estimate | NoEstimate:
    """`superiority` with an interval that stays within [-1/2, 1/2], at one look.

    On the logit scale: Edgar Brunner, Ullrich Munzel, "Nichtparametrische Datenanalyse", 2002, 2.1.
    """
    p = found.value + 0.5
    if not 0 < p < 1:
        return NoEstimate("every value of one arm is beyond all of the other")
    logit, error = math.log(p / (1 - p)), found.error / (p * (1 - p))
    half = -float(ndtri(alpha / 2)) * error
    lower, upper = (1 / (1 + math.exp(-(logit + s * half))) - 0.5 for s in (-1, 1))
    return estimate(found.value, lower, upper, math.erfc(abs(logit) / error / math.sqrt(2)))
