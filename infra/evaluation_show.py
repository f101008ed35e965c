"""Runs and reports on a terminal."""

from collections.abc import Iterable, Sequence

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from agents.evaluation.aggregate import Summary
from agents.evaluation.intervals import Interval, MeanResult, NoInterval
from agents.evaluation.outcome import SCORE
from agents.evaluation.report import ModelReport, Report
from infra.evaluation_cost import cost, cost_of, so_far
from infra.evaluation_labels import labels
from infra.evaluation_notes import notes
from infra.evaluation_ranking import ranking
from infra.tables import whole
from schemas.evaluations import CaseResult, EvaluationRun
from streams.statistics.estimates import Estimate, NoEstimate

OUTPUT_CHARS = 400
ID_CHARS = 8
"""Of a run's id: as many as tell runs apart, and commands take."""


def progress(run: EvaluationRun) -> RenderableType:
    """One run as it goes: a bar, counts, rate, time left, cost, and its models."""
    head = Table.grid(padding=(0, 1))
    bar = ProgressBar(total=max(1, run.planned), completed=run.finished, width=40)
    head.add_row(Text(run.state, style=_STYLES.get(run.state, "")), bar, Text(_counts(run)))
    rows: list[RenderableType] = [head]
    if run.reason:
        rows.append(Text(f"  {run.reason}", style="yellow"))
    if run.planned:
        table = Table.grid(padding=(0, 2))
        for model in run.models:
            table.add_row(
                f"  {escape(model.model_id)} {escape(model.model_version)}",
                f"{model.finished:,}/{model.planned:,}",
                f"passed {model.passed:,}",
                f"errors {model.errors:,}",
                cost_of(*so_far(model)),
            )
        rows.append(table)
    return Group(*rows)


def line(run: EvaluationRun) -> str:
    """The same on one line, for output that is no terminal."""
    return f"{run.state}  {_counts(run)}{f'  ({run.reason})' if run.reason else ''}"


def runs_table(runs: Iterable[EvaluationRun]) -> Table:
    """In the order given."""
    table = Table("run", "org", "suite", "models", "state", "cases", "errors", "cost", "by")
    whole(table, "run", "suite", "state", "cost")
    for run in runs:
        table.add_row(
            run.run_id[:ID_CHARS],
            escape(run.org_id),
            escape(f"{run.spec.suite_id} {run.spec.suite_version}"),
            escape(", ".join(m.model_id for m in run.models)),
            Text(run.state, style=_STYLES.get(run.state, "")),
            f"{run.finished:,}/{run.planned:,}",
            f"{run.errors:,}",
            cost(*so_far(run)),
            escape(run.requested_by),
        )
    return table


def show(report: Report, console: Console) -> None:
    """Tables of a report."""
    run = report.run
    name = f"{run.spec.suite_id} {run.spec.suite_version}"
    console.print(f"[bold]{escape(name)}[/]  run {run.run_id}  {line(run)}", soft_wrap=True)
    if report.stored < run.finished:
        console.print(
            f"[yellow]warning:[/] only {report.stored:,} of {run.finished:,} results are in "
            "ClickHouse yet; do the sinks run? Look again later with rheostat results."
        )
    console.print(_models(report))
    if any(model.summaries for model in report.models):
        console.print(_metrics(report.models))
    for model in report.models:
        for shown in labels(model):
            console.print(shown, soft_wrap=isinstance(shown, Text))
    for each in report.comparisons:
        console.print(
            f"{escape(each.model[0])} - {escape(each.baseline[0])}: {_estimate(each.difference)} "
            f"on {each.cases:,} shared cases; only it passed {each.only_model:,}, only the other "
            f"{each.only_baseline:,}",
            soft_wrap=True,
        )
    for judged in report.rankings:
        for shown in ranking(judged):
            console.print(shown)
    for model in report.models:
        for note in notes(model):
            console.print(note, soft_wrap=True)


