"""The score of a model and how sure it is.

    score       = (w_q quality - w_e error_rate - w_c cost / s_c - w_l latency / s_l) / W
    score_lower = score - Z (w_q se_q + w_e se_e + w_c se_c / s_c + w_l se_l / s_l) / W

with the policy's weights w and scales s, W the sum of the weights that are used, the means over the
window and their standard errors se. The same calls give all four means, so these are correlated,
and partials carry no covariances: the standard error of a sum is at most the sum of the standard
errors whatever the correlation (triangle inequality), and that bound is used. Z = 1.645, the
one-sided 95 % normal quantile.

The standard error of an error rate with few errors is that of Agresti and Coull, "Approximate is
better than exact for interval estimation of binomial proportions" (The American Statistician 52,
1998): two failures and two successes are added, so that no errors yet is not certainty.
"""

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from agents.policy.sums import Sums, Tally
from schemas.entities import SelectionPolicy

Z = 1.645
P95 = 0.95


@dataclass(frozen=True, slots=True)
class Measured:
    """What is known of a model in the window; None: no estimate."""

    samples: int = 0
    quality: float | None = None
    error_rate: float | None = None
    latency_p95_ms: float | None = None
    cost_usd_mean: float | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """`value` is the estimate, `lower` its one-sided 95 % confidence bound."""

    value: float
    lower: float


@dataclass(frozen=True, slots=True)
class NoScore:
    """Why there is none."""

    reason: str


@dataclass(frozen=True, slots=True)
class _Term:
    """One criterion as it enters the score: its weight, and a mean where larger is better."""

    weight: float
    mean: float | None
    standard_error: float | None


def measure(tally: Tally) -> Measured:
    """The estimates of a tally."""
    return Measured(
        samples=tally.events,
        quality=tally.quality.mean,
        error_rate=tally.errors / tally.events if tally.events else None,
        latency_p95_ms=tally.latency_quantile_ms(P95),
        cost_usd_mean=tally.cost_usd.mean,
    )


def score(policy: SelectionPolicy, tally: Tally, used: Collection[str]) -> Score | NoScore:
    """The score over the criteria in `used` (names of PolicyWeights)."""
    terms = {name: term for name, term in _terms(policy, tally).items() if name in used}
    total = sum(term.weight for term in terms.values())
    if not total:
        return NoScore("none of the policy's criteria is measured")
    value = width = 0.0
    for name, term in terms.items():
        if term.mean is None or term.standard_error is None:
            return NoScore(f"no estimate of {name}: fewer than 2 calls carry it")
        value += term.weight * term.mean
        width += term.weight * term.standard_error
    return Score(value / total, (value - Z * width) / total)


def criteria(policy: SelectionPolicy, tallies: Iterable[Tally]) -> frozenset[str]:
    """Criteria with a weight that at least one of the models has an estimate of."""
    return frozenset(
        name
        for tally in tallies
        for name, term in _terms(policy, tally).items()
        if term.weight and term.standard_error is not None
    )


def _terms(policy: SelectionPolicy, tally: Tally) -> Mapping[str, _Term]:
    weights, scales = policy.weights, policy.scales
    failed = tally.errors / tally.events if tally.events else None
    return {
        "quality": _scaled(weights.quality, tally.quality, 1.0),
        "cost_usd": _scaled(weights.cost_usd, tally.cost_usd, -1 / scales.cost_usd),
        "latency_ms": _scaled(weights.latency_ms, tally.latency_ms, -1 / scales.latency_ms),
        "error": _Term(
            weights.error,
            None if failed is None else -failed,
            _error_rate_se(tally.events, tally.errors),
        ),
    }


def _scaled(weight: float, sums: Sums, factor: float) -> _Term:
    mean, error = sums.mean, sums.standard_error
    return _Term(
        weight,
        None if mean is None else mean * factor,
        None if error is None else error * abs(factor),
    )


def _error_rate_se(events: int, errors: int) -> float | None:
    if not events:
        return None
    n = events + 4
    p = (errors + 2) / n
    return math.sqrt(p * (1 - p) / n)
