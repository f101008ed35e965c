"""`rheostat results RUN --labels FILE`: people's labels from a file, held against scores."""

import math
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from agents.evaluation.agreement import Agreement
from agents.evaluation.datasets.errors import FileUnusable
from agents.evaluation.datasets.rows import Fault, Row, rows
from agents.evaluation.labelled import Labelled, PeoplesLabel, labelled
from infra.datasets import format_of
from infra.errors import OperatorError
from infra.evaluation_show import mean
from infra.settings import Settings
from schemas.evaluations import EvaluationRun
from sinks.clickhouse import ClickHouse
from sinks.run_results import scored

FIELDS = ("case_id", "value", "model_id", "epoch")


def read(path: Path) -> list[PeoplesLabel]:
    """Raises OperatorError with the first row that is wrong."""
    try:
        with path.open("rb") as file:
            found = list(rows(file, format_of(path, "auto")))
    except OSError as error:
        raise OperatorError(f"{path} cannot be read: {error.strerror}.") from error
    except FileUnusable as error:
        raise OperatorError(f"{path}: {error}.") from error
    return [_label(path, row) for row in found]


def held(
    settings: Settings, run: EvaluationRun, labels: list[PeoplesLabel], metric: str
) -> tuple[Labelled, ...]:
    """Raises OperatorError when no score and no label meet, SinkError."""
    clickhouse = ClickHouse(settings.clickhouse)
    try:
        results = list(scored(clickhouse, run.org_id, run.run_id))
    finally:
        clickhouse.close()
    found = labelled(results, labels, metric)
    if not found:
        known = ", ".join(sorted({s.metric for result in results for s in result.scores}))
        raise OperatorError(
            f"The run {run.run_id} has no score named {metric}; it has {known or 'none'}: set "
            "--metric."
        )
    if not any(each.labelled for each in found):
        raise OperatorError(
            f"None of the {len(labels):,} labels is of an answer with a {metric}: is case_id that "
            "of the dataset, and model_id, where it is given, one of the run?"
        )
    return found


def table(found: tuple[Labelled, ...]) -> Table:
    """One row a model."""
    shown = Table("model", "answers", "labels", "agreement", "kappa", "mean by people")
    for each in found:
        agreed = each.agreement
        pair = (
            (mean(agreed.rate), mean(agreed.kappa)) if isinstance(agreed, Agreement) else ("-", "-")
        )
        counts = (f"{each.scored:,}", f"{each.labelled:,}")
        name = escape(f"{each.model_id} {each.model_version}")
        shown.add_row(name, *counts, *pair, mean(each.mean))
    return shown


def _label(path: Path, row: Row | Fault) -> PeoplesLabel:
    if isinstance(row, Fault):
        raise OperatorError(f"{path}: {row}.")
    values = {name: row.values.get(name) for name in FIELDS}
    try:
        return PeoplesLabel(
            str(_given(values["case_id"])),
            _number(values["value"]),
            None if values["model_id"] in (None, "") else str(values["model_id"]),
            None if values["epoch"] in (None, "") else int(values["epoch"]),
        )
    except (TypeError, ValueError) as error:
        raise OperatorError(
            f"{path}: row {row.number}: a label has a case_id and a value, which is a number, and "
            f"perhaps model_id and epoch ({error})."
        ) from error


def _number(value: Any) -> float:
    found = float(_given(value))
    if not math.isfinite(found):
        raise ValueError(f"{found} is no number to average")
    return found


def _given(value: Any) -> Any:
    if value in (None, ""):
        raise ValueError("one is missing")
    return value
