"""The state of one A/B test: exact sums by arm and metric, the split of traffic, the decision.

A value that adds up: the same rows in any order, in any messages, give the same sums to the last
bit. What it remembers beside sums is what was decided.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal, NamedTuple

import polars as pl

from agents.policy.split import Split, dump_split, load_split
from schemas.entities import AbTest
from streams.statistics.sums import Sums, dump, load

COUNTED = "error"
"""Every call has this metric, so its n counts the calls of an arm."""
TIMED = "latency_ms"
"""Every call has this one too: how long after its beginning an event comes."""
NANO_PER_USD = 1_000_000_000


class Cell(NamedTuple):
    """One metric of one arm."""

    arm: str
    metric: str


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
    split: Split = field(default_factory=Split)
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
    calls: dict[int, dict[str, int]] = {}
    slowest_ms = 0.0
    columns = ("arm", "metric", "n", "total", "total_sq", "minimum", "maximum", "total_nanos")
    # Column by column: a select costs more than all the additions.
    listed = [rows[name].to_list() for name in columns]
    panes = rows["pane"].to_physical().to_list()
    for pane, arm, metric, n, total, total_sq, minimum, maximum, nanos in zip(
        panes, *listed, strict=True
    ):
        if arm not in arms or n == 0:
            continue
        if metric == TIMED:
            slowest_ms = max(slowest_ms, maximum)
        if metric not in metrics:
            continue
        # Money is exact in nano-dollars; the floating total is not.
        exact = nanos / NANO_PER_USD if metric == "cost_usd" else total
        cell = Cell(arm, metric)
        row = Sums.of_row(n, exact, total_sq, minimum, maximum)
        sums[cell] = sums[cell] + row if cell in sums else row
        if metric == COUNTED:
            in_pane = calls.setdefault(pane, {})
            in_pane[arm] = in_pane.get(arm, 0) + n
    weights = tuple((arm.arm, arm.weight) for arm in test.arms)
    split = trial.split
    if calls:
        split = split.under(weights, max(calls))
    return replace(trial, sums=sums, split=split.add(calls, slowest_ms))


def dump_trial(trial: Trial) -> dict[str, Any]:
    """As JSON values, exactly."""
    decision = trial.decision
    return {
        "sums": [[*cell, *dump(sums)] for cell, sums in sorted(trial.sums.items())],
        "split": dump_split(trial.split),
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
        split=load_split(split),
        decision=None
        if decision is None
        else Decision(
            decision["kind"],
            decision["winner"],
            decision["text"],
            datetime.fromisoformat(decision["decided_at"]),
        ),
    )
