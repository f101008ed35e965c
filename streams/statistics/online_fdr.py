"""A stream of tests, one decision after the other: the share of false discoveries stays below q.

Each test gets its level before its result is known, in the order in which tests enter; discoveries
pay for later levels. Values: `decide` returns the next one.

`Stream` is LORD++: Aaditya Ramdas, Fanny Yang, Martin J. Wainwright, Michael I. Jordan, "Online
control of the false discovery rate with decaying memory", NeurIPS 2017, section 4. It assumes that
p-values of true nulls are independent of each other.

`EStream` is e-LOND: Ziyu Xu, Aaditya Ramdas, "Online multiple testing with e-values", AISTATS 2024.
It takes e-values, and holds however tests depend on each other.
"""

import math
from dataclasses import dataclass, replace

_NORM = 0.07720838
"""Javanmard and Montanari 2018: makes the series below add up to 1."""


def share(j: int) -> float:
    """The part of wealth spent j >= 1 tests after it came: log(max(j, 2)) / (j e^sqrt(log j))."""
    return _NORM * math.log(max(j, 2)) / (j * math.exp(math.sqrt(math.log(j))))


@dataclass(frozen=True, slots=True)
class Stream:
    """`q`: the share allowed. `discoveries`: which tests were, counted from 1. `initial`: wealth
    at the start, of q."""

    q: float
    tests: int = 0
    discoveries: tuple[int, ...] = ()
    initial: float = 0.5

    def level(self) -> float:
        """The level of the next test."""
        t, w0 = self.tests + 1, self.q * self.initial
        level = share(t) * w0
        for place, found in enumerate(self.discoveries):
            level += share(t - found) * (self.q - w0 if place == 0 else self.q)
        return level

    def decide(self, p_value: float) -> tuple[bool, "Stream"]:
        """Whether this test is a discovery, and the stream after it."""
        found = p_value <= self.level()
        t = self.tests + 1
        discoveries = (*self.discoveries, t) if found else self.discoveries
        return found, replace(self, tests=t, discoveries=discoveries)


@dataclass(frozen=True, slots=True)
class EStream:
    """`q`: the share allowed. `tests`, `discoveries`: how many there were.

    A discovery at level share(t) q (d + 1), after d others, is false with e at least 1 / level. So
    each null adds at most share(t) q E[e] to the expected share, and the shares add up to 1.
    """

    q: float
    tests: int = 0
    discoveries: int = 0

    def level(self) -> float:
        """Of the next test: it is a discovery with an e-value of 1 / level or more."""
        return share(self.tests + 1) * self.q * (self.discoveries + 1)

    def decide(self, log_e: float) -> tuple[bool, "EStream"]:
        """Whether this test is a discovery, from the log of its e-value, and the stream after."""
        found = log_e >= -math.log(self.level())
        return found, EStream(self.q, self.tests + 1, self.discoveries + found)
