"""A stream of tests, one decision after the other: the share of false discoveries stays below q.

LORD++: Aaditya Ramdas, Fanny Yang, Martin J. Wainwright, Michael I. Jordan, "Online control of the
false discovery rate with decaying memory", NeurIPS 2017, section 4. Each test gets its level
before its p-value is known; discoveries pay for later levels. A value: `decide` returns the next.

Assumes that p-values of true nulls are independent of each other. Tests are decided in the order in
which they enter.
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
