"""One round of the planner: requests and results in, states and cases out. Pure.

In this order:

1. Apply the requests to their runs.
2. Count the results into theirs.
3. Plan runs that were not planned yet.
4. Release cases of runs that are running.
5. Move runs whose cases have all ended to their last state.
6. Forget runs that ended long ago.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice

from agents.evaluation.planner.commands import apply
from agents.evaluation.planner.counting import count, failed, is_over, settle
from agents.evaluation.planner.plan import Plan, RunImpossible, check, plan
from agents.evaluation.planner.release import Limits, Sources, release
from agents.evaluation.planner.supply import Supply
from schemas.evaluations import CaseResult, EvaluationCase, EvaluationRequest, EvaluationRun
from sinks.migrate import ROWS_DAYS
from streams.registry_view import RegistrySnapshot

PLANNING_PATIENCE_S = 60.0
"""How long a run waits for a dataset whose cases are not there."""

KEPT_DAYS = ROWS_DAYS
"""How long a run is kept after its end: as long as ClickHouse keeps its results (the TTL of
case_results). Its row of evaluation_runs stays."""
FORGOTTEN_MAX = 100
"""In one round."""

Runs = Mapping[str, EvaluationRun]


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a round looks at: requests and results in the order in which they came."""

    requests: Sequence[EvaluationRequest]
    results: Sequence[CaseResult]
    registry: RegistrySnapshot
    supply: Supply
    limits: Limits


@dataclass(frozen=True, slots=True)
class Outputs:
    """What a round writes. `results`: of cases that cannot be executed. `forgotten`: runs that are
    none any more."""

    runs: tuple[EvaluationRun, ...]
    cases: tuple[EvaluationCase, ...]
    results: tuple[CaseResult, ...]
    forgotten: tuple[EvaluationRun, ...] = ()


def advance(before: Runs, inputs: Inputs, now: datetime) -> Outputs:
    """The runs that changed are new values; `before` stays as it is."""
    runs = _Changing(before)
    for request in inputs.requests:  # 1
        changed = apply(runs.get(request.run_id), request, now)
        if changed is not None:
            runs.put(changed)
    _count(runs, inputs, now)  # 2
    for run in runs.active():  # 3
        runs.put(_planned(run, inputs, now))
    sources = Sources(inputs.registry, inputs.supply, _Plans(inputs.registry, now).of)
    live = [_possible(run, sources, now) for run in runs.active()]
    released = release(live, sources, inputs.limits, now)  # 4
    for run in (*live, *released.runs):
        runs.put(run)
    for run in runs.active():  # 5
        runs.put(settle(run, now))
    left = runs.changed()
    forgotten = _forgotten(before, {run.run_id for run in left}, now)  # 6
    return Outputs(left, released.cases, released.results, forgotten)


def _forgotten(before: Runs, changed: Set[str], now: datetime) -> tuple[EvaluationRun, ...]:
    oldest = now - timedelta(days=KEPT_DAYS)
    old = (
        run
        for run in before.values()
        if run.finished_at is not None
        and run.finished_at < oldest
        and is_over(run)
        and run.run_id not in changed
    )
    return tuple(islice(old, FORGOTTEN_MAX))


class _Changing:
    """Runs as a round changes them."""

    def __init__(self, before: Runs) -> None:
        self._before = before
        self._now: dict[str, EvaluationRun] = {}

    def get(self, run_id: str) -> EvaluationRun | None:
        return self._now.get(run_id) or self._before.get(run_id)

    def put(self, run: EvaluationRun) -> None:
        if run is not self.get(run.run_id):
            self._now[run.run_id] = run

    def active(self) -> list[EvaluationRun]:
        """Runs that are not over, in the order of their ids: the same in every replay."""
        merged = {**self._before, **self._now}
        return sorted((r for r in merged.values() if not is_over(r)), key=lambda r: r.run_id)

    def changed(self) -> tuple[EvaluationRun, ...]:
        return tuple(run for run in self._now.values() if run != self._before.get(run.run_id))


class _Plans:
    """Each run's plan, made once a round."""

    def __init__(self, registry: RegistrySnapshot, now: datetime) -> None:
        self._registry = registry
        self._now = now
        self._made: dict[str, Plan] = {}

    def of(self, run: EvaluationRun) -> Plan:
        """Raises RunImpossible."""
        if run.run_id not in self._made:
            self._made[run.run_id] = plan(run, self._registry, self._now)
        return self._made[run.run_id]


def _count(runs: _Changing, inputs: Inputs, now: datetime) -> None:
    by_run: dict[str, list[CaseResult]] = {}
    for result in inputs.results:
        by_run.setdefault(result.run_id, []).append(result)
    for run_id, results in by_run.items():
        run = runs.get(run_id)
        if run is not None:
            runs.put(count(run, results, inputs.registry, now))


def _planned(run: EvaluationRun, inputs: Inputs, now: datetime) -> EvaluationRun:
    if run.state == "queued":
        return replace(run, state="planning", planning_at=now, updated_at=now, reason=None)
    if run.state != "planning":
        return run
    try:
        check(run.org_id, run.spec, inputs.registry, now)
        found = plan(run, inputs.registry, now)
    except RunImpossible as error:
        return failed(run, str(error), now)
    if inputs.supply.case(found.want, 0) is None:
        return _waiting(run, inputs.supply, now)
    running = replace(
        run, state="running", started_at=run.started_at or now, updated_at=now, reason=None
    )
    if run.planned:
        return _continued(running, found, now)
    each = found.want.cases * found.epochs
    return replace(
        running,
        cases=found.want.cases,
        epochs=found.epochs,
        planned=each * len(run.models),
        models=tuple(replace(model, planned=each) for model in run.models),
    )


def _continued(run: EvaluationRun, found: Plan, now: datetime) -> EvaluationRun:
    """A run that was planned before: its places must be the same."""
    if (run.cases, run.epochs) == (found.want.cases, found.epochs):
        return run
    return failed(run, "its suite or dataset is not what it was: start another run", now)


def _waiting(run: EvaluationRun, supply: Supply, now: datetime) -> EvaluationRun:
    problem = supply.problem(run.run_id)
    if problem is None:
        return run
    since = run.planning_at or run.requested_at
    if not problem.passing and (now - since).total_seconds() > PLANNING_PATIENCE_S:
        return failed(run, problem.text, now)
    reason = f"waits for its cases: {problem.text}"
    return run if run.reason == reason else replace(run, reason=reason, updated_at=now)


def _possible(run: EvaluationRun, sources: Sources, now: datetime) -> EvaluationRun:
    """The run; failed, when what it is made of was deleted meanwhile."""
    if run.state != "running":
        return run
    try:
        sources.plan(run)
    except RunImpossible as error:
        return failed(run, str(error), now)
    return run
