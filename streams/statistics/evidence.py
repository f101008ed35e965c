"""E-values: evidence that adds up across looks, segments, offline and online.

An e-value is a bet against the null with expected payoff at most 1 if it is true; 20 is as strong
as p = 0.05 at every look. Vladimir Vovk, Ruodu Wang, "E-values: calibration, combination and
applications", Annals of Statistics 49(3), 2021. All in logarithms.
"""

import math
from collections.abc import Sequence


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


def p_value(log_e: float) -> float:
    """min(1, 1 / e): valid whenever it is read."""
    return math.exp(-max(log_e, 0.0))


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
