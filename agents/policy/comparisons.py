"""One arm against another on one metric: textbook numbers, numbers valid at every look, a verdict.

fixed_*    the textbook numbers of this comparison alone: uncorrected, right at a single look only.
anytime_*  right at every look, and corrected for the comparisons of the same role (Bonferroni), so
           that p < alpha exactly when the interval leaves out 0. Verdicts rest on these.
"""

import math
from dataclasses import dataclass
from typing import Literal

from agents.policy.numbers import Numbers, Result
from schemas.entities import MetricGoal
from schemas.records import Comparison, ComparisonVerdict, Guard, Worth
from streams.statistics import clusters, means, rates
from streams.statistics.adjustment import cuped
from streams.statistics.clusters import UnitSums
from streams.statistics.estimates import Estimate, NoEstimate
from streams.statistics.means import Difference
from streams.statistics.moments import Moments, moments
from streams.statistics.multiple import bonferroni_alpha
from streams.statistics.sequential import Tuning, confidence_sequence, log_e_value
from streams.statistics.sums import Sums


@dataclass(frozen=True, slots=True)
class Level:
    """At which level a comparison is made: `family` comparisons share `alpha`."""

    alpha: float
    family: int
    tuning: Tuning

    @classmethod
    def shared(cls, alpha: float, family: int, planned_n: int) -> "Level":
        return cls(alpha, family, Tuning(bonferroni_alpha(alpha, family), planned_n))


Method = Literal["rates", "means", "units", "adjusted"]


@dataclass(frozen=True, slots=True)
class Contrast:
    """arm - baseline on one metric. `anytime.p_value`, `log_e`: for this comparison alone.

    `variance_left`: what the covariate leaves, where the method is 'adjusted'.
    """

    method: Method
    fixed: Result
    anytime: Result
    log_e: float | None = None
    variance_left: float | None = None

    def verdict(self, goal: MetricGoal) -> ComparisonVerdict:
        """What the anytime interval says, in the metric's direction.

        no_difference: all of it within the margin. better, worse: all of it beyond 0.
        """
        if isinstance(self.fixed, NoEstimate):
            return "no_estimate"
        if isinstance(self.anytime, NoEstimate):
            return "undecided"
        margin = goal.margin or 0.0
        lower, upper = oriented(self.anytime, goal)
        if -margin <= lower and upper <= margin:
            return "no_difference"
        if lower > 0:
            return "better"
        return "worse" if upper < 0 else "undecided"

    def worth(self, goal: MetricGoal) -> Worth | None:
        """Whether an improvement is large enough to matter; None: the goal does not say.

        worth: it is one, and the estimate reaches min_effect. not_worth: all of the anytime
        interval is below min_effect.
        """
        if goal.min_effect is None:
            return None
        if isinstance(self.anytime, NoEstimate):
            return "open"
        lower, upper = oriented(self.anytime, goal)
        if upper < goal.min_effect:
            return "not_worth"
        found = self.anytime.value if goal.direction == "higher" else -self.anytime.value
        return "worth" if lower > 0 and found >= goal.min_effect else "open"


def oriented(interval: Estimate, goal: MetricGoal) -> tuple[float, float]:
    """(lower, upper), turned so that more is better."""
    if goal.direction == "higher":
        return interval.lower, interval.upper
    return -interval.upper, -interval.lower


@dataclass(frozen=True, slots=True)
class Sample:
    """One metric of one arm, made ready once for all its comparisons. `mean`: None without values.

    `n`: values, or units. `rate` is None unless all values are 0 or 1. `constant`: what all values
    are equal to, if they are. `covariate`: pairs of metric and covariate by unit.
    """

    n: int
    mean: float | None
    rate: rates.Rate | None
    moments: Moments | NoEstimate
    constant: float | None = None
    by_units: bool = False
    covariate: UnitSums | None = None

    @classmethod
    def of(cls, sums: Sums) -> "Sample":
        rate = rates.Rate(sums.n, sums.ones) if sums.binary else None
        constant = sums.minimum if sums.constant else None
        return cls(sums.n, sums.mean, rate, moments(sums), constant)

    @classmethod
    def of_units(cls, sums: UnitSums, covariate: UnitSums | None) -> "Sample":
        found = clusters.moments(sums)
        mean = sums.total / sums.size if sums.size > 0 else None
        constant = 0.0 if sums.units and sums.total_sq == 0 == sums.total else None
        return cls(sums.units, mean, None, found, constant, True, covariate)

    @property
    def mean_error(self) -> float | None:
        """The standard error of the mean; None: not known."""
        if self.rate is not None:
            return math.sqrt(self.rate.variance / self.rate.n)
        if isinstance(self.moments, NoEstimate):
            return None
        return math.sqrt(self.moments.mean_variance)


