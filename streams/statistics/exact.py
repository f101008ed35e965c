"""Intervals that hold at every look at any sample size: rates, and means of bounded values.

No normal approximation and no burn-in: the first value counts. Wider than asymptotic sequences.
Intervals of two arms at alpha / 2 each make one of their difference at alpha, as both hold
together with probability 1 - alpha.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from scipy.optimize import brentq
from scipy.special import betaln, gammainc, gammaln, xlog1py, xlogy

from streams.statistics.estimates import NoEstimate
from streams.statistics.rates import Rate
from streams.statistics.sums import Sums

_TINY = 1e-300


@dataclass(frozen=True, slots=True)
class Interval:
    """A value and where it lies at all looks together with probability 1 - alpha."""

    value: float
    lower: float
    upper: float

    def minus(self, other: "Interval") -> "Interval":
        """The difference; the alphas of both add up."""
        return Interval(
            self.value - other.value, self.lower - other.upper, self.upper - other.lower
        )


def log_e_value(rate: Rate, p: float, prior: tuple[float, float] = (1.0, 1.0)) -> float:
    """log of the evidence against 'the rate is p': the beta-binomial mixture likelihood ratio.

    B(a + s, b + f) / B(a, b) / (p^s (1 - p)^f) with s ones and f zeros. Herbert Robbins:
    "Statistical methods related to the law of the iterated logarithm", Annals of Mathematical
    Statistics 41, 1970; Steven R. Howard et al.: "Time-uniform, nonparametric, nonasymptotic
    confidence sequences", Annals of Statistics 49(2), 2021. Its expectation is 1 at any stopping
    time if values are 1 with probability p whatever came before.
    """
    a, b = prior
    ones, zeros = rate.ones, rate.n - rate.ones
    mixture = float(betaln(a + ones, b + zeros) - betaln(a, b))
    return mixture - float(xlogy(ones, p) + xlog1py(zeros, -p))


def rate_sequence(rate: Rate, alpha: float, prior: tuple[float, float] = (1.0, 1.0)) -> Interval:
    """All p whose evidence is below 1 / alpha. `prior`: Beta weights, where it is to be tight."""
    limit = -math.log(alpha)

    def excess(p: float) -> float:
        return log_e_value(rate, p, prior) - limit

    # The evidence is convex in p and least at the observed rate, where it is below the limit.
    lower = _root(excess, _TINY, rate.value) if rate.ones else 0.0
    upper = _root(excess, rate.value, 1 - 1e-16) if rate.ones < rate.n else 1.0
    return Interval(rate.value, lower, upper)


def _root(excess: Callable[[float], float], low: float, high: float) -> float:
    """Where `excess` is 0 between an end where it is positive and one where it is negative."""
    if excess(low) * excess(high) > 0:
        return low if low < 0.5 else high
    return float(brentq(excess, low, high, xtol=1e-15, rtol=1e-13))


@dataclass(frozen=True, slots=True)
class Bounds:
    """What values can be, known beforehand; `planned_n` values are where intervals are tightest."""

    low: float = 0.0
    high: float = 1.0
    planned_n: int = 1000


PLANNED_DEVIATION = 0.25
"""Of values in [0, 1], for tuning alone."""


def bounded_sequence(sums: Sums, bounds: Bounds, alpha: float) -> Interval | NoEstimate:
    """The mean of values within bounds: empirical Bernstein, from n, total and total of squares.

    Howard et al. 2021, theorem 4: with V = sum (x_i - mean before i)^2 and any boundary u that a
    sub-exponential process with scale 1 crosses with probability alpha / 2,
    mean +- u(V) / n holds at all looks. V needs the order of values, which sums have lost; but
    sum_{i>1} (x_i - mean before i)^2 (i-1)/i is the sum of squared deviations m2 (Welford 1962),
    and what is missing is at most sum 1/i: V <= m2 + H_n - 3/4, H_n = 1 + 1/2 + .. + 1/n. u grows
    with V, so this is valid whatever the order was. u: their gamma-exponential mixture (3.2).
    """
    if sums.minimum is None or sums.maximum is None:
        return NoEstimate("no values")
    if sums.minimum < bounds.low or sums.maximum > bounds.high:
        return NoEstimate(
            f"values from {sums.minimum:g} to {sums.maximum:g} are not within "
            f"{bounds.low:g} and {bounds.high:g}"
        )
    mean, width = sums.mean, bounds.high - bounds.low
    if mean is None or not 0 < width < math.inf:
        return NoEstimate("the bounds leave no room")
    harmonic = math.log(sums.n) + 0.5772156649015329 + 1 / (2 * sums.n)
    variation = max(sums.m2, 0.0) / width**2 + harmonic - 0.75
    rho = _rho(bounds.planned_n * PLANNED_DEVIATION**2, alpha / 2)
    half = width * gamma_exponential(variation, rho, alpha / 2) / sums.n
    return Interval(mean, max(mean - half, bounds.low), min(mean + half, bounds.high))


def _rho(variation: float, alpha: float) -> float:
    """Howard et al. 2021, section 3.5: makes the boundary least near this variation."""
    limit = -2 * math.log(alpha)
    return variation / (limit + math.log1p(limit))


def gamma_exponential(variation: float, rho: float, alpha: float) -> float:
    """The sum s that a sub-exponential process of scale 1 exceeds at this variation in at most
    alpha of cases, at any time.

    Mixing exp(l s - psi(l) v), psi(l) = -log(1 - l) - l, over u = 1 - l in (0, 1] with a density in
    proportion to u^(rho - 1) exp(-rho u) gives, with K = v + rho and X = s + K and P the
    regularised lower incomplete gamma function,

        rho^rho / (Gamma(rho) P(rho, rho)) * Gamma(K) P(K, X) / X^K * exp(s + v)
    """
    k = variation + rho
    start = rho * math.log(rho) - float(gammaln(rho)) - math.log(float(gammainc(rho, rho)))
    start += float(gammaln(k)) + math.log(alpha) + variation

    def excess(s: float) -> float:
        return start + math.log(float(gammainc(k, s + k))) - k * math.log(s + k) + s

    high = 1.0
    while excess(high) < 0:
        high *= 2
    return float(brentq(excess, 0.0, high, rtol=1e-12)) if excess(0.0) < 0 else 0.0
