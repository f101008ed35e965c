"""What stands below the tables of a report: costs that are not known, judges, errors."""

from collections.abc import Iterator

from rich.text import Text

from agents.evaluation.report import ModelReport
from infra.evaluation_cost import cost_of
from sinks.run_results import ModelTotals


def notes(model: ModelReport) -> Iterator[Text]:
    """Lines about a model."""
    name = f"{model.model_id} {model.model_version}"
    if model.unpriced:
        known = cost_of(model.cost_usd, model.unpriced)
        text = f"cost of {name}: {known}"
        yield Text(text, style="yellow")
    if model.totals is not None and model.totals.judge_calls:
        yield Text(f"{name}: {_judges(model.totals)}")
    if model.totals is not None and model.totals.errors:
        kinds = ", ".join(f"{kind} {n:,}" for kind, n in sorted(model.totals.errors.items()))
        yield Text(f"errors of {name}: {kinds}")


def _judges(totals: ModelTotals) -> str:
    unpriced = totals.judge_unpriced
    known = totals.judge_cost_usd if not unpriced else totals.judge_cost_usd or None
    return f"{totals.judge_calls:,} calls of judges, {cost_of(known, unpriced)} of its cost"
