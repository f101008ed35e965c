"""Is traffic split by the weights? Calls by arm and pane of event time, until a pane is complete.

A call's event arrives when it ends, its event time is when it began: the newest panes lack calls of
a slower arm. Evidence counts panes that are complete only, and so compares the arms over the same
stretch of time, whether traffic begins, runs, jumps or stops.

A pane is complete when its end lies a grace behind the newest pane that is busy:

    grace      GRACE_FACTOR times the slowest call of any arm so far, at least GRACE_MIN_MS, at most
               GRACE_MAX_MS; at least SILENCE_MS while an arm has no call in the last GRACE_MIN_MS,
               since what is not seen yet may be slow
    busy       with at least BUSY of the calls of the busiest pane: producers whose clocks are ahead
               (by up to MAX_AHEAD_MS) do not make time pass

Which panes are complete follows from all calls together, not from their order. Panes are kept by
themselves until no grace can reach them (KEPT_MS), then they are added up. A call that comes later
still enters, with whatever pane it is in.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from schemas.reasons import MAX_AHEAD_MS
from streams.partials import PANE_MS
from streams.statistics import srm

GRACE_MIN_MS = 60_000
GRACE_MAX_MS = 900_000
GRACE_FACTOR = 2.0
"""A latency is only known once a call ended: the slowest so far says little of those under way."""
SILENCE_MS = 300_000
SETTLING_MS = 60_000
"""Producers take new weights, or a resumed test, one after the other; calls until then are mixed.
"""
BUSY = 0.25
KEPT_MS = GRACE_MAX_MS + MAX_AHEAD_MS + PANE_MS

Calls = Mapping[str, int]
"""Calls by arm."""


@dataclass(frozen=True, slots=True)
class Split:
    """Calls by arm since the weights are what they are, to be compared with the weights.

    `counts`: of panes that are added up. `panes`: of later ones, by their start in ms since 1970.
    `slowest_ms`: the longest latency of a call so far. `carried`: log evidence against earlier
    weights; evidence of successive stretches multiplies and stays evidence, so a change of weights
    neither loses nor fakes a mismatch. `since_ms`: panes up to this one belong to what was before,
    and so count for neither. `paused`: the test was not running when it was last looked at.
    """

    weights: tuple[tuple[str, float], ...] = ()
    counts: Calls = field(default_factory=dict)
    carried: float = 0.0
    panes: Mapping[int, Calls] = field(default_factory=dict)
    slowest_ms: float = 0.0
    since_ms: int | None = None
    paused: bool = False

    def under(self, weights: tuple[tuple[str, float], ...], newest_ms: int) -> "Split":
        """The split when these weights hold from now on, and calls up to `newest_ms` are known."""
        if weights == self.weights and not self.paused:
            return self
        if not self.weights:
            return replace(self, weights=weights)
        return Split(
            weights,
            carried=self.log_e_value() or 0.0,
            slowest_ms=self.slowest_ms,
            since_ms=max(newest_ms, *self.panes, self.since_ms or newest_ms) + SETTLING_MS,
        )

    def pause(self) -> "Split":
        """While a test is paused nothing is counted: calls that are under way will be missing."""
        return self if self.paused or not self.weights else replace(self, paused=True)

    def add(self, calls: Mapping[int, Calls], slowest_ms: float) -> "Split":
        """With more calls, by pane. Commutative and associative while the weights hold."""
        arms = [arm for arm, _ in self.weights]
        panes = dict(self.panes)
        for pane, more in calls.items():
            if self.since_ms is None or pane > self.since_ms:
                panes[pane] = _added(arms, panes.get(pane, {}), more)
        old = [pane for pane in panes if pane <= max(panes) - KEPT_MS]
        counts = _added(arms, self.counts, *(panes.pop(pane) for pane in sorted(old)))
        slowest_ms = max(self.slowest_ms, slowest_ms)
        return replace(self, counts=counts, panes=panes, slowest_ms=slowest_ms)

    def complete(self) -> Calls:
        """Calls of complete panes."""
        arms = [arm for arm, _ in self.weights]
        if not self.panes:
            return self.counts
        sizes = {pane: sum(calls.values()) for pane, calls in self.panes.items()}
        least = BUSY * max(sizes.values())
        now_ms = max(pane for pane, size in sizes.items() if size >= least)
        end_ms = now_ms - self._grace_ms(now_ms) - PANE_MS
        done = (calls for pane, calls in self.panes.items() if pane <= end_ms)
        return _added(arms, self.counts, *done)

    def log_e_value(self) -> float | None:
        """log of the evidence that traffic is not split by the weights; None: nothing complete."""
        calls = self.complete()
        if not any(calls.values()):
            return self.carried or None
        total = sum(weight for _, weight in self.weights)
        counts = [calls.get(arm, 0) for arm, _ in self.weights]
        return self.carried + srm.log_e_value(counts, [w / total for _, w in self.weights])

    def _grace_ms(self, now_ms: int) -> float:
        grace_ms = max(GRACE_MIN_MS, GRACE_FACTOR * self.slowest_ms)
        heard = {
            arm
            for pane, calls in self.panes.items()
            if pane >= now_ms - GRACE_MIN_MS
            for arm, count in calls.items()
            if count
        }
        if any(arm not in heard for arm, _ in self.weights):
            grace_ms = max(grace_ms, SILENCE_MS)
        return min(grace_ms, GRACE_MAX_MS)


def _added(arms: list[str], *parts: Calls) -> dict[str, int]:
    return {arm: sum(part.get(arm, 0) for part in parts) for arm in arms}


def dump_split(split: Split) -> dict[str, Any]:
    """As JSON values. A pane is [its start, calls of each arm in the order of the weights]."""
    arms = [arm for arm, _ in split.weights]
    return {
        "weights": [list(pair) for pair in split.weights],
        "counts": dict(sorted(split.counts.items())),
        "carried": split.carried,
        "panes": [
            [pane, *(calls.get(arm, 0) for arm in arms)]
            for pane, calls in sorted(split.panes.items())
        ],
        "slowest_ms": split.slowest_ms,
        "since_ms": split.since_ms,
        "paused": split.paused,
    }


def load_split(value: Mapping[str, Any]) -> Split:
    """The inverse of `dump_split`. Dumps from before panes were kept apart count as complete."""
    weights = tuple((arm, weight) for arm, weight in value["weights"])
    return Split(
        weights,
        value["counts"],
        value["carried"],
        {
            pane: {arm: n for (arm, _), n in zip(weights, counts, strict=True)}
            for pane, *counts in value.get("panes", ())
        },
        value.get("slowest_ms", 0.0),
        value.get("since_ms"),
        value.get("paused", False),
    )
