"""A run on a terminal, from its start to an exit code."""

import sys
from contextlib import suppress
from typing import Any

import orjson
from rich.console import Console
from rich.live import Live

from agents.errors import AgentError
from agents.evaluation.plain import plain_report
from agents.evaluation.report import Report
from infra import evaluation_show
from infra.evaluation_gate import Gate
from infra.evaluations import Desk
from schemas.evaluations import EvaluationRun

console = Console()
err = Console(stderr=True)
BELOW = 2
"""Exit code when a model does not reach the threshold."""


def watched(desk: Desk, run: EvaluationRun, quiet: bool) -> tuple[EvaluationRun, bool]:
    """The run once it is over, and whether Ctrl-C ended it. A second Ctrl-C goes through."""
    try:
        return _follow(desk, run, quiet), False
    except KeyboardInterrupt:
        err.print("cancelling the run; Ctrl-C again leaves at once", highlight=False)
        with suppress(AgentError):  # it may have ended meanwhile
            desk.cancel(run)
        return _follow(desk, run, quiet), True


def _follow(desk: Desk, run: EvaluationRun, quiet: bool) -> EvaluationRun:
    if quiet or not err.is_terminal:
        last = ""
        for now in desk.follow(run):
            if not quiet and now.state != last:
                err.print(evaluation_show.line(now), highlight=False, markup=False)
            run, last = now, now.state
        return run
    with Live(evaluation_show.progress(run), console=err, refresh_per_second=4) as live:
        for now in desk.follow(run):
            live.update(evaluation_show.progress(now))
            run = now
    return run


def show(report: Report, as_json: bool) -> None:
    """On stdout."""
    if as_json:
        print_json(plain_report(report))
    else:
        evaluation_show.show(report, console)


def verdict(report: Report, gate: Gate | None) -> int:
    """The exit code, with what speaks against 0 said on stderr."""
    run = report.run
    if run.state != "completed":
        err.print(f"the run is {run.state}: {run.reason or 'on request'}", highlight=False)
        return 1
    if gate is None:
        return 0
    metric, threshold = gate.metric, gate.threshold
    below = False
    for model in report.models:
        value = evaluation_show.value_of(model, metric)
        if value is None:
            known = ", ".join(evaluation_show.measured(model)) or "none"
            text = f"{model.model_id} has no value of {metric}; it has {known}: set --metric"
            err.print(text, highlight=False, markup=False)
        elif value < threshold:
            text = f"{model.model_id}: {metric} {value:.4f} is below {threshold:g}"
            err.print(text, highlight=False, markup=False)
        below |= value is None or value < threshold
    return BELOW if below else 0


def print_json(value: Any) -> None:
    """On stdout."""
    sys.stdout.write(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode() + "\n")
