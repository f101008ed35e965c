"""A weighted choice among a few options, the same for a unit everywhere and always.

Weighted rendezvous hashing: each option draws an exponential variable with its weight as the rate,
made from the hashes of unit and option; the smallest wins. So an option wins with probability
weight / sum of weights over units, and when weights or options change, only units move that a
changed option gains or loses.

Hash of a unit u and an option o, both hashed to 64 bits by BLAKE2b before:

    h = (u XOR o) * ODD mod 2^64,   variable = -ln(1 - h / 2^64) / weight of o

One multiplication is enough mixing because both sides are uniform already. It is done for all
options at a time: their hashes lie side by side in one large integer, 128 bits apart, so that the
products cannot touch, and Python multiplies that integer in one go. This is what makes fifty
options cost microseconds. tests/property/test_client_choice.py holds the outcome against the plain
formula and against the exact probabilities.
"""

import hashlib
import math
import random
import struct
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate, groupby
from typing import NamedTuple

from rheostat_client.choice import Choice

_ODD = 0x9E3779B97F4A7C15
"""2^64 divided by the golden ratio, made odd (Knuth, TAOCP 3, 6.4: multiplicative hashing)."""
_LANE_BITS = 128
_SCALE = 2.0**64


class Option(NamedTuple):
    """A choice with its weight, which is above 0."""

    choice: Choice
    weight: float


class Pool:
    """Options of one capability. `salt` keeps capabilities independent of each other."""

    __slots__ = (
        "_bounds",
        "_bytes",
        "_choices",
        "_groups",
        "_lanes",
        "_ones",
        "_salted",
        "_unpack",
    )

    def __init__(self, salt: str, options: Sequence[Option]) -> None:
        """`options` is not empty; their order does not matter for units."""
        key = hashlib.blake2b(salt.encode(), digest_size=32).digest()
        self._salted = hashlib.blake2b(digest_size=8, key=key)
        # The heaviest first: it wins most often, and then the rest is quickly ruled out.
        ordered = sorted(options, key=lambda o: (-o.weight, o.choice))
        self._bounds = tuple(accumulate(o.weight for o in ordered))
        total = self._bounds[-1]
        self._choices = tuple(o.choice._replace(propensity=o.weight / total) for o in ordered)
        self._groups = tuple(_groups([o.weight for o in ordered]))
        hashes = [_option_hash(choice) for choice in self._choices]
        self._lanes = sum(h << (_LANE_BITS * i) for i, h in enumerate(hashes))
        self._ones = sum(1 << (_LANE_BITS * i) for i in range(len(hashes)))
        self._bytes = len(hashes) * _LANE_BITS // 8
        self._unpack = struct.Struct("<" + "Q8x" * len(hashes)).unpack

    def __len__(self) -> int:
        return len(self._choices)

    @property
    def choices(self) -> tuple[Choice, ...]:
        """Every option with its propensity, the heaviest first."""
        return self._choices

    def for_unit(self, unit_id: str) -> Choice:
        """The unit's choice."""
        if len(self._choices) == 1:
            return self._choices[0]
        hashed = self._salted.copy()
        hashed.update(unit_id.encode())
        unit = int.from_bytes(hashed.digest(), "little")
        products = ((unit * self._ones) ^ self._lanes) * _ODD
        draws = self._unpack(products.to_bytes(self._bytes, "little"))
        shortest = math.inf
        winner = 0
        for weight, start, stop in self._groups:
            # Among equal weights the smallest hash waits shortest.
            draw = draws[start] if stop == start + 1 else min(draws[start:stop])
            # -ln(1 - x) is at least x: whoever fails this cannot win.
            if draw < shortest * weight:
                wait = -math.log1p(-(draw >> 11) * 2.0**-53) * _SCALE / weight
                if wait < shortest:
                    shortest = wait
                    winner = draws.index(draw, start)
        return self._choices[winner]

    def at_random(self, rng: random.Random) -> Choice:
        """A fresh draw."""
        at = bisect_right(self._bounds, rng.random() * self._bounds[-1])
        return self._choices[min(at, len(self._choices) - 1)]


def _groups(weights: Sequence[float]) -> Iterator[tuple[float, int, int]]:
    """(weight, first, one after the last) of each run of equal weights."""
    start = 0
    for weight, run in groupby(weights):
        stop = start + len(list(run))
        yield weight, start, stop
        start = stop


def _option_hash(choice: Choice) -> int:
    name = f"{choice.model_id}\0{choice.model_version}".encode()
    return int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "little")
