"""The answer about other weights of an A/B test."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, Field

from api.problems import invalid
from schemas.entities import AbTest
from streams.statistics.bandit import Logged, counterfactual
from streams.statistics.estimates import NoEstimate
from streams.statistics.moments import Moments
from streams.statistics.offpolicy import (
    at_one_look,
    doubly_robust_by_choice,
    inverse_propensity,
    propensities_p,
)

Reward = Literal["quality", "latency_ms", "ttft_ms", "cost_usd", "error"]


class AnotherEstimate(BaseModel):
    """The same mean by another method, at one look; null: no estimate, see note."""

    mean: float | None = None
    lower: float | None = None
    upper: float | None = None
    note: str | None = None


class CounterfactualBody(BaseModel):
    """The mean of a metric that other weights would have given; null: no estimate, see note."""

    ab_test_id: str
    metric: str
    weights: dict[str, float] = Field(description="As shares that add up to 1.")
    calls: int = Field(description="With a propensity and the metric.")
    effective_calls: float = Field(description="What they are worth for these weights.")
    mean: float | None
    lower: float | None
    upper: float | None
    note: str | None
    doubly_robust: AnotherEstimate = Field(
        description="With what is predicted of each arm from other calls: right if propensities or "
        "predictions are, and steadier where propensities vary."
    )
    inverse_propensity: AnotherEstimate = Field(
        description="Without any correction: unbiased, and wild where propensities vary."
    )
    propensities_p_value: float | None = Field(
        description="That the logged propensities are right; below 0.001, trust no estimate. Null: "
        "`why_no_p_value`."
    )
    why_no_p_value: str | None


def shares_of(test: AbTest, given: Sequence[str] | None) -> Mapping[str, float]:
    """By arm. Raises Problem 422."""
    arms = [arm.arm for arm in test.arms]
    if not given:
        return {arm: 1 / len(arms) for arm in arms}
    weights = dict.fromkeys(arms, 0.0)
    for each in given:
        arm, _, text = each.rpartition(":")
        try:
            weight = float(text)
        except ValueError:
            weight = math.nan
        if arm not in weights or not 0 <= weight < math.inf:
            listed = ", ".join(arms)
            raise invalid("weights", f"{each!r} is not arm:weight with an arm of {listed}")
        weights[arm] = weight
    total = math.fsum(weights.values())
    if not 0 < total < math.inf:
        raise invalid("weights", "some weight must be above 0")
    return {arm: weight / total for arm, weight in weights.items()}


def counterfactual_body(
    test: AbTest,
    metric: str,
    shares: Mapping[str, float],
    folds: Sequence[Mapping[str, Logged]],
) -> CounterfactualBody:
    """From the sums over calls, by arm, in two halves."""
    sums = Logged.of_folds(folds)
    found = counterfactual(sums)
    checked = propensities_p(sums)
    mean = lower = upper = note = None
    if isinstance(found, NoEstimate):
        note = found.reason
    else:
        mean, lower, upper = found.value, found.lower, found.upper
    return CounterfactualBody(
        ab_test_id=test.ab_test_id,
        metric=metric,
        weights=dict(shares),
        calls=sums.n,
        effective_calls=sums.effective_n,
        mean=mean,
        lower=lower,
        upper=upper,
        note=note,
        doubly_robust=_another(doubly_robust_by_choice(folds, shares)),
        inverse_propensity=_another(inverse_propensity(sums)),
        propensities_p_value=None if isinstance(checked, NoEstimate) else checked,
        why_no_p_value=checked.reason if isinstance(checked, NoEstimate) else None,
    )


def _another(moments: Moments | NoEstimate) -> AnotherEstimate:
    found = moments if isinstance(moments, NoEstimate) else at_one_look(moments)
    if isinstance(found, NoEstimate):
        return AnotherEstimate(note=found.reason)
    return AnotherEstimate(mean=found.value, lower=found.lower, upper=found.upper)
