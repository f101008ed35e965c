"""Two models on the same cases: tests of per-case differences, at a fixed number of cases.

The one place where single values are seen: arrays with one entry a case, in the same order. Cases
that either model did not finish are left out by the caller, who says how many.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import bdtr, stdtr, stdtrit
from scipy.stats import wilcoxon

from streams.statistics.estimates import Estimate, NoEstimate, estimate
from streams.statistics.means import Difference
from streams.statistics.moments import Moments

Values = npt.NDArray[np.float64]


def differences(model: Values, baseline: Values) -> Moments | NoEstimate:
    """Moments of model - baseline, case by case. Raises ValueError when shapes differ."""
    if model.shape != baseline.shape or model.ndim != 1:
        raise ValueError(f"one value a case of each model: {model.shape} and {baseline.shape}")
    found = np.asarray(model, np.float64) - baseline
    if not np.isfinite(found).all():
        return NoEstimate("some differences are not finite")
    if len(found) < 2:
        return NoEstimate(f"{len(found)} cases have no spread")
    m2 = float(((found - found.mean()) ** 2).sum())
    if not m2 > 0:
        return NoEstimate(f"all {len(found)} differences are {found[0]:g}: no spread to judge by")
    return Moments(len(found), float(found.mean()), m2)


def paired_t(found: Moments, alpha: float) -> Estimate | NoEstimate:
    """Student's t of the mean difference ('Student', Biometrika 6, 1908).

    Assumes independent cases and a mean near normal. As scipy's ttest_rel.
    """
    error = math.sqrt(found.mean_variance)
    half = -float(stdtrit(found.n - 1, alpha / 2)) * error
    p_value = 2 * float(stdtr(found.n - 1, -abs(found.mean) / error))
    return estimate(found.mean, found.mean - half, found.mean + half, p_value)


def difference(found: Moments) -> Difference:
    """For sequential.confidence_sequence: cases that come one after the other, looked at anytime.

    `effective_n` counts cases, and so does the tuning's planned_n.
    """
    return Difference(found.mean, math.sqrt(found.mean_variance), float(found.n), found.n)


def signed_rank(model: Values, baseline: Values) -> float | NoEstimate:
    """p-value of Frank Wilcoxon's signed-rank test, Biometrics Bulletin 1, 1945 (scipy's).

    'Differences are symmetric about 0'; cases without a difference are left out. For ordinal scores
    and heavy tails; no statement on means.
    """
    found = np.asarray(model, np.float64) - baseline
    found = found[found != 0]
    if not len(found):
        return NoEstimate("no case differs")
    return float(wilcoxon(found).pvalue)


@dataclass(frozen=True, slots=True)
class Discordant:
    """Cases that only the model passed, and that only the baseline passed."""

    model: int
    baseline: int


def discordant(model: npt.NDArray[np.bool_], baseline: npt.NDArray[np.bool_]) -> Discordant:
    """From pass or fail of each case."""
    only_model, only_baseline = model & ~baseline, baseline & ~model
    return Discordant(int(only_model.sum()), int(only_baseline.sum()))


def mcnemar(found: Discordant) -> float | NoEstimate:
    """Exact two-sided p-value of 'both pass equally often': Quinn McNemar, Psychometrika 12, 1947.

    Of the discordant cases each is either model's with probability 1/2.
    """
    n = found.model + found.baseline
    if n == 0:
        return NoEstimate("both pass and fail the same cases")
    return min(1.0, 2 * float(bdtr(min(found.model, found.baseline), n, 0.5)))
