"""Which cases go to runners now: a window at a time, shared fairly. Pure.

Organisations with cases to release take turns so that each has the same number outstanding, by its
weight; of an organisation's runs the one with the highest priority goes first, and runs of equal
priority share. A run with a budget releases a case only while its cost so far, the most that its
outstanding cases can cost and the most that this one can cost stay within it.
"""

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from agents.evaluation.planner.cases import Made, made
from agents.evaluation.planner.counting import failed
from agents.evaluation.planner.places import PlaceSet, place_at
from agents.evaluation.planner.plan import Plan, cost_unknown
from agents.evaluation.planner.supply import Supply
from agents.evaluation.prices import NANOS_PER_USD
from schemas.evaluations import (
    CaseResult,
    EvaluationCase,
    EvaluationRun,
    OutstandingCase,
)
from streams.registry_view import RegistrySnapshot


@dataclass(frozen=True, slots=True)
class Limits:
    """How many cases may be with runners, of a run and in total, and go there in one round. Those
    of paused runs do not count: in total there may be more for a while after one is resumed.

    `weights`: of organisations; 1 unless named.
    """

    run_outstanding: int = 512
    outstanding: int = 4096
    round_cases: int = 1000
    weights: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Released:
    """Runs that changed, cases for runners, and results of cases that cannot be executed."""

    runs: tuple[EvaluationRun, ...]
    cases: tuple[EvaluationCase, ...]
    results: tuple[CaseResult, ...]


@dataclass(frozen=True, slots=True)
class Sources:
    """What cases are made from."""

    registry: RegistrySnapshot
    supply: Supply
    plan: Callable[[EvaluationRun], Plan]


def release(
    runs: Sequence[EvaluationRun], sources: Sources, limits: Limits, now: datetime
) -> Released:
    """`runs`: every run that has cases outstanding or to release."""
    counts: dict[str, int] = {}
    for run in runs:
        # Nobody is called for a paused run: it must not keep others waiting.
        held = 0 if run.state == "paused" else len(run.outstanding)
        counts[run.org_id] = counts.get(run.org_id, 0) + held
    lines: dict[str, list[_Line]] = {}
    for run in runs:
        if run.state == "running" and _next(run) is not None:
            lines.setdefault(run.org_id, []).append(_Line(run, sources, now))
    for waiting in lines.values():
        heapq.heapify(waiting)
    turns = [(_share(org, counts, limits), org) for org in lines]
    heapq.heapify(turns)
    room = min(limits.round_cases, limits.outstanding - sum(counts.values()))
    ended: list[_Line] = []
    while room > 0 and turns:
        _, org = heapq.heappop(turns)
        line = heapq.heappop(lines[org])
        if line.advance(limits):
            room -= 1
            counts[org] += 1
            heapq.heappush(lines[org], line)
        else:
            ended.append(line)
        if lines[org]:
            heapq.heappush(turns, (_share(org, counts, limits), org))
    ended += [line for waiting in lines.values() for line in waiting]
    made_ = [each for line in ended for each in line.made]
    return Released(
        tuple(run for line in ended if (run := line.run()) is not line.before),
        tuple(each.case for each in made_ if each.result is None),
        tuple(each.result for each in made_ if each.result is not None),
    )


def _share(org_id: str, counts: Mapping[str, int], limits: Limits) -> float:
    return counts[org_id] / limits.weights.get(org_id, 1.0)


def _next(run: EvaluationRun) -> int | None:
    """The place to release next; None: there is none."""
    if run.released < run.planned:
        return run.released
    again = PlaceSet.from_bytes(run.again_places)
    return again.lowest() if again else None


class _Line:
    """A run's cases as they are released, one after the other."""

    def __init__(self, run: EvaluationRun, sources: Sources, now: datetime) -> None:
        self.before = run
        self.made: list[Made] = []
        self._sources = sources
        self._plan = sources.plan(run)
        self._now = now
        self._released = run.released
        self._again = PlaceSet.from_bytes(run.again_places)
        self._outstanding = list(run.outstanding)
        self._bound_nanos = sum(each.bound_nanos for each in run.outstanding)
        self._by_model = [0] * len(run.models)
        self._reason: str | None = None
        self._failure: str | None = None

    def __lt__(self, other: "_Line") -> bool:
        return self._rank() < other._rank()

    def _rank(self) -> tuple[int, int, datetime, str]:
        run = self.before
        return -run.spec.priority, len(self._outstanding), run.requested_at, run.run_id

    def advance(self, limits: Limits) -> bool:
        """Releases one case. False: this is all for now."""
        run = self.before
        number = self._number()
        if number is None or len(self._outstanding) >= limits.run_outstanding:
            return False
        want = self._plan.want
        sourced = self._sources.supply.case(want, place_at(number, run.cases, len(run.models)).case)
        if sourced is None:
            problem = self._sources.supply.problem(run.run_id)
            self._reason = None if problem is None else f"waits for its cases: {problem.text}"
            return False
        each = made(run, self._plan, number, sourced, self._sources.registry, self._now)
        if not self._affordable(each):
            return False
        self._take(number, each)
        return True

    def run(self) -> EvaluationRun:
        """The run after what was released; the same when nothing changed."""
        run = self.before
        if self._failure is not None:
            return failed(self._moved(), self._failure, self._now)
        return self._moved() if self.made or self._reason != run.reason else run

    def _moved(self) -> EvaluationRun:
        return replace(
            self.before,
            released=self._released,
            again_places=self._again.to_bytes(),
            outstanding=tuple(self._outstanding),
            reason=self._reason,
            updated_at=self._now if self.made else self.before.updated_at,
            models=tuple(
                replace(model, released=model.released + more)
                for model, more in zip(self.before.models, self._by_model, strict=True)
            ),
        )

    def _number(self) -> int | None:
        if self._released < self.before.planned:
            return self._released
        return self._again.lowest() if self._again else None

    def _affordable(self, each: Made) -> bool:
        run = self.before
        if run.spec.budget_usd is None or each.bound_nanos == 0:
            return True
        if run.unpriced:
            self._failure = cost_unknown(run)
            return False
        budget = round(run.spec.budget_usd * NANOS_PER_USD)
        if each.bound_nanos is None:
            self._failure = (
                "nothing bounds what its next case costs: its model or judge has no price, the "
                "model no max_output_tokens, or `calls` of a scorer of yours fails for its fields"
            )
            return False
        if run.cost_nanos + self._bound_nanos + each.bound_nanos <= budget:
            return True
        # What is outstanding will cost less than it can: then there may be room again.
        if not self._outstanding:
            self._failure = (
                f"stopped by its budget of ${run.spec.budget_usd:g}: ${run.cost_nanos / 1e9:.6f} "
                f"are spent, and the next case may cost ${each.bound_nanos / 1e9:.6f}"
            )
        return False

    def _take(self, number: int, each: Made) -> None:
        if number == self._released:
            self._released += 1
            model = place_at(number, self.before.cases, len(self.before.models)).model
            self._by_model[model] += 1
        else:
            self._again = self._again.without(number)
        bound = each.bound_nanos or 0
        self._outstanding.append(OutstandingCase(number, each.case.case_id, bound))
        self._bound_nanos += bound
        self.made.append(each)
