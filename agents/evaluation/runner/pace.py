"""Rates that a provider allows, as buckets that fill with time. Pure; `now_s` is an argument."""

from dataclasses import dataclass

BURST_S = 5.0
"""How much of the rate may be used at once after a pause."""


@dataclass(slots=True)
class Bucket:
    """Something allowed `per_minute`. It may go into debt: a call's tokens are known afterwards."""

    per_minute: float
    level: float = -1.0
    _at_s: float = 0.0

    def wait_s(self, now_s: float) -> float:
        """How long until something may be taken; 0: now."""
        self._fill(now_s)
        return 0.0 if self.level >= 1 else (1 - self.level) * 60 / self.per_minute

    def take(self, amount: float, now_s: float) -> None:
        """Takes it; a negative amount gives back."""
        self._fill(now_s)
        self.level -= amount

    def _fill(self, now_s: float) -> None:
        full = max(1.0, self.per_minute * BURST_S / 60)
        if self._at_s == 0.0 and self.level < 0:
            self.level = full
        else:
            self.level = min(full, self.level + (now_s - self._at_s) * self.per_minute / 60)
        self._at_s = now_s
