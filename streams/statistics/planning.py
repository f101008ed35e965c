"""How many values, how small a difference, how many days: for one look and for looking always.

With two equal arms of n values each and a standard deviation s of single values, the difference
has the standard error s sqrt(2 / n). A test that is looked at once finds d with `power` when
d = (z_(1 - alpha/2) + z_power) s sqrt(2 / n); one that is looked at always when, at n = planned_n,
its interval is that much further out: d = (factor + z_power) s sqrt(2 / n). The latter is what it
takes at the planned end; it often stops before. The normal approximation of Fleiss, Levin, Paik,
"Statistical Methods for Rates and Proportions", 3rd ed. 2003, chapter 4.
"""

import math
from dataclasses import dataclass
from typing import Literal, Protocol

from scipy.special import ndtr, ndtri

from streams.statistics import looks
from streams.statistics.sequential import Tuning, factor


class Reaching(Protocol):
    """How a test looks. `reach`: the difference that it finds, in standard errors at its end."""

    @property
    def reach(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Plan:
    """`alpha`: of one comparison, corrected already if there are several. Two-sided."""

    alpha: float = 0.05
    power: float = 0.8
    anytime: bool = True

    @property
    def reach(self) -> float:
        """The difference that is found, in standard errors at the end."""
        return self._critical + float(ndtri(self.power))

    @property
    def _critical(self) -> float:
        if not self.anytime:
            return -float(ndtri(self.alpha / 2))
        # At n = planned_n the clock stands where the interval is tightest, whatever n is.
        return factor(Tuning(self.alpha, 1).rho_squared, self.alpha)

    def power_at(self, difference: float, deviation: float, n: int) -> float:
        """The chance to find this difference by n values an arm, looking then (n = planned_n)."""
        errors = abs(difference) / (deviation * math.sqrt(2 / n))
        missed = float(ndtr(-errors - self._critical))
        return float(ndtr(errors - self._critical)) + missed


@dataclass(frozen=True, slots=True)
class AtLooks:
    """A test that stops at the first of evenly planned looks that decides. `alpha` as in Plan.

    Its reach counts what is found at any look: looks.needed_drift.
    """

    family: Literal["obrien_fleming", "pocock"]
    looks: int
    alpha: float = 0.05
    power: float = 0.8

    @property
    def reach(self) -> float:
        return looks.needed_drift(self.family, self.looks, self.alpha, self.power)


def sample_size(difference: float, deviation: float, plan: Reaching) -> int:
    """Values an arm, rounded up. `difference` and `deviation` are positive, in one unit."""
    return math.ceil(2 * (plan.reach * deviation / difference) ** 2)


def detectable(n: int, deviation: float, plan: Reaching) -> float:
    """The smallest difference that n values an arm find with the plan's power."""
    return plan.reach * deviation * math.sqrt(2 / n)


def deviation_of_rates(rate: float, other: float) -> float:
    """The standard deviation of single 0/1 values, for arms with these rates."""
    return math.sqrt((rate * (1 - rate) + other * (1 - other)) / 2)


@dataclass(frozen=True, slots=True)
class Row:
    """What one method asks for. `n`: values an arm to find `difference` with the plan's power, at
    the planned end. `detectable`: what `traffic` values an arm find. `expected_n`: values an arm
    used on average when the difference is there and the test stops at the first look that shows it.
    `days` and `expected_days` at the traffic given; None without traffic."""

    method: looks.Method
    n: int
    detectable: float | None
    power: float | None
    expected_n: int
    days: float | None
    expected_days: float | None


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of every method: a difference and the standard deviation of single values (both
    above 0, in one unit), values an arm gets a day, and values an arm that there will be at most
    (None: open). `seen`: values an arm there are already."""

    difference: float
    deviation: float
    per_day: float = 0.0
    at_most: int | None = None
    seen: int = 0


def beside(
    question: Question, alpha: float = 0.05, power: float = 0.8, at_looks: int = 20
) -> list[Row]:
    """Every method of looks.METHODS for one question; two-sided, two equal arms.

    `at_looks` equally spaced looks, for those that look more than once: power counts what was found
    at any of them. More looks change it little.
    """
    return [_row(method, question, alpha, power, at_looks) for method in looks.METHODS]


def _row(method: looks.Method, asked: Question, alpha: float, power: float, count: int) -> Row:
    drift = looks.needed_drift(method, count, alpha, power)
    n = math.ceil(2 * (drift * asked.deviation / asked.difference) ** 2)
    fractions, limits = looks.limits(method, count, alpha)
    expected = math.ceil(n * looks.course(fractions, limits, drift).expected)
    least = there = None
    if asked.at_most is not None:
        error = asked.deviation * math.sqrt(2 / asked.at_most)
        least = drift * error
        there = looks.course(fractions, limits, min(asked.difference / error, 40.0)).power
    return Row(
        method,
        n,
        least,
        there,
        expected,
        days_left(n, asked.seen, asked.per_day),
        days_left(expected, asked.seen, asked.per_day),
    )


def days_left(needed: int, n: int, per_day: float) -> float | None:
    """Days until an arm that has n values and gets `per_day` has `needed`; None without traffic."""
    if n >= needed:
        return 0.0
    return (needed - n) / per_day if per_day > 0 else None
