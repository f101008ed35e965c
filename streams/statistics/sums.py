"""Exact sums: partial rows in any order, split anywhere, give the same state to the last bit.

A double is an integer times 2^-1074 or more, so in fixed point with 1074 binary places every double
is an integer and sums of them are exact. Python's integers do not overflow. What is left of
rounding stands in the rows themselves, whose totals were summed as doubles.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

PLACES = 1074
_ONE = 1 << PLACES


def fixed(value: float) -> int:
    """A finite double in fixed point, exactly. Raises OverflowError or ValueError otherwise."""
    numerator, denominator = value.as_integer_ratio()
    return numerator << (PLACES + 1 - denominator.bit_length())


@dataclass(frozen=True, slots=True)
class Sums:
    """One metric of one group. Zero: Sums(). `total` and `total_sq` are in fixed point.

    `minimum` and `maximum` are None without values.
    """

    n: int = 0
    total: int = 0
    total_sq: int = 0
    minimum: float | None = None
    maximum: float | None = None

    @classmethod
    def of_row(
        cls, n: int, total: float, total_sq: float, minimum: float, maximum: float
    ) -> "Sums":
        """A partial row with n > 0 values."""
        return cls(n, fixed(total), fixed(total_sq), minimum, maximum)

    @classmethod
    def of_values(cls, values: Sequence[float]) -> "Sums":
        """The sums of single values, exact but for the rounding of each square."""
        result = cls()
        for value in values:
            result += cls.of_row(1, value, value * value, value, value)
        return result

    def __add__(self, other: "Sums") -> "Sums":
        """Exact, commutative and associative."""
        if self.minimum is None or self.maximum is None:
            return other
        if other.minimum is None or other.maximum is None:
            return self
        return Sums(
            self.n + other.n,
            self.total + other.total,
            self.total_sq + other.total_sq,
            min(self.minimum, other.minimum),
            max(self.maximum, other.maximum),
        )

    @property
    def mean(self) -> float | None:
        """Correctly rounded; None without values."""
        return self.total / (self.n << PLACES) if self.n else None

    @property
    def squares(self) -> float:
        """The sum of squares as a double."""
        return self.total_sq / _ONE

    @property
    def m2(self) -> float:
        """Sum of squared deviations from the mean: total_sq - total^2 / n, rounded once.

        May be negative or wrong by the rounding of the rows: see streams.statistics.moments.
        """
        if not self.n:
            return 0.0
        exact = ((self.total_sq * self.n) << PLACES) - self.total * self.total
        return exact / (self.n << 2 * PLACES)

    @property
    def constant(self) -> bool:
        """Whether there are values and all are equal."""
        return self.n > 0 and self.minimum == self.maximum

    @property
    def binary(self) -> bool:
        """Whether there are values and each is 0 or 1.

        x - x^2 is positive inside (0, 1), so with all values in [0, 1] its sum is 0 only if every
        single one is 0 or 1.
        """
        low, high = self.minimum, self.maximum
        if low is None or high is None or low < 0 or high > 1:
            return False
        return self.total == self.total_sq

    @property
    def ones(self) -> int:
        """How many values are 1, of a binary metric."""
        return self.total >> PLACES


def dump(sums: Sums) -> list[Any]:
    """As JSON values, exactly: wide integers are text without their trailing zero bits."""
    return [sums.n, _text(sums.total), _text(sums.total_sq), sums.minimum, sums.maximum]


def load(value: Sequence[Any]) -> Sums:
    """The inverse of `dump`."""
    n, total, total_sq, minimum, maximum = value
    return Sums(n, _integer(total), _integer(total_sq), minimum, maximum)


def _text(number: int) -> str:
    zeros = max((number & -number).bit_length() - 1, 0)
    return f"{number >> zeros:x}p{zeros}"


def _integer(text: str) -> int:
    digits, _, zeros = text.partition("p")
    return int(digits, 16) << int(zeros)
