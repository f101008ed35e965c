"""Results counted into their runs, each place once. Pure.

A result counts only for a place that is outstanding, and takes it from there: a result that comes a
second time, or that nobody asked for, counts nothing.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from agents.evaluation.planner.commands import ENDED
from agents.evaluation.planner.places import PlaceSet, place_at
from agents.evaluation.planner.plan import model_of
from agents.evaluation.prices import cost_nanos, judge_nanos
from schemas.evaluations import (
    CaseResult,
    EvaluationRun,
    ModelProgress,
    OutstandingCase,
    RunModel,
)
from streams.registry_view import RegistrySnapshot

RATE_S = 10.0
"""Over about how long the rate is a mean."""
CANCEL_PATIENCE_S = 15.0
"""How long a cancelled run waits for runners to say that they dropped its cases."""

_Key = tuple[str, int, str, str]


@dataclass(slots=True)
class _Tally:
    """Counts of one model, as they grow."""

    finished: int = 0
    passed: int = 0
    errors: int = 0
    cost_nanos: int = 0
    unpriced: int = 0


def count(
    run: EvaluationRun, results: Sequence[CaseResult], registry: RegistrySnapshot, now: datetime
) -> EvaluationRun:
    """The run after these results of it; the same run when none of them counts."""
    waiting = {_key(run, each): each for each in run.outstanding}
    failed = PlaceSet.from_bytes(run.failed_places)
    tallies = [_Tally() for _ in run.models]
    for result in results:
        key = (result.case_id, result.epoch, result.model_id, result.model_version)
        found = waiting.pop(key, None) if result.org_id == run.org_id else None
        if found is None:
            continue
        tally = tallies[place_at(found.place, run.cases, len(run.models)).model]
        tally.finished += 1
        tally.passed += result.passed is True
        model = model_of(run.org_id, RunModel(result.model_id, result.model_version), registry)
        costs = (cost_nanos(result, model), judge_nanos(result))
        tally.cost_nanos += sum(cost for cost in costs if cost is not None)
        tally.unpriced += None in costs
        if result.error_type is not None:
            tally.errors += 1
            failed = failed.having(found.place)
    counted = sum(t.finished for t in tallies)
    if not counted:
        return run
    return replace(
        run,
        finished=run.finished + counted,
        passed=run.passed + sum(t.passed for t in tallies),
        errors=run.errors + sum(t.errors for t in tallies),
        cost_nanos=run.cost_nanos + sum(t.cost_nanos for t in tallies),
        models=tuple(_added(m, t) for m, t in zip(run.models, tallies, strict=True)),
        outstanding=tuple(waiting.values()),
        failed_places=failed.to_bytes(),
        rate_per_s=_rate(run, counted, now),
        counted_at=now,
        updated_at=now,
    )


def settle(run: EvaluationRun, now: datetime) -> EvaluationRun:
    """The run in the state that follows from its counts."""
    if run.state == "cancelling":
        late = (now - run.updated_at).total_seconds() > CANCEL_PATIENCE_S
        if not run.outstanding or late:
            left = len(run.outstanding)
            reason = f"{left} cases were with a runner that did not answer" if left else None
            return _ended(replace(run, state="cancelled", reason=reason), now)
    if run.state == "running" and run.planned and run.finished == run.planned:
        return _ended(replace(run, state="completed", reason=None), now)
    return run


def failed(run: EvaluationRun, reason: str, now: datetime) -> EvaluationRun:
    """The run, ended for this reason."""
    return _ended(replace(run, state="failed", reason=reason), now)


def is_over(run: EvaluationRun) -> bool:
    """Whether nothing happens to the run by itself any more."""
    return run.state in ENDED


def _ended(run: EvaluationRun, now: datetime) -> EvaluationRun:
    return replace(run, finished_at=now, updated_at=now)


def _key(run: EvaluationRun, each: OutstandingCase) -> _Key:
    place = place_at(each.place, run.cases, len(run.models))
    model = run.models[place.model]
    return each.case_id, place.epoch, model.model_id, model.model_version


def _added(model: ModelProgress, tally: _Tally) -> ModelProgress:
    return replace(
        model,
        finished=model.finished + tally.finished,
        passed=model.passed + tally.passed,
        errors=model.errors + tally.errors,
        cost_nanos=model.cost_nanos + tally.cost_nanos,
        unpriced=model.unpriced + tally.unpriced,
    )


def _rate(run: EvaluationRun, counted: int, now: datetime) -> float | None:
    """A mean of the rate that forgets: exponentially, with RATE_S as its time constant."""
    since = run.counted_at or run.started_at or run.updated_at
    span_s = (now - since).total_seconds()
    if span_s <= 0:
        return run.rate_per_s
    rate = counted / span_s
    if run.rate_per_s is None:
        return rate
    share = 1 - math.exp(-span_s / RATE_S)
    return run.rate_per_s + share * (rate - run.rate_per_s)
