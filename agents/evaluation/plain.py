"""Runs and their reports as plain data, for JSON. Pure."""

from dataclasses import asdict
from typing import Any

from agents.evaluation.prices import known_usd
from agents.evaluation.report import Report
from schemas.evaluations import EvaluationRun

INTERNAL = ("outstanding", "failed_places", "again_places", "command_ids", "counted_at")
"""What only the planner needs."""


def plain_run(run: EvaluationRun) -> dict[str, Any]:
    """A run's state, counts, rate, ETA and cost so far. Times are datetimes; money is in USD.

    `cost_usd` None: not known; with `unpriced` results the cost is at least that.
    """
    found = {name: value for name, value in asdict(run).items() if name not in INTERNAL}
    found["unpriced"] = run.unpriced
    for costing in (found, *found["models"]):
        costing["cost_usd"] = known_usd(costing.pop("cost_nanos"), costing["unpriced"])
    return {**found, "outstanding": len(run.outstanding), "eta_s": run.eta_s}


def plain_report(report: Report) -> dict[str, Any]:
    """An estimate is value, lower and upper; a missing one has its reason instead."""
    return {
        "run": plain_run(report.run),
        "stored": report.stored,
        "models": [asdict(model) for model in report.models],
        "comparisons": [asdict(each) for each in report.comparisons],
        "rankings": [asdict(each) for each in report.rankings],
        "worst": [asdict(case) for case in report.worst],
    }
