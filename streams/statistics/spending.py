"""Group-sequential bounds where the largest size and the looks are planned: alpha is spent by look.

K. K. Gordon Lan, David L. DeMets, "Discrete sequential boundaries for clinical trials", Biometrika
70, 1983: at the information fraction t (values so far / planned values), alpha*(t) has been spent.
Bounds of the z statistic follow by the recursion of Armitage, McPherson and Rowe, JRSS A 132, 1969:
the density of the sum of independent increments that has not crossed before, integrated on a grid.

Sharper than sequences that may be looked at anytime, and worth nothing when looks are added or the
test goes on after the planned end.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

Spending = Literal["obrien_fleming", "pocock", "cubic"]
Floats = npt.NDArray[np.float64]
_POINTS = 801
_FARTHEST = 12.0
"""Standard errors beyond which nothing is left."""
APART_MIN = 1e-3
"""Information between two looks below which they are one: the grid does not tell them apart."""


def spent(fraction: float, alpha: float, spending: Spending) -> float:
    """Two-sided alpha spent up to an information fraction in (0, 1].

    "cubic", alpha t^3, lies between the other two: Kyungmann Kim, David L. DeMets, Biometrika 74,
    1987.
    """
    if spending == "pocock":
        return alpha * math.log1p((math.e - 1) * fraction)
    if spending == "cubic":
        return alpha * fraction**3
    # Two-sided: each side spends alpha / 2.
    return 4 * float(ndtr(float(ndtri(alpha / 4)) / math.sqrt(fraction)))


def bounds(fractions: Sequence[float], alpha: float, spending: Spending) -> list[float]:
    """At each look the |z| that stops the test. Fractions rise in (0, 1], by APART_MIN at least;
    raises ValueError.

    A look's bound depends on the fractions up to it only, so it can be made when the look is.
    """
    if not fractions or sorted(set(fractions)) != list(fractions):
        raise ValueError(f"information fractions must rise: {list(fractions)}")
    if fractions[0] <= 0 or fractions[-1] > 1:
        raise ValueError(f"information fractions lie in (0, 1]: {list(fractions)}")
    if any(later - earlier < APART_MIN for earlier, later in pairwise(fractions)):
        raise ValueError(f"information fractions are too close to each other: {list(fractions)}")
    found: list[float] = []
    points: Floats = np.zeros(1)
    mass: Floats = np.ones(1)
    before, gone = 0.0, 0.0
    for fraction in fractions:
        target = spent(fraction, alpha, spending)
        scale, deviation = math.sqrt(fraction), math.sqrt(fraction - before)

        def excess(
            z: float,
            *,
            scale: float = scale,
            deviation: float = deviation,
            points: Floats = points,
            mass: Floats = mass,
            left: float = target - gone,
        ) -> float:
            out = ndtr((-z * scale - points) / deviation) + ndtr((points - z * scale) / deviation)
            return float((out * mass).sum()) - left

        # The first looks of many may have less to spend than lies beyond the farthest bound.
        some = target > gone and excess(_FARTHEST) < 0
        bound = float(brentq(excess, 0.0, _FARTHEST, xtol=1e-10)) if some else _FARTHEST
        found.append(bound)
        points, mass = survived(points, mass, bound * scale, deviation)
        before, gone = fraction, target
    return found


def repeated(value: float, error: float, bound: float) -> tuple[float, float]:
    """The interval of a difference with this standard error, at a look with this bound: holds with
    those of all other looks.

    Christopher Jennison, Bruce W. Turnbull, "Interim analyses: the repeated confidence interval
    approach", JRSS B 51, 1989: value -+ bound * error.
    """
    return value - bound * error, value + bound * error


def survived(
    points: Floats, mass: Floats, limit: float, deviation: float, size: int = _POINTS
) -> tuple[Floats, Floats]:
    """The sums that did not cross: grid and the probability at each point (Simpson's rule).

    From the sums before, `points` with probabilities `mass`, by a normal step. `size` is odd.
    """
    grid = np.linspace(-limit, limit, size)
    weights = np.full(size, 2.0)
    weights[1::2] = 4.0
    weights[[0, -1]] = 1.0
    weights *= (grid[1] - grid[0]) / 3
    steps = (grid[:, None] - points[None, :]) / deviation
    density = np.exp(-0.5 * steps**2) @ mass / (deviation * math.sqrt(2 * math.pi))
    return grid, density * weights
