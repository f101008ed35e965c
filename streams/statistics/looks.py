"""The power of a test that stops at the first look that decides, and how long it takes.

With drift d (the true difference in standard errors at the planned end) the z statistic at the
information fraction t is normal with mean d sqrt(t), and its increments are independent. The chance
to cross a bound at each look follows by the recursion of Armitage, McPherson and Rowe, JRSS A 132,
1969. For any bounds: those of spending.bounds, or of the sequence that may be looked at anytime.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import ndtr

from streams.statistics import spending
from streams.statistics.sequential import Tuning, factor

Floats = npt.NDArray[np.float64]
_POINTS = 401


@dataclass(frozen=True, slots=True)
class Course:
    """`crossed`: chance to have stopped by each look. `expected`: information used on average, as a
    share of the planned."""

    crossed: tuple[float, ...]
    expected: float

    @property
    def power(self) -> float:
        """By the planned end."""
        return self.crossed[-1]


def course(fractions: Sequence[float], limits: Sequence[float], drift: float) -> Course:
    """`limits`: the |z| that stops at each of the rising information fractions in (0, 1]."""
    points, mass = np.zeros(1), np.ones(1)
    gone, before, expected = 0.0, 0.0, 0.0
    crossed = []
    for fraction, limit in zip(fractions, limits, strict=True):
        expected += (fraction - before) * (1 - gone)
        deviation, shift = math.sqrt(fraction - before), drift * (fraction - before)
        end = limit * math.sqrt(fraction)
        out = ndtr((-end - points - shift) / deviation) + ndtr((points + shift - end) / deviation)
        gone = min(gone + float((out * mass).sum()), 1.0)
        crossed.append(gone)
        points, mass = spending.survived(points + shift, mass, end, deviation, _POINTS)
        before = fraction
    return Course(tuple(crossed), expected)


def evenly(looks: int) -> tuple[float, ...]:
    """Information fractions of equally spaced looks."""
    return tuple((i + 1) / looks for i in range(looks))


def anytime_limits(fractions: Sequence[float], alpha: float) -> tuple[float, ...]:
    """The |z| at which the confidence sequence, tuned to the planned end, leaves out 0."""
    best = Tuning(alpha, 1).rho_squared
    return tuple(factor(best * fraction, alpha) for fraction in fractions)


Method = Literal["fixed", "anytime", "obrien_fleming", "pocock"]
METHODS: tuple[Method, ...] = ("fixed", "anytime", "obrien_fleming", "pocock")


@lru_cache(maxsize=256)
def limits(method: Method, looks: int, alpha: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """(information fractions, |z| at each) of one of METHODS, for equally spaced looks."""
    fractions = evenly(looks)
    if method == "fixed":
        return (1.0,), tuple(spending.bounds([1.0], alpha, "pocock"))
    if method == "anytime":
        return fractions, anytime_limits(fractions, alpha)
    return fractions, tuple(spending.bounds(fractions, alpha, method))


@lru_cache(maxsize=256)
def needed_drift(method: Method, looks: int, alpha: float, power: float) -> float:
    """The difference, in standard errors at the planned end, that is found with this power."""
    fractions, ends = limits(method, looks, alpha)

    def excess(drift: float) -> float:
        return course(fractions, ends, drift).power - power

    return float(brentq(excess, 0.01, 12.0, xtol=1e-6))
