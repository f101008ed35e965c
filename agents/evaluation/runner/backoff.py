"""How long to wait before the next try. Pure; chance is an argument."""

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential with full jitter: uniform from 0 to first_s * 2^n, at most longest_s.

    `certain`: the share of it that is waited in any case.

    Source: M. Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015.
    """

    first_s: float
    longest_s: float
    certain: float = 0.0

    def wait_s(self, failures: int, rng: random.Random) -> float:
        """After so many failures in a row, from 1."""
        most_s = min(self.longest_s, self.first_s * 2 ** min(failures - 1, 60))
        return rng.uniform(self.certain * most_s, most_s)
