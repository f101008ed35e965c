"""What stands below the tables of a report: costs that are not known, judges, errors."""

from collections.abc import Iterator, Mapping, Sequence

from rich.text import Text

from agents.evaluation.report import ModelReport
from infra.evaluation_cost import cost_of
from sinks.run_results import ErrorExample, ModelTotals

EXAMPLE_CHARS = 300


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
        yield Text(f"errors of {name}:")
        yield from _errors(model.totals.errors, model.error_examples)


def _errors(counts: Mapping[str, int], examples: Sequence[ErrorExample]) -> Iterator[Text]:
    """Each error_type, the most frequent first, with what one case was told."""
    told = {example.error_type: example for example in examples}
    for error_type, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        example = told.get(error_type)
        why = "" if example is None else f"  such as {example.case_id}: {_line(example.text)}"
        yield Text(f"  {error_type} {count:,}{why}")


def _line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= EXAMPLE_CHARS else line[: EXAMPLE_CHARS - 1] + "…"


def _judges(totals: ModelTotals) -> str:
    unpriced = totals.judge_unpriced
    known = totals.judge_cost_usd if not unpriced else totals.judge_cost_usd or None
    return f"{totals.judge_calls:,} calls of judges, {cost_of(known, unpriced)} of its cost"
