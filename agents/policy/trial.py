"""The state of one A/B test: exact sums by arm and metric, the split of traffic, the decision.

A value that adds up: the same rows in any order, in any messages, give the same sums to the last
bit. What it remembers beside sums is what was decided.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal, NamedTuple

import polars as pl

from schemas.entities import AbTest
from streams.statistics import srm
from streams.statistics.sums import Sums, dump, load

COUNTED = "error"
"""Every call has this metric, so its n counts the calls of an arm."""
NANO_PER_USD = 1_000_000_000


class Cell(NamedTuple):
    """One metric of one arm."""

    arm: str
    metric: str


@dataclass(frozen=True, slots=True)
class Split:
    """Calls by arm since the weights are what they are, to be compared with the weights.

    `carried`: log evidence against earlier weights. Evidence of successive stretches multiplies and
    stays evidence, so a change of weights neither loses nor fakes a mismatch.
    """

    weights: tuple[tuple[str, float], ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    carried: float = 0.0

    def under(self, weights: tuple[tuple[str, float], ...]) -> "Split":
        """The split when these weights hold from now on."""
        if weights == self.weights:
            return self
        return Split(weights, {}, self.log_e_value())

    def add(self, calls: Mapping[str, int]) -> "Split":
        """With more calls of arms that have a weight."""
        counts = {arm: self.counts.get(arm, 0) + calls.get(arm, 0) for arm, _ in self.weights}
        return replace(self, counts=counts)

    def log_e_value(self) -> float:
        """log of the evidence that traffic is not split by the weights."""
        if not any(self.counts.values()):
            return self.carried
        total = sum(weight for _, weight in self.weights)
        counts = [self.counts.get(arm, 0) for arm, _ in self.weights]
        return self.carried + srm.log_e_value(counts, [w / total for _, w in self.weights])


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided, for good. `winner`: an arm; None unless `kind` is 'winner'."""

    kind: Literal["winner", "no_difference", "invalid"]
    winner: str | None
    text: str
    decided_at: datetime


@dataclass(frozen=True, slots=True)
class Trial:
    """The state of one test. Zero: Trial()."""

    sums: Mapping[Cell, Sums] = field(default_factory=dict)
    split: Split = Split()
    decision: Decision | None = None

    def of(self, arm: str, metric: str) -> Sums:
        return self.sums.get(Cell(arm, metric), Sums())

    def calls(self, arm: str) -> int:
        return self.of(arm, COUNTED).n


def add(trial: Trial, test: AbTest, rows: pl.DataFrame) -> Trial:
    """With tidy partial rows of this test; arms and metrics that it does not have are left out."""
    arms = {arm.arm for arm in test.arms}
    metrics = {COUNTED, *(goal.metric for goal in test.metrics)}
    sums = dict(trial.sums)
    calls: dict[str, int] = {}
    columns = ("arm", "metric", "n", "total", "total_sq", "minimum", "maximum", "total_nanos")
    # Column by column: a select costs more than all the additions.
    values = zip(*(rows[name].to_list() for name in columns), strict=True)
    for arm, metric, n, total, total_sq, minimum, maximum, nanos in values:
        if arm not in arms or metric not in metrics or n == 0:
            continue
        # Money is exact in nano-dollars; the floating total is not.
        exact = nanos / NANO_PER_USD if metric == "cost_usd" else total
        cell = Cell(arm, metric)
        row = Sums.of_row(n, exact, total_sq, minimum, maximum)
        sums[cell] = sums[cell] + row if cell in sums else row
        if metric == COUNTED:
            calls[arm] = calls.get(arm, 0) + n
    weights = tuple((arm.arm, arm.weight) for arm in test.arms)
    return replace(trial, sums=sums, split=trial.split.under(weights).add(calls))


def dump_trial(trial: Trial) -> dict[str, Any]:
    """As JSON values, exactly."""
    decision = trial.decision
    return {
        "sums": [[*cell, *dump(sums)] for cell, sums in sorted(trial.sums.items())],
        "split": {
            "weights": [list(pair) for pair in trial.split.weights],
            "counts": dict(sorted(trial.split.counts.items())),
            "carried": trial.split.carried,
        },
        "decision": None
        if decision is None
        else {
            "kind": decision.kind,
            "winner": decision.winner,
            "text": decision.text,
            "decided_at": decision.decided_at.isoformat(),
        },
    }


def load_trial(value: Mapping[str, Any]) -> Trial:
    """The inverse of `dump_trial`."""
    split, decision = value["split"], value["decision"]
    return Trial(
        sums={Cell(arm, metric): load(sums) for arm, metric, *sums in value["sums"]},
        split=Split(
            tuple((arm, weight) for arm, weight in split["weights"]),
            split["counts"],
            split["carried"],
        ),
        decision=None
        if decision is None
        else Decision(
            decision["kind"],
            decision["winner"],
            decision["text"],
            datetime.fromisoformat(decision["decided_at"]),
        ),
    )
