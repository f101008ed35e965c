"""Exact sums of what a model did in a stretch of event time: added, and taken away, without loss.

A rolling window adds new panes and subtracts old ones. With floating point the two would not
cancel, so totals are integers: fixed point with 60 binary places. A double times 2^60 is exact, and
Python's integers do not overflow, so any order of additions and subtractions gives the same sums.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from streams import sketch

PLACES = 60
_ONE = 1 << PLACES
RESOLUTION = 1e-13
"""Sums of squares arrive as doubles: a variance below this share of them is rounding."""


def fixed(value: float) -> int:
    """A finite double in fixed point."""
    return int(value * _ONE)


@dataclass(frozen=True, slots=True)
class Sums:
    """Count, total and total of squares of one metric; totals in fixed point. Zero: Sums()."""

    n: int = 0
    total: int = 0
    total_sq: int = 0

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(self.n + other.n, self.total + other.total, self.total_sq + other.total_sq)

    def __sub__(self, other: "Sums") -> "Sums":
        return Sums(self.n - other.n, self.total - other.total, self.total_sq - other.total_sq)

    @property
    def mean(self) -> float | None:
        """None without values."""
        return self.total / self.n / _ONE if self.n else None

    @property
    def standard_error(self) -> float | None:
        """Of the mean, from the unbiased variance; None below two values.

        Squares come as doubles, so a variance below their resolution is replaced by the resolution:
        the error is never understated.
        """
        if self.n < 2:
            return None
        squares = (self.total_sq * self.n * _ONE - self.total * self.total) / self.n
        floor = RESOLUTION * self.total_sq * _ONE
        return math.sqrt(max(squares, floor) / (self.n - 1) / self.n) / _ONE


@dataclass(slots=True)
class Tally:
    """What one model did in some event time. Zero: Tally(). `bins`: latency sketch."""

    events: int = 0
    errors: int = 0
    latency_ms: Sums = Sums()
    cost_usd: Sums = Sums()
    quality: Sums = Sums()
    bins: dict[int, int] = field(default_factory=dict)

    def add(self, other: "Tally") -> None:
        """In place; exact."""
        self.events += other.events
        self.errors += other.errors
        self.latency_ms += other.latency_ms
        self.cost_usd += other.cost_usd
        self.quality += other.quality
        for key, count in other.bins.items():
            self.bins[key] = self.bins.get(key, 0) + count

    def subtract(self, other: "Tally") -> None:
        """The inverse of `add`: exact. `other` must have been added before."""
        self.events -= other.events
        self.errors -= other.errors
        self.latency_ms -= other.latency_ms
        self.cost_usd -= other.cost_usd
        self.quality -= other.quality
        for key, count in other.bins.items():
            left = self.bins[key] - count
            if left:
                self.bins[key] = left
            else:
                del self.bins[key]

    def latency_quantile_ms(self, q: float) -> float | None:
        """Within 1 %; None without latencies."""
        keys = sorted(self.bins)
        return sketch.quantile(keys, [self.bins[k] for k in keys], q)


def dump(tally: Tally) -> list[Any]:
    """A tally as JSON values. Wide integers are text: JSON numbers have 53 or 64 bits."""
    keys = sorted(tally.bins)
    sums = (tally.latency_ms, tally.cost_usd, tally.quality)
    return [
        tally.events,
        tally.errors,
        [[s.n, f"{s.total:x}", f"{s.total_sq:x}"] for s in sums],
        keys,
        [tally.bins[k] for k in keys],
    ]


def load(value: Sequence[Any]) -> Tally:
    """The inverse of `dump`."""
    events, errors, sums, keys, counts = value
    latency, cost, quality = (Sums(n, int(total, 16), int(sq, 16)) for n, total, sq in sums)
    return Tally(events, errors, latency, cost, quality, dict(zip(keys, counts, strict=True)))


def merged(tallies: Mapping[Any, Tally]) -> Tally:
    """The sum of all."""
    total = Tally()
    for tally in tallies.values():
        total.add(tally)
    return total
