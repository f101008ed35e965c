"""How models classified, on a terminal: rates by label, and what was taken for what."""

from collections.abc import Iterator

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from agents.evaluation.classified import Classified
from agents.evaluation.report import ModelReport
from infra.tables import whole
from streams.statistics.estimates import NoEstimate

MATRIX_LABELS_MAX = 8
"""With more labels the matrix is too wide for a terminal."""
CONFUSIONS = 10


def labels(model: ModelReport) -> Iterator[RenderableType]:
    """A line and a table for each of the model's metrics that are labels."""
    for each in model.classified:
        yield Text(
            f"{model.model_id} {model.model_version}, {each.metric}: accuracy "
            f"{_share(each.accuracy)}, macro F1 {_share(each.macro_f1)}, {each.answers:,} answers"
        )
        yield _table(each)
        if len(each.labels) > MATRIX_LABELS_MAX:
            yield Text(_confusions(each))


def _table(each: Classified) -> Table:
    """A row for each right label: its rates, and how often which label was given to it."""
    given = each.labels if len(each.labels) <= MATRIX_LABELS_MAX else ()
    table = Table("right \\ given", *map(escape, given), "none", "precision", "recall", "F1")
    whole(table)
    rates = {rate.label: rate for rate in each.rates}
    for label, counts, unknown in zip(each.labels, each.counts, each.unknown, strict=True):
        rate = rates.get(label)
        if rate is None:
            continue
        table.add_row(
            escape(label),
            *(f"{n:,}" for n in counts[: len(given)]),
            f"{unknown:,}",
            "-" if rate.precision is None else _share(rate.precision),
            _share(rate.recall),
            _share(rate.f1),
        )
    return table


def _confusions(each: Classified) -> str:
    pairs = [
        (n, right, given)
        for right, counts in zip(each.labels, each.counts, strict=True)
        for given, n in zip(each.labels, counts, strict=True)
        if n and right != given
    ]
    pairs.sort(key=lambda pair: -pair[0])
    told = ", ".join(f"{right} → {given} {n:,}" for n, right, given in pairs[:CONFUSIONS])
    return f"taken for another most often: {told or 'none'}. The whole matrix: --json"


def _share(value: float | NoEstimate) -> str:
    return "-" if isinstance(value, NoEstimate) else f"{value:.3f}"
