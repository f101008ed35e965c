"""What the scores of one answer come to: its score, and whether it passed. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from schemas.evaluations import Score
from schemas.suites import ScorerUse, Suite

SCORE = "score"
"""The name of the weighted mean of a case's scores, beside the metrics of single scorers."""
PASS_RATE = "pass_rate"


@dataclass(frozen=True, slots=True)
class Outcome:
    """`score` None: some score that counts is missing. `passed` None: it cannot be told."""

    score: float | None
    passed: bool | None


def outcome(
    scores: Sequence[Score], uses: Sequence[ScorerUse], pass_threshold: float | None
) -> Outcome:
    """From one score for each use, in the same order.

    `score` is the mean of the values weighted by the uses' weights: None when a score with weight
    is missing, as the mean of the others would measure something else; None when no use has weight.

    `passed`, with a `pass_threshold`: whether `score` reaches it. Without: whether every use's own
    threshold is reached; one that is not decides, even when other scores are missing. None when no
    threshold applies.
    """
    pairs = list(zip(scores, uses, strict=True))
    score = _mean([(s.value, use.weight) for s, use in pairs if use.weight > 0])
    if pass_threshold is not None:
        return Outcome(score, None if score is None else score >= pass_threshold)
    reached = [
        None if s.value is None else s.value >= use.threshold
        for s, use in pairs
        if use.threshold is not None
    ]
    if False in reached:
        return Outcome(score, False)
    return Outcome(score, True if reached and None not in reached else None)


def measured_by(suite: Suite) -> tuple[str, ...]:
    """What answers to the suite can have a value of: SCORE and PASS_RATE where `outcome` can tell
    them, and the metrics of its scorers."""
    weighs = any(use.weight > 0 for use in suite.scorers)
    judges = any(use.threshold is not None for use in suite.scorers)
    passes = judges if suite.pass_threshold is None else weighs
    metrics = [use.metric or use.scorer for use in suite.scorers]
    return (*([SCORE] if weighs else []), *([PASS_RATE] if passes else []), *metrics)


def _mean(weighted: Sequence[tuple[float | None, float]]) -> float | None:
    values = [(value, weight) for value, weight in weighted if value is not None]
    if not values or len(values) < len(weighted):
        return None
    total = math.fsum(weight for _, weight in values)
    return math.fsum(value * (weight / total) for value, weight in values)
