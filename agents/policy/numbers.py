"""Results of statistics as they are published."""

from typing import NamedTuple

from streams.statistics.estimates import Estimate, NoEstimate
from streams.statistics.multiple import bonferroni_p

Result = Estimate | NoEstimate


class Numbers(NamedTuple):
    """A result as it is published: None everywhere without an estimate."""

    value: float | None = None
    lower: float | None = None
    upper: float | None = None
    p_value: float | None = None

    @classmethod
    def of(cls, result: Result, family: int) -> "Numbers":
        """`family`: how many comparisons the p-value is corrected for; its interval is already."""
        if isinstance(result, NoEstimate):
            return cls()
        p_value = bonferroni_p(result.p_value, family)
        return cls(result.value, result.lower, result.upper, p_value)
