"""The mean of what people would say, from a judge's scores of all answers and people's of some.

A judge's mean alone is biased by an unknown amount. Where people labelled a random part of the
answers, the judge's error is known there and can be taken off. Pure.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from agents.evaluation.intervals import Interval, NoInterval
from streams.statistics.estimates import NoEstimate

Values = npt.NDArray[np.float64]
LABELS_MIN = 10
"""Below this the interval, which needs many labels to be right, is not given."""


def judged_mean(
    human: Sequence[float],
    judged: Sequence[float],
    judged_only: Sequence[float],
    alpha: float = 0.05,
    power: float | None = None,
) -> Interval | NoInterval | NoEstimate:
    """Prediction-powered mean: `human` and `judged` of the same n answers, `judged_only` of N more.

        theta = w mean(judged_only) + mean(human - w judged)
        var   = w^2 var(judged_only) / N + var(human - w judged) / n

    Unbiased for any fixed w when the n answers are a random part: Anastasios N. Angelopoulos et
    al., "Prediction-powered inference", Science 382, 2023, with w = 1. The w that makes the
    interval narrowest, cov(human, judged) / ((1 + n/N) var(judged)), held in [0, 1]: Angelopoulos,
    John C. Duchi, Tijana Zrnic, "PPI++", 2023, arXiv:2311.01453. `power`: w; None for that one. A
    useless judge then costs nothing: w = 0 is the mean of people's labels.

    Normal interval; with fewer than LABELS_MIN labels there is none. Raises ValueError when lengths
    differ.
    """
    if len(human) != len(judged):
        raise ValueError(f"one score each: {len(human)} and {len(judged)}")
    y, f, g = (np.asarray(v, np.float64) for v in (human, judged, judged_only))
    if not len(y):
        return NoEstimate("no answers were labelled by people: the judge's bias is not known")
    if not all(np.isfinite(v).all() for v in (y, f, g)):
        return NoEstimate("some scores are not finite")
    n, more = len(y), len(g)
    w = _weight(y, f, n, more) if power is None else power
    if not more:
        w = 0.0
    rest = y - w * f
    value = float(rest.mean()) + (w * float(g.mean()) if more else 0.0)
    if n < LABELS_MIN:
        return NoInterval(value, f"{n} labels by people; {LABELS_MIN} are needed for an interval")
    variance = float(rest.var(ddof=1)) / n
    if more > 1:
        variance += w * w * float(g.var(ddof=1)) / more
    if not variance > 0:
        return NoInterval(value, "no spread to judge by")
    half = -float(ndtri(alpha / 2)) * math.sqrt(variance)
    return Interval(value, value - half, value + half)


def _weight(y: Values, f: Values, n: int, more: int) -> float:
    if not more or n < 2:
        return 0.0
    variance = float(f.var(ddof=1))
    if not variance > 0:
        return 0.0
    covariance = float(np.cov(y, f)[0, 1])
    return min(max(covariance / ((1 + n / more) * variance), 0.0), 1.0)
