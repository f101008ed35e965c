"""A row a method: what it says of one metric of an arm, at which level, and when it holds."""

import math
from dataclasses import dataclass
from typing import Literal

from agents.policy.comparisons import Level
from schemas.entities import MetricGoal
from streams.statistics.estimates import Estimate, NoEstimate
from streams.statistics.exact import Interval
from streams.statistics.multiple import bonferroni_p

Method = Literal[
    "relative",
    "student",
    "chi_square",
    "fisher_exact",
    "beta_binomial",
    "empirical_bernstein",
    "quantile",
    "superiority",
    "brunner_munzel",
    "mann_whitney",
    "equivalence",
    "non_inferiority",
]
Quantity = Literal["rate", "mean", "p05", "p50", "p95", "difference", "percent", "probability"]
When = Literal["at every look", "once"]
By = Literal["calls", "units"]
Found = Estimate | Interval | NoEstimate | float
"""A float is a p-value alone."""


@dataclass(frozen=True, slots=True)
class MethodRow:
    """`baseline` None: of the arm alone, or (`arm` None) of all arms together; else arm against
    baseline. `n_arm`, `n_baseline`: values, or units.

    `quantity`: what `value`, `lower` and `upper` are: of the arm alone, or arm minus baseline; in
    percent of the baseline's mean; or the probability that a call of the arm has the larger value,
    ties half. `margin`: in the metric's unit, of equivalence and non-inferiority. `level`: of the
    interval. `corrected_for`: comparisons that share the test's alpha; 1: this one alone.
    `p_value` is to be compared with the test's alpha. None: no estimate, `note` says why; some
    methods have an interval only, or a p-value only.
    """

    metric: str
    arm: str | None
    baseline: str | None
    method: Method
    quantity: Quantity
    when: When
    by: By
    n_arm: int
    n_baseline: int | None
    value: float | None
    lower: float | None
    upper: float | None
    p_value: float | None
    margin: float | None
    level: float
    corrected_for: int
    note: str | None


@dataclass(frozen=True, slots=True)
class Place:
    """Where rows stand: one metric of one arm, alone or against the baseline, or of all arms."""

    goal: MetricGoal
    arm: str | None
    baseline: str | None
    level: Level
    n_arm: int
    n_baseline: int | None = None
    by: By = "calls"

    @property
    def anytime_alpha(self) -> float:
        """Shared with the comparisons of the role as in the verdict; of an arm alone not shared."""
        return self.level.alpha if self.baseline is None else self.level.tuning.alpha

    def row(
        self,
        method: Method,
        quantity: Quantity,
        when: When,
        found: Found,
        *,
        value: float | None = None,
        margin: float | None = None,
        note: str | None = None,
    ) -> MethodRow:
        """`value`: beside a p-value alone. p-values are corrected here, intervals are already."""
        shared = when == "at every look" and self.baseline is not None
        family = self.level.family if shared else 1
        lower = upper = p_value = None
        if isinstance(found, float):
            if math.isfinite(found):
                p_value = min(found, 1.0)
            else:
                found = NoEstimate("the numbers are too large or too small for double precision")
        elif not isinstance(found, NoEstimate):
            value, lower, upper = found.value, found.lower, found.upper
            p_value = found.p_value if isinstance(found, Estimate) else None
        if isinstance(found, NoEstimate):
            value, note = None, found.reason
        return MethodRow(
            metric=self.goal.metric,
            arm=self.arm,
            baseline=self.baseline,
            method=method,
            quantity=quantity,
            when=when,
            by=self.by,
            n_arm=self.n_arm,
            n_baseline=self.n_baseline,
            value=value,
            lower=lower,
            upper=upper,
            p_value=None if p_value is None else bonferroni_p(p_value, family),
            margin=margin,
            level=1 - (self.anytime_alpha if when == "at every look" else self.level.alpha),
            corrected_for=family,
            note=note,
        )


def either(arm: object, baseline: object) -> NoEstimate:
    """Why a comparison has none: the reasons of the sides, at least one, that have none."""
    sides = (("arm", arm), ("baseline", baseline))
    reasons = [f"{name}: {side.reason}" for name, side in sides if isinstance(side, NoEstimate)]
    return NoEstimate("; ".join(reasons))
