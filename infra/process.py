"""A supervised child: what it is, and when it may be started again. Pure; `now` is an argument."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """What to run. `needs`: names that must be ready before it starts."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    needs: Sequence[str] = ()
    grace_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits 0.5 s, 1 s, 2 s ... 30 s between starts; forgets failures after a minute's life."""

    failures: int = 0
    start_at_s: float = 0.0
    first_s: float = 0.5
    longest_s: float = 30.0
    settled_s: float = 60.0

    def died(self, started_s: float, now_s: float) -> Self:
        """The state after a death now of a child started then."""
        failures = 1 if now_s - started_s >= self.settled_s else self.failures + 1
        wait_s = min(self.longest_s, self.first_s * 2 ** (failures - 1))
        return replace(self, failures=failures, start_at_s=now_s + wait_s)

    def may_start(self, now_s: float) -> bool:
        """Whether the wait is over."""
        return now_s >= self.start_at_s


def scaled(name: str, count: int) -> list[str]:
    """Names of several of one: streams, streams-2, streams-3."""
    return [name if i == 1 else f"{name}-{i}" for i in range(1, count + 1)]
