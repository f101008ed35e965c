"""Runs and their reports as plain data, for JSON. Pure."""

from dataclasses import asdict
from typing import Any

from agents.evaluation.prices import NANOS_PER_USD
from agents.evaluation.report import Report
from schemas.evaluations import EvaluationRun

INTERNAL = ("outstanding", "failed_places", "again_places", "command_ids", "counted_at")
"""What only the planner needs."""


def plain_run(run: EvaluationRun) -> dict[str, Any]:
    """A run's state, counts, rate, ETA and cost so far. Times are datetimes; money is in USD."""
    found = {name: value for name, value in asdict(run).items() if name not in INTERNAL}
    found["cost_usd"] = found.pop("cost_nanos") / NANOS_PER_USD
    for model in found["models"]:
        model["cost_usd"] = model.pop("cost_nanos") / NANOS_PER_USD
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
