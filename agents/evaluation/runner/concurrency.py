"""How many calls of a model are made at a time: additive growth, halved when told to slow. Pure.

Source: D.-M. Chiu, R. Jain, "Analysis of the Increase and Decrease Algorithms for Congestion
Avoidance in Computer Networks", 1989.
"""

from dataclasses import dataclass

FIRST = 8.0
CEILING = 256.0


@dataclass(slots=True)
class Concurrency:
    """One more a round of calls while all places are in use; half at 429 and overload.

    Every call that was under way at a halving may say the same: they count as one signal.
    """

    limit: float = FIRST
    ceiling: float = CEILING
    _halved_at_s: float = float("-inf")

    @property
    def places(self) -> int:
        """Calls at a time, at least one."""
        return max(1, int(self.limit))

    def succeeded(self, running: int) -> None:
        """`running`: calls under way, the one that ended included."""
        if running >= self.places:
            self.limit = min(self.ceiling, self.limit + 1 / self.limit)

    def slow_down(self, began_s: float, now_s: float) -> None:
        """The endpoint turned away a call that began then."""
        if began_s >= self._halved_at_s:
            self.limit = max(1.0, self.limit / 2)
            self._halved_at_s = now_s
