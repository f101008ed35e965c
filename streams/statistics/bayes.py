"""Bayesian numbers beside the others: which arm is probably best, and what choosing it may cost.

Two models with stated priors. Rates: Beta(a, b), by default uniform; the posterior is
Beta(a + ones, b + zeros). Means: normal, by default with a flat prior, so that the posterior is
normal around the mean with the standard error as its deviation (Andrew Gelman et al., "Bayesian
Data Analysis", 3rd ed. 2013, 2.4, 2.5 and 3.2). With independent posteriors of densities f_i and
distribution functions F_i,

    P(i is best)     = integral of f_i(x) prod_{j != i} F_j(x)
    expected loss i  = E max_j x_j - E x_i,   E max = integral of 1 - prod F_j

Expected loss: Chris Stucchio, "Bayesian A/B testing at VWO", 2015. These numbers say what is
believed under the prior. They do not bound how often a decision is wrong when one looks until it
suits: use the anytime numbers for that.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy.special import betainc, betaincinv, ndtr, ndtri

from streams.statistics.moments import Moments
from streams.statistics.rates import Rate

Floats = npt.NDArray[np.float64]
_MARKS = np.array([1e-13, 1e-6, 1e-3, 0.05, 0.25])
_nodes, _weights = np.polynomial.legendre.leggauss(40)
_NODES, _WEIGHTS = (_nodes + 1) / 2, _weights / 2
"""On [0, 1]."""


class Posterior(Protocol):
    """What is believed of one arm."""

    @property
    def mean(self) -> float: ...

    def below(self, x: Floats) -> Floats:
        """The distribution function."""
        ...

    def quantile(self, u: Floats) -> Floats:
        """Its inverse, for u in (0, 1)."""
        ...


@dataclass(frozen=True, slots=True)
class BetaPosterior:
    """Of a rate."""

    a: float
    b: float

    @classmethod
    def of(cls, rate: Rate, prior: tuple[float, float] = (1.0, 1.0)) -> "BetaPosterior":
        return cls(prior[0] + rate.ones, prior[1] + rate.n - rate.ones)

    @property
    def mean(self) -> float:
        return self.a / (self.a + self.b)

    def below(self, x: Floats) -> Floats:
        return np.asarray(betainc(self.a, self.b, np.clip(x, 0.0, 1.0)), np.float64)

    def quantile(self, u: Floats) -> Floats:
        return np.asarray(betaincinv(self.a, self.b, u), np.float64)


@dataclass(frozen=True, slots=True)
class NormalPosterior:
    """Of a mean."""

    mean: float
    deviation: float

    @classmethod
    def of(cls, found: Moments, prior: "tuple[float, float] | None" = None) -> "NormalPosterior":
        """`prior`: mean and standard deviation of a normal one; None: flat.

        Precisions add up, means are weighted by them (Gelman et al., eq. 2.10).
        """
        if prior is None:
            return cls(found.mean, math.sqrt(found.mean_variance))
        known, believed = 1 / found.mean_variance, 1 / prior[1] ** 2
        total = known + believed
        return cls((found.mean * known + prior[0] * believed) / total, 1 / math.sqrt(total))

    def below(self, x: Floats) -> Floats:
        return np.asarray(ndtr((x - self.mean) / self.deviation), np.float64)

    def quantile(self, u: Floats) -> Floats:
        return np.asarray(self.mean + self.deviation * ndtri(u), np.float64)


@dataclass(frozen=True, slots=True)
class Belief:
    """Of one arm: with probability 1 - alpha between `lower` and `upper`; `best`: the probability
    that it is; `loss`: what choosing it loses on average, in the metric's unit."""

    mean: float
    lower: float
    upper: float
    best: float
    loss: float


def beliefs(arms: Sequence[Posterior], alpha: float = 0.05) -> list[Belief]:
    """Of each arm, in order; more is better (else give negated means). Needs one arm at least.

    By Gauss-Legendre quadrature in pieces between the arms' quantiles, so that arms that are known
    well beside arms that are not are no trouble; probabilities are good to 1e-6.
    """
    marks = np.concatenate([_MARKS, [0.5], 1 - _MARKS[::-1]])
    edges = np.unique(np.concatenate([arm.quantile(marks) for arm in arms]))
    greatest = _expected_maximum(arms, edges)
    ends = np.array([alpha / 2, 1 - alpha / 2])
    found = []
    for i, arm in enumerate(arms):
        lower, upper = arm.quantile(ends).tolist()
        best = _probability_best(arm, [*arms[:i], *arms[i + 1 :]], edges)
        found.append(Belief(arm.mean, lower, upper, best, max(greatest - arm.mean, 0.0)))
    return found


def _probability_best(arm: Posterior, others: Sequence[Posterior], edges: Floats) -> float:
    """In u = F(x) of the arm, where its density is flat."""
    total = 0.0
    for low, high in pairwise([0.0, *arm.below(edges).tolist(), 1.0]):
        if high > low:
            x = arm.quantile(low + (high - low) * _NODES)
            below = np.prod([other.below(x) for other in others], axis=0)
            total += float((below * _WEIGHTS).sum()) * (high - low)
    return total


def _expected_maximum(arms: Sequence[Posterior], edges: Floats) -> float:
    """low + integral of 1 - prod F_j from low on."""
    total = float(edges[0])
    for low, high in pairwise(edges.tolist()):
        x = low + (high - low) * _NODES
        above = 1 - np.prod([arm.below(x) for arm in arms], axis=0)
        total += float((above * _WEIGHTS).sum()) * (high - low)
    return total
