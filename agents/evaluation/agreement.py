"""How far a judge agrees with people's labels of the same answers. Pure."""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from agents.evaluation.intervals import Interval, NoInterval
from streams.statistics.estimates import NoEstimate
from streams.statistics.rates import Rate, wilson

Weights = Literal["none", "linear", "quadratic"]
L = TypeVar("L", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Agreement:
    """`rate`: the share of equal labels. `kappa`: agreement beyond chance, 1 at best."""

    n: int
    rate: Interval
    kappa: Interval | NoInterval | NoEstimate


def agreement(
    judged: Sequence[L],
    human: Sequence[L],
    order: Sequence[L],
    weights: Weights = "none",
    alpha: float = 0.05,
) -> Agreement | NoEstimate:
    """Of labels pair by pair. `order`: all labels, from lowest to highest where weights count.

    The rate's interval is Wilson's. Cohen's kappa = (po - pe) / (1 - pe): Jacob Cohen, Educational
    and Psychological Measurement 20, 1960; weighted: Psychological Bulletin 70, 1968, with
    agreement 1 - d / (m - 1) for labels d places apart of m (linear), or 1 - (d / (m - 1))^2
    (quadratic). Raises ValueError when lengths differ or a label is not in `order`.
    """
    if len(judged) != len(human):
        raise ValueError(f"one label each: {len(judged)} and {len(human)}")
    if not judged:
        return NoEstimate("no answers were judged by both")
    place: Mapping[L, int] = {label: i for i, label in enumerate(order)}
    unknown = sorted({str(label) for label in (*judged, *human) if label not in place})
    if unknown:
        raise ValueError(f"labels that are not in the order: {', '.join(unknown)}")
    n = len(judged)
    equal = sum(a == b for a, b in zip(judged, human, strict=True))
    z = -float(ndtri(alpha / 2))
    rate = Interval(equal / n, *wilson(Rate(n, equal), z))
    table = np.zeros((len(order), len(order)))
    for a, b in zip(judged, human, strict=True):
        table[place[a], place[b]] += 1
    return Agreement(n, rate, _kappa(table / n, n, weights, z))


def _kappa(
    p: npt.NDArray[np.float64], n: int, weights: Weights, z: float
) -> Interval | NoInterval | NoEstimate:
    """With the large-sample error of Joseph L. Fleiss, Jacob Cohen, B. S. Everitt, Psychological
    Bulletin 72, 1969, eq. 13; the interval is cut at -1 and 1.
    """
    m = len(p)
    away = np.abs(np.subtract.outer(np.arange(m), np.arange(m))) / max(m - 1, 1)
    match weights:
        case "none":
            w = (away == 0).astype(np.float64)
        case "linear":
            w = 1 - away
        case "quadratic":
            w = 1 - away**2
    rows, columns = p.sum(1), p.sum(0)
    observed, expected = float((w * p).sum()), float(rows @ w @ columns)
    if not expected < 1:
        return NoEstimate(
            "all labels are the same: there is no agreement beyond chance to speak of"
        )
    kappa = (observed - expected) / (1 - expected)
    means = np.add.outer(w @ columns, rows @ w)
    spread = float((p * (w - means * (1 - kappa)) ** 2).sum())
    spread -= (kappa - expected * (1 - kappa)) ** 2
    if not spread > 1e-12:
        return NoInterval(kappa, "every pair agrees, or disagrees, in the same way: no spread")
    half = z * math.sqrt(spread / n) / (1 - expected)
    return Interval(kappa, max(kappa - half, -1.0), min(kappa + half, 1.0))
