"""What is believed of each arm: probability to be best, expected loss, credible interval, at speed.

Normal posteriors under a flat prior, as streams.statistics.bayes.NormalPosterior, whose quadrature
is good to 1e-6 and takes milliseconds. Every verdict needs these numbers, so here they are sums
over one grid, the union of points around every arm:

    P(i is best)  = sum over cells of (F_i(right) - F_i(left)) prod_{j != i} F_j
    E max         = lowest point + sum over cells of width (1 - prod_j F_j)

with F_j the mean of F_j(left) and F_j(right),

good to 1e-3 of a probability, and to 1e-3 of the widest posterior's deviation for the loss. Of two
arms whose difference is d with the deviation s, P(best) = Phi(d / s), and the larger one is on
average E max = m_1 Phi(d / s) + m_2 Phi(-d / s) + s phi(d / s) (C. E. Clark, Operations Research 9,
1961).
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
from scipy.special import ndtr, ndtri

from schemas.entities import MetricGoal
from schemas.records import ArmBelief
from streams.statistics.bayes import BetaPosterior
from streams.statistics.rates import Rate

POINTS = np.linspace(-7.5, 7.5, 121)


def beliefs(
    goal: MetricGoal, arms: Sequence[tuple[str, float, float]], alpha: float
) -> list[ArmBelief]:
    """Of (arm, mean, standard error) of each arm, errors above 0; empty for fewer than two."""
    if len(arms) < 2:
        return []
    sign = 1.0 if goal.direction == "higher" else -1.0
    means = [sign * each[1] for each in arms]
    errors = [each[2] for each in arms]
    best, greatest = (_of_two if len(arms) == 2 else _of_many)(means, errors)
    if not all(map(math.isfinite, (*best, greatest))) or not sum(best) > 0:
        return []
    reach = _reach(alpha)
    return [
        ArmBelief(
            goal.metric,
            arm,
            value,
            value - reach * error,
            value + reach * error,
            best[i],
            max(greatest - sign * value, 0.0),
        )
        for i, (arm, value, error) in enumerate(arms)
    ]


def credible(belief: ArmBelief, rate: Rate, alpha: float) -> ArmBelief:
    """With the interval of Beta(1 + ones, 1 + zeros), which stays within [0, 1] and is right for
    few successes or failures; it reaches to the rate itself where all values are equal."""
    lower, upper = BetaPosterior.of(rate).quantile(np.array([alpha / 2, 1 - alpha / 2])).tolist()
    return replace(belief, lower=min(lower, belief.mean), upper=max(upper, belief.mean))


@lru_cache(maxsize=256)
def _reach(alpha: float) -> float:
    return -float(ndtri(alpha / 2))


def _of_two(means: Sequence[float], errors: Sequence[float]) -> tuple[list[float], float]:
    """(probabilities to be best, mean of the larger one)."""
    one, other = means
    s = math.hypot(*errors)
    z = (one - other) / s
    first = 0.5 * math.erfc(-z / math.sqrt(2))
    density = math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    return [first, 1 - first], one * first + other * (1 - first) + s * density


def _of_many(means: Sequence[float], errors: Sequence[float]) -> tuple[list[float], float]:
    mean, deviation = np.array(means)[:, None], np.array(errors)[:, None]
    edges = np.sort((mean + deviation * POINTS).ravel())
    below = ndtr((edges - mean) / deviation)
    middle = (below[:, 1:] + below[:, :-1]) / 2
    inside = below[:, 1:] - below[:, :-1]
    # Products of the arms before each one and after it.
    before, after, last = np.ones_like(middle), np.ones_like(middle), len(middle) - 1
    for i in range(last):
        np.multiply(before[i], middle[i], out=before[i + 1])
        np.multiply(after[last - i], middle[last - i], out=after[last - i - 1])
    best = (inside * before * after).sum(axis=1)
    widths = edges[1:] - edges[:-1]
    greatest = float(edges[0] + (widths * (1 - before[last] * middle[last])).sum())
    return [float(each) for each in best / (best.sum() or 1.0)], greatest
