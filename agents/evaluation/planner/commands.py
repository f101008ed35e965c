"""What requests do to runs. Pure. Whatever is repeated, or does not apply, changes nothing."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime

from agents.evaluation.planner.places import PlaceSet
from schemas.evaluations import (
    EvaluationRequest,
    EvaluationRun,
    ModelProgress,
    RunAction,
    RunState,
)

COMMANDS_KEPT = 100
"""Of each run; an older command that is repeated is taken for a new one."""
ENDED = frozenset[RunState]({"completed", "failed", "cancelled"})
WAITING = frozenset[RunState]({"queued", "planning", "running"})


def apply(
    run: EvaluationRun | None, request: EvaluationRequest, now: datetime
) -> EvaluationRun | None:
    """The run after the request; None: there is none."""
    if run is None:
        return _started(request, now) if request.action == "start" else None
    if run.org_id != request.org_id or request.command_id in run.command_ids:
        return run
    changed = run if request.action == "start" else _ACTIONS[request.action](run, request)
    commands = (*run.command_ids, request.command_id)[-COMMANDS_KEPT:]
    return replace(changed, command_ids=commands, updated_at=now)


def _started(request: EvaluationRequest, now: datetime) -> EvaluationRun | None:
    spec = request.spec
    if spec is None:
        return None
    return EvaluationRun(
        run_id=request.run_id,
        org_id=request.org_id,
        state="queued",
        spec=spec,
        requested_by=request.requested_by,
        requested_at=request.requested_at,
        updated_at=now,
        models=tuple(ModelProgress(m.model_id, m.model_version) for m in spec.models),
        command_ids=(request.command_id,),
    )


def _cancelled(run: EvaluationRun, _: EvaluationRequest) -> EvaluationRun:
    if run.state in ENDED or run.state == "cancelling":
        return run
    return replace(run, state="cancelling", reason=None)


def _paused(run: EvaluationRun, _: EvaluationRequest) -> EvaluationRun:
    return replace(run, state="paused", reason=None) if run.state in WAITING else run


def _resumed(run: EvaluationRun, request: EvaluationRequest) -> EvaluationRun:
    if run.state != "paused":
        return run
    # A run that was not planned yet has all its time again to wait for its dataset.
    return replace(_with_budget(run, request), state="queued")


def _retried(run: EvaluationRun, request: EvaluationRequest) -> EvaluationRun:
    if run.state not in ENDED:
        return run
    if not run.planned:
        fresh = replace(run, state="queued", finished_at=None, reason=None)
        return _with_budget(fresh, request)
    failed = PlaceSet.from_bytes(run.failed_places)
    again = PlaceSet.from_bytes(run.again_places).union(failed)
    if not again and run.released == run.planned:
        return run
    return replace(
        _with_budget(run, request),
        # Runners learn that it goes on before they see its cases.
        state="queued",
        finished_at=None,
        reason=None,
        rate_per_s=None,
        counted_at=None,
        finished=run.finished - len(failed),
        errors=run.errors - len(failed),
        failed_places=b"",
        again_places=again.to_bytes(),
        models=tuple(replace(m, finished=m.finished - m.errors, errors=0) for m in run.models),
    )


def _with_budget(run: EvaluationRun, request: EvaluationRequest) -> EvaluationRun:
    if request.budget_usd is None:
        return run
    return replace(run, spec=replace(run.spec, budget_usd=request.budget_usd))


_ACTIONS: Mapping[RunAction, Callable[[EvaluationRun, EvaluationRequest], EvaluationRun]] = {
    "cancel": _cancelled,
    "pause": _paused,
    "resume": _resumed,
    "retry": _retried,
}
