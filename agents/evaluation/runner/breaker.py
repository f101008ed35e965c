"""The circuit breaker of an endpoint: one that is down is left alone for a while. Pure.

Source of the pattern: M. Nygard, "Release It!", 2007, chapter 5.
"""

import random
from dataclasses import dataclass

from agents.evaluation.runner.backoff import Backoff

FAILURES = 10
"""In a row; at 30 % errors that many follow each other once in 170,000 calls."""
PAUSE = Backoff(2.0, 30.0, certain=0.5)


@dataclass(slots=True)
class Breaker:
    """Closed: calls pass. Open: none until `open_until_s`; then one call probes.

    `down_since_s`: when it opened first without a success since.
    """

    rng: random.Random
    failures: int = 0
    open_until_s: float | None = None
    down_since_s: float | None = None
    probing: bool = False
    _openings: int = 0

    def wait_s(self, now_s: float) -> float | None:
        """0: a call may be made now; None: not before the probe has ended."""
        if self.open_until_s is None:
            return 0.0
        if now_s < self.open_until_s:
            return self.open_until_s - now_s
        return None if self.probing else 0.0

    def calling(self) -> None:
        """A call begins; in an open circuit it is the probe."""
        self.probing = self.open_until_s is not None

    def abandoned(self) -> None:
        """A call was given up, and says nothing; it may have been the probe."""
        self.probing = False

    def succeeded(self) -> None:
        """The endpoint answered, be it with an error of the caller's."""
        self.failures, self._openings = 0, 0
        self.open_until_s, self.down_since_s, self.probing = None, None, False

    def failed(self, now_s: float) -> None:
        """The endpoint seems to be down."""
        self.failures += 1
        if self.probing or (self.open_until_s is None and self.failures >= FAILURES):
            self._openings += 1
            self.open_until_s = now_s + PAUSE.wait_s(self._openings, self.rng)
            if self.down_since_s is None:
                self.down_since_s = now_s
            self.probing = False
