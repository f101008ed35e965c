"""E-values: evidence that adds up across looks, segments, offline and online.

An e-value is a bet against the null with expected payoff at most 1 if it is true; 20 is as strong
as p = 0.05 at every look. Vladimir Vovk, Ruodu Wang, "E-values: calibration, combination and
applications", Annals of Statistics 49(3), 2021. All in logarithms.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from streams.statistics.estimates import SMALLEST, NoEstimate


def log_product(log_e: Sequence[float]) -> float:
    """Of independent evidence, or where each was begun when those before it were known (a later
    period, new users, online after offline)."""
    return math.fsum(log_e)


def log_mean(log_e: Sequence[float]) -> float:
    """Of evidence that depends in whatever way (metrics of the same calls). Raises ValueError
    without any."""
    top = max(log_e)
    if top == -math.inf:
        return top
    return top + math.log(math.fsum(math.exp(value - top) for value in log_e) / len(log_e))


def log_weighted(log_e: Sequence[float], weights: Sequence[float]) -> float:
    """The mean with weights fixed beforehand (positive; they are made to add up to 1): for segments
    of which one may react and the others not, or offline evidence that counts less."""
    total = math.fsum(weights)
    top = max(log_e)
    if top == -math.inf:
        return top
    parts = (w / total * math.exp(v - top) for v, w in zip(log_e, weights, strict=True))
    return top + math.log(math.fsum(parts))


@dataclass(frozen=True, slots=True)
class Combined:
    """Evidence from several places. `together`: that all of it is chance (product);
    `somewhere`: the same, sharper when only some places show anything (mean of the product and of
    each alone, which is an e-value whatever happened). `p_value`: of the sharper use, always valid.
    """

    together: float
    somewhere: float

    @property
    def p_value(self) -> float:
        return p_value(self.somewhere)


def across(log_e: Sequence[float]) -> Combined | NoEstimate:
    """Of segments without common units, or of offline cases and the online traffic after them.

    Each must be independent of the others, or have been begun when those before it were known.
    """
    if not log_e:
        return NoEstimate("no evidence")
    if not all(map(math.isfinite, log_e)):
        return NoEstimate("some evidence is not finite")
    product = log_product(log_e)
    return Combined(product, log_mean([product, log_mean(log_e)]))


def offline_then_online(p_offline: float, log_e_online: float) -> float:
    """log e of both: the offline p-value (looked at once, before the online test) calibrated, times
    the online evidence. `p_offline` above 0, at most 1."""
    return log_product([log_calibrated(p_offline), log_e_online])


def p_value(log_e: float) -> float:
    """min(1, 1 / e): valid whenever it is read. Never below the smallest normal double."""
    return max(math.exp(-max(log_e, 0.0)), SMALLEST)


def log_calibrated(p: float) -> float:
    """The e-value of a p-value looked at once, without choosing: the mean of k p^(k-1) over k in
    (0, 1), which is (1 - p + p log p) / (p log^2 p). It costs: p = 0.05 becomes 1.8.

    `p` above 0, at most 1.
    """
    if p >= 1:
        return math.log(0.5)
    log_p = math.log(p)
    rest = -math.expm1(log_p) + p * log_p
    # Both ends of the fraction vanish as p nears 1, where it is 1/2.
    if 1 - p < 1e-4:
        return math.log(0.5)
    return math.log(rest) - log_p - 2 * math.log(-log_p)
