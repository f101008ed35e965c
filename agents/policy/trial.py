"""The state of one A/B test: exact sums by arm and metric, the split of traffic, the decision.

A value that adds up: the same rows in any order, in any messages, give the same sums to the last
bit. What it remembers beside sums is what was decided.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal, NamedTuple

import polars as pl

from agents.policy.sources import (
    Position,
    Stretches,
    counted,
    dump_stretches,
    load_stretches,
)
from agents.policy.split import Split, dump_split, load_split
from schemas.entities import AbTest
from streams.statistics.sums import Sums, dump, load

COUNTED = "error"
"""Every call has this metric, so its n counts the calls of an arm."""
TIMED = "latency_ms"
"""Every call has this one too: how long after its beginning an event comes."""
NANO_PER_USD = 1_000_000_000
NOTHING = Sums()


class Cell(NamedTuple):
    """One metric of one arm."""

    arm: str
    metric: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided, for good. `winner`: an arm; None unless `kind` is 'winner'.

    `sources`: the records it rests on; empty of decisions from before they were kept.
    `decided_by`: a person; None: the statistics.
    """

    kind: Literal["winner", "no_difference", "invalid"]
    winner: str | None
    text: str
    decided_at: datetime
    sources: Stretches = ()
    decided_by: str | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """The state of one test. Zero: Trial().

    `first_ms`, `last_ms`: event time of the first and the last pane with a call, by their start.
    """

    sums: Mapping[Cell, Sums] = field(default_factory=dict)
    split: Split = field(default_factory=Split)
    decision: Decision | None = None
    sources: Stretches = ()
    first_ms: int | None = None
    last_ms: int | None = None

    def of(self, arm: str, metric: str) -> Sums:
        return self.sums.get(Cell(arm, metric), NOTHING)

    def calls(self, arm: str) -> int:
        return self.of(arm, COUNTED).n


def followed_metrics(test: AbTest) -> set[str]:
    """The metrics that are added up."""
    metrics = {COUNTED, *(goal.metric for goal in test.metrics)}
    if test.decision.cost_per_point_usd is not None:
        metrics |= {"cost_usd", "quality"}
    return metrics


def exact(metric: str, total: float, nanos: int) -> float:
    """The total of a partial row: money is exact in nano-dollars, its floating total is not."""
    return nanos / NANO_PER_USD if metric == "cost_usd" else total


def add(trial: Trial, test: AbTest, rows: pl.DataFrame, at: Position | None = None) -> Trial:
    """With tidy partial rows of this test; arms and metrics that it does not have are left out.

    `at`: where the rows come from; None: the trial does not remember it.
    """
    arms = {arm.arm for arm in test.arms}
    metrics = followed_metrics(test)
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
        cell = Cell(arm, metric)
        row = Sums.of_row(n, exact(metric, total, nanos), total_sq, minimum, maximum)
        sums[cell] = sums[cell] + row if cell in sums else row
        if metric == COUNTED:
            in_pane = calls.setdefault(pane, {})
            in_pane[arm] = in_pane.get(arm, 0) + n
    weights = tuple((arm.arm, arm.weight) for arm in test.arms)
    split, sources = trial.split, trial.sources
    if at is not None:
        sources = counted(sources, at, split.paused)
    if calls:
        split = split.under(weights, max(calls))
    return replace(
        trial,
        sums=sums,
        split=split.add(calls, slowest_ms),
        sources=sources,
        first_ms=min((ms for ms in (trial.first_ms, *calls) if ms is not None), default=None),
        last_ms=max((ms for ms in (trial.last_ms, *calls) if ms is not None), default=None),
    )


def dump_trial(trial: Trial) -> dict[str, Any]:
    """As JSON values, exactly."""
    decision = trial.decision
    return {
        "sums": [[*cell, *dump(sums)] for cell, sums in sorted(trial.sums.items())],
        "split": dump_split(trial.split),
        "sources": dump_stretches(trial.sources),
        "first_ms": trial.first_ms,
        "last_ms": trial.last_ms,
        "decision": None
        if decision is None
        else {
            "kind": decision.kind,
            "winner": decision.winner,
            "text": decision.text,
            "decided_at": decision.decided_at.isoformat(),
            "sources": dump_stretches(decision.sources),
            "decided_by": decision.decided_by,
        },
    }


def load_trial(value: Mapping[str, Any]) -> Trial:
    """The inverse of `dump_trial`, also of what was dumped before sources were kept."""
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
            load_stretches(decision.get("sources", ())),
            decision.get("decided_by"),
        ),
        sources=load_stretches(value.get("sources", ())),
        first_ms=value.get("first_ms"),
        last_ms=value.get("last_ms"),
    )
