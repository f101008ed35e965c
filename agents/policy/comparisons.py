"""One arm against another on one metric: textbook numbers, numbers valid at every look, a verdict.

fixed_*    the textbook numbers of this comparison alone: uncorrected, right at a single look only.
anytime_*  right at every look, and corrected for the comparisons of the same role (Bonferroni), so
           that p < alpha exactly when the interval leaves out 0. Verdicts rest on these.
"""

from dataclasses import dataclass
from typing import Literal

from schemas.entities import MetricGoal
from schemas.records import Comparison, ComparisonVerdict
from streams.statistics import means, rates
from streams.statistics.estimates import Estimate, NoEstimate
from streams.statistics.moments import Moments, moments
from streams.statistics.multiple import bonferroni_alpha, bonferroni_p
from streams.statistics.sequential import Tuning, confidence_sequence
from streams.statistics.sums import Sums

Result = Estimate | NoEstimate


@dataclass(frozen=True, slots=True)
class Level:
    """At which level a comparison is made: `family` comparisons share `alpha`."""

    alpha: float
    family: int
    tuning: Tuning

    @classmethod
    def shared(cls, alpha: float, family: int, planned_n: int) -> "Level":
        return cls(alpha, family, Tuning(bonferroni_alpha(alpha, family), planned_n))


@dataclass(frozen=True, slots=True)
class Contrast:
    """arm - baseline on one metric. `anytime.p_value` is for this comparison alone."""

    method: Literal["rates", "means"]
    fixed: Result
    anytime: Result

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


def oriented(interval: Estimate, goal: MetricGoal) -> tuple[float, float]:
    """(lower, upper), turned so that more is better."""
    if goal.direction == "higher":
        return interval.lower, interval.upper
    return -interval.upper, -interval.lower


@dataclass(frozen=True, slots=True)
class Sample:
    """One metric of one arm, made ready once for all its comparisons. `mean`: None without values.

    `rate` is None unless all values are 0 or 1.
    """

    sums: Sums
    mean: float | None
    rate: rates.Rate | None
    moments: Moments | NoEstimate

    @classmethod
    def of(cls, sums: Sums) -> "Sample":
        rate = rates.Rate(sums.n, sums.ones) if sums.binary else None
        return cls(sums, sums.mean, rate, moments(sums))


def contrast(arm: Sample, baseline: Sample, level: Level) -> Contrast:
    """By rates when both arms have only values 0 and 1, else by means."""
    if arm.rate is not None and baseline.rate is not None:
        fixed = rates.two_proportions(arm.rate, baseline.rate, level.alpha)
        if isinstance(fixed, NoEstimate):
            return Contrast("rates", fixed, fixed)
        found = rates.difference(arm.rate, baseline.rate)
        return Contrast("rates", fixed, confidence_sequence(found, level.tuning))
    left, right = arm.moments, baseline.moments
    if isinstance(left, NoEstimate) or isinstance(right, NoEstimate):
        return _missing(left, right)
    fixed = means.welch(left, right, level.alpha)
    found = means.difference(left, right)
    return Contrast("means", fixed, confidence_sequence(found, level.tuning))


def _missing(arm: Moments | NoEstimate, baseline: Moments | NoEstimate) -> Contrast:
    sides = (("arm", arm), ("baseline", baseline))
    reasons = [f"{name}: {side.reason}" for name, side in sides if isinstance(side, NoEstimate)]
    nothing = NoEstimate("; ".join(reasons))
    return Contrast("means", nothing, nothing)


def comparison(
    goal: MetricGoal,
    arms: tuple[str, str],
    samples: tuple[Sample, Sample],
    found: Contrast,
    level: Level,
) -> Comparison:
    """The published form; `arms` and `samples` are those of the arm and of the baseline."""
    arm, baseline = samples
    fixed_p, *fixed = _numbers(found.fixed)
    anytime_p, *anytime = _numbers(found.anytime)
    mean_arm, mean_baseline = arm.mean, baseline.mean
    gap = None if mean_arm is None or mean_baseline is None else mean_arm - mean_baseline
    return Comparison(
        metric=goal.metric,
        role=goal.role,
        direction=goal.direction,
        arm=arms[0],
        baseline=arms[1],
        n_arm=arm.sums.n,
        n_baseline=baseline.sums.n,
        mean_arm=mean_arm,
        mean_baseline=mean_baseline,
        difference=gap,
        relative_difference=_relative(gap, mean_baseline),
        fixed_p_value=fixed_p,
        fixed_lower=fixed[0],
        fixed_upper=fixed[1],
        anytime_p_value=None if anytime_p is None else bonferroni_p(anytime_p, level.family),
        anytime_lower=anytime[0],
        anytime_upper=anytime[1],
        verdict=found.verdict(goal),
        note=_note(found, level),
    )


def _numbers(result: Result) -> tuple[float | None, float | None, float | None]:
    """(p-value, lower, upper)."""
    if isinstance(result, NoEstimate):
        return None, None, None
    return result.p_value, result.lower, result.upper


def _relative(gap: float | None, mean: float | None) -> float | None:
    if gap is None or not mean:
        return None
    ratio = gap / mean
    return ratio if abs(ratio) < float("inf") else None


def _note(found: Contrast, level: Level) -> str:
    """Why there is no estimate, or how the numbers were made."""
    for result in (found.fixed, found.anytime):
        if isinstance(result, NoEstimate):
            return result.reason
    text = "two-proportion z" if found.method == "rates" else "Welch t"
    if level.family > 1:
        text += f"; anytime numbers corrected for {level.family} comparisons of this role"
    return text