def show_cases(cases: Sequence[CaseResult], console: Console) -> None:
    """What was answered, to read side by side."""
    table = Table("case", "epoch", "model", "score", "answer", "why", show_lines=True)
    whole(table)
    for case in cases:
        why = "\n".join(
            f"{s.metric}: {_number(s.value)}{f' ({s.explanation})' if s.explanation else ''}"
            for s in case.scores
        )
        table.add_row(
            escape(case.case_id),
            str(case.epoch),
            escape(f"{case.model_id} {case.model_version}"),
            _number(case.score),
            escape(_short(case.output if case.error_type is None else case.error_text)),
            escape(case.error_type or why),
        )
    console.print(table)


def value_of(model: ModelReport, metric: str) -> float | None:
    """The mean of a metric over all cases of a model; None: there is none."""
    found = _summary(model, metric)
    return None if found is None or isinstance(found.mean, NoEstimate) else found.mean.value


def measured(model: ModelReport) -> list[str]:
    """The metrics that have a mean over all cases of a model."""
    names = dict.fromkeys(s.metric for s in model.summaries)
    return [name for name in names if value_of(model, name) is not None]


def _summary(model: ModelReport, metric: str) -> Summary | None:
    return next((s for s in model.summaries if s.slice.kind == "all" and s.metric == metric), None)


def _models(report: Report) -> Table:
    table = Table("model", "cases", "score", "p50 ms", "p95 ms", "tokens in/out", "cached", "cost")
    whole(table, "cost")
    for model in report.models:
        totals, score = model.totals, _summary(model, SCORE)
        table.add_row(
            escape(f"{model.model_id} {model.model_version}"),
            "0" if totals is None else f"{totals.results:,}",
            "-" if score is None else mean(score.mean),
            "-" if totals is None else _number(totals.latency_p50_ms, 0),
            "-" if totals is None else _number(totals.latency_p95_ms, 0),
            "-" if totals is None else f"{totals.input_tokens:,} / {totals.output_tokens:,}",
            "-" if totals is None else f"{totals.cached:,}",
            cost(model.cost_usd, model.unpriced),
        )
    return table


def _metrics(models: Sequence[ModelReport]) -> Table:
    table = Table("cases", "metric", *(escape(m.model_id) for m in models))
    whole(table)
    rows = dict.fromkeys((s.slice, s.metric) for m in models for s in m.summaries)
    for part, metric in rows:
        found = [
            next((s for s in m.summaries if (s.slice, s.metric) == (part, metric)), None)
            for m in models
        ]
        where = "all" if part.kind == "all" else f"{part.kind} {part.name}"
        shown = ("-" if s is None else f"{mean(s.mean)} (n={s.cases:,})" for s in found)
        table.add_row(escape(where), escape(metric), *shown)
    return table


def mean(found: MeanResult) -> str:
    """A mean with its interval; with '?' where there is none."""
    if isinstance(found, Interval):
        return f"{found.value:.3f} [{found.lower:.3f}, {found.upper:.3f}]".replace("[", "\\[")
    if isinstance(found, NoInterval):
        return f"{found.value:.3f} (?)"
    return "-"


def _estimate(found: Estimate | NoEstimate) -> str:
    if isinstance(found, NoEstimate):
        return f"no estimate ({escape(found.reason)})"
    return f"{found.value:+.3f} \\[{found.lower:+.3f}, {found.upper:+.3f}], p = {found.p_value:.3g}"


def _counts(run: EvaluationRun) -> str:
    parts = [f"{run.finished:,}/{run.planned:,} cases"]
    if run.errors:
        parts.append(f"{run.errors:,} errors")
    if run.rate_per_s and run.finished_at is None:
        parts.append(f"{run.rate_per_s:,.1f}/s")
    if run.eta_s is not None and run.finished_at is None:
        parts.append(f"{run.eta_s:,.0f} s left")
    budget = "" if run.spec.budget_usd is None else f" of ${run.spec.budget_usd:g}"
    parts.append(f"{'cost ' if run.unpriced else ''}{cost_of(*so_far(run))}{budget}")
    return ", ".join(parts)


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def _short(text: str | None) -> str:
    if text is None:
        return ""
    return text if len(text) <= OUTPUT_CHARS else text[:OUTPUT_CHARS] + "…"


_STYLES = {
    "running": "cyan",
    "completed": "green",
    "failed": "red",
    "cancelled": "yellow",
    "cancelling": "yellow",
    "paused": "yellow",
}