def contrast(arm: Sample, baseline: Sample, level: Level) -> Contrast:
    """By rates when both arms have only values 0 and 1, else by means."""
    if arm.rate is not None and baseline.rate is not None:
        fixed = rates.two_proportions(arm.rate, baseline.rate, level.alpha)
        if isinstance(fixed, NoEstimate):
            return Contrast("rates", fixed, fixed)
        return _contrast("rates", fixed, rates.difference(arm.rate, baseline.rate), level)
    left, right = arm.moments, baseline.moments
    method: Method = "units" if arm.by_units else "means"
    if isinstance(left, NoEstimate) or isinstance(right, NoEstimate):
        return _missing(left, right)
    variance_left = None
    if arm.covariate is not None and baseline.covariate is not None:
        adjusted = cuped(arm.covariate, baseline.covariate)
        if not isinstance(adjusted, NoEstimate):
            left, right = adjusted.arm, adjusted.baseline
            method, variance_left = "adjusted", adjusted.variance_left
    fixed = means.welch(left, right, level.alpha)
    return _contrast(method, fixed, means.difference(left, right), level, variance_left)


def _contrast(
    method: Method,
    fixed: Result,
    found: Difference,
    level: Level,
    variance_left: float | None = None,
) -> Contrast:
    anytime = confidence_sequence(found, level.tuning)
    log_e = None
    if isinstance(anytime, Estimate):
        log_e = log_e_value(found.value / found.error, found.effective_n * level.tuning.rho_squared)
    return Contrast(method, fixed, anytime, log_e, variance_left)


def _missing(arm: Moments | NoEstimate, baseline: Moments | NoEstimate) -> Contrast:
    sides = (("arm", arm), ("baseline", baseline))
    reasons = [f"{name}: {side.reason}" for name, side in sides if isinstance(side, NoEstimate)]
    nothing = NoEstimate("; ".join(reasons))
    return Contrast("means", nothing, nothing)


@dataclass(frozen=True, slots=True)
class Context:
    """What else is said of a comparison."""

    level: Level
    adjusted_p_value: float | None
    guard: Guard | None
    design_effect: float | None


def comparison(
    goal: MetricGoal,
    arms: tuple[str, str],
    samples: tuple[Sample, Sample],
    found: Contrast,
    context: Context,
) -> Comparison:
    """The published form; `arms` and `samples` are those of the arm and of the baseline."""
    arm, baseline = samples
    level = context.level
    fixed, anytime = Numbers.of(found.fixed, 1), Numbers.of(found.anytime, level.family)
    mean_arm, mean_baseline = arm.mean, baseline.mean
    gap = None if mean_arm is None or mean_baseline is None else mean_arm - mean_baseline
    difference = _difference(found, gap)
    return Comparison(
        metric=goal.metric,
        role=goal.role,
        direction=goal.direction,
        arm=arms[0],
        baseline=arms[1],
        n_arm=arm.n,
        n_baseline=baseline.n,
        mean_arm=mean_arm,
        mean_baseline=mean_baseline,
        difference=difference,
        relative_difference=_relative(difference, mean_baseline),
        fixed_p_value=fixed.p_value,
        fixed_lower=fixed.lower,
        fixed_upper=fixed.upper,
        anytime_p_value=anytime.p_value,
        anytime_lower=anytime.lower,
        anytime_upper=anytime.upper,
        verdict=found.verdict(goal),
        note=_note(found, level, goal),
        log_e_value=found.log_e,
        adjusted_p_value=context.adjusted_p_value,
        margin=goal.margin,
        min_effect=goal.min_effect,
        worth=found.worth(goal) if goal.role == "primary" else None,
        guard=context.guard,
        design_effect=context.design_effect,
        variance_left=found.variance_left,
    )


def _difference(found: Contrast, gap: float | None) -> float | None:
    """The middle of the interval: with a covariate it is not the difference of the plain means."""
    if found.method == "adjusted" and isinstance(found.fixed, Estimate):
        return found.fixed.value
    return gap


def _relative(gap: float | None, mean: float | None) -> float | None:
    if gap is None or not mean:
        return None
    ratio = gap / mean
    return ratio if abs(ratio) < float("inf") else None


_METHODS = {
    "rates": "two-proportion z",
    "means": "Welch t",
    "units": "Welch t over units",
    "adjusted": "Welch t over means of units, with a covariate (CUPED)",
}


def _note(found: Contrast, level: Level, goal: MetricGoal) -> str:
    """Why there is no estimate, or how the numbers were made."""
    for result in (found.fixed, found.anytime):
        if isinstance(result, NoEstimate):
            return result.reason
    text = _METHODS[found.method]
    if level.family > 1:
        text += f"; anytime numbers corrected for {level.family} comparisons of this role"
    if goal.winsorise is not None:
        text += "; not winsorised: a verdict is computed from sums"
    return text
