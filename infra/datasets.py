"""`rheostat datasets ...`: what the commands do, apart from how it is shown."""

import getpass
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO

from agents.evaluation.datasets.compare import CaseDifference, compare, exported
from agents.evaluation.datasets.create import Created
from agents.evaluation.datasets.errors import DatasetIncomplete, FileUnusable, NoSuchDataset
from agents.evaluation.datasets.imports import ColumnMapping, ImportReport, read_cases
from agents.evaluation.datasets.reader import DatasetReader
from agents.evaluation.datasets.rows import FORMATS, Fault, Format, Row, rows
from agents.evaluation.lookup import find
from agents.registry.client import Sender
from agents.registry.diff import Difference, diff
from infra.errors import OperatorError
from infra.settings import Settings
from infra.suites import datasets, org_of, registry
from schemas.evaluations import DatasetCase
from schemas.suites import Dataset
from sinks.clickhouse import ClickHouse

PROGRESS_EVERY = 1000


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """`dataset`: the draft, whose org_id is `org`, or the only one there is. `format` auto: by the
    ending."""

    path: Path
    dataset: Dataset
    org: str | None
    maps: Sequence[str] = ()
    format: str = "auto"
    split: str = ""
    skip_invalid: bool = False
    again: bool = False
    dry_run: bool = False
    author: str | None = None


def read_file(options: ImportOptions, progress: Callable[[int], None]) -> ImportReport:
    """What the file holds. Raises OperatorError."""
    try:
        with options.path.open("rb") as file:
            found = rows(file, format_of(options.path, options.format))
            mapping = ColumnMapping.parse(options.maps)
            return read_cases(_counted(found, progress), mapping, options.split)
    except OSError as error:
        raise OperatorError(f"{options.path} cannot be read: {error.strerror}.") from error
    except FileUnusable as error:
        raise OperatorError(f"{options.path}: {error}.") from error


def format_of(path: Path, format: str) -> Format:
    """Raises OperatorError when neither the option nor the ending says it."""
    for known in FORMATS.values():
        if format == known:
            return known
    if format == "auto" and path.suffix.lower() in FORMATS:
        return FORMATS[path.suffix.lower()]
    known_formats = ", ".join(dict.fromkeys(FORMATS.values()))
    if format != "auto":
        raise OperatorError(f"--format {format} is none of auto, {known_formats}.")
    raise OperatorError(f"{path.name}: say what it is with --format ({known_formats}).")


def create(
    settings: Settings,
    options: ImportOptions,
    cases: Sequence[DatasetCase],
    progress: Callable[[int], None],
) -> Created:
    """Raises OperatorError, AgentError, StreamError."""
    sender = Sender(options.author or getpass.getuser())
    with datasets(settings) as made:
        org_id = org_of(made.view.snapshot(), options.org, new=True)
        draft = replace(options.dataset, org_id=org_id)
        return made.create(draft, cases, sender, progress, options.again)


def write_export(
    settings: Settings, org: str | None, reference: str, split: str | None, out: TextIO
) -> int:
    """Writes cases as lines of JSON and returns their number. Raises as `cases_of`."""
    written = 0
    for case in cases_of(settings, org, reference, split):
        out.write(exported(case))
        written += 1
    return written


def cases_of(
    settings: Settings, org: str | None, reference: str, split: str | None = None
) -> Iterator[DatasetCase]:
    """Raises OperatorError, AgentError, SinkError, StreamError."""
    with registry(settings) as found:
        dataset = find(found, Dataset, org_of(found, org), reference)
    if split is not None and split not in [s.split for s in dataset.splits]:
        there = ", ".join(s.split for s in dataset.splits) or "none"
        raise OperatorError(f"{reference} has no split {split}; its splits: {there}.")
    reader = DatasetReader(ClickHouse(settings.clickhouse))
    try:
        yield from reader.cases(dataset.org_id, dataset.dataset_id, dataset.dataset_version, split)
    except (NoSuchDataset, DatasetIncomplete) as error:
        raise OperatorError(str(error)) from error


def compared(
    settings: Settings, org: str | None, before: str, after: str
) -> tuple[tuple[Difference, ...], CaseDifference | None]:
    """The datasets, and their cases unless those have the same hash."""
    with registry(settings) as found:
        org_id = org_of(found, org)
        one, other = (find(found, Dataset, org_id, name) for name in (before, after))
    fields = differing(one, other)
    if one.content_sha256 == other.content_sha256:
        return fields, None
    pair = (cases_of(settings, org, name) for name in (before, after))
    return fields, compare(*pair)


def differing(before: Dataset, after: Dataset) -> tuple[Difference, ...]:
    """In which fields; splits by their names, wherever they stand."""
    fields = diff(replace(before, splits=()), replace(after, splits=()))
    counts = [{each.split: each.cases for each in side.splits} for side in (before, after)]
    named = [
        (name, *(_cases(count.get(name)) for count in counts)) for name in counts[0] | counts[1]
    ]
    return (*fields, *(Difference(f"split {n}", b, a) for n, b, a in named if a != b))


def _cases(count: int | None) -> str | None:
    return None if count is None else f"{count:,} {'case' if count == 1 else 'cases'}"


def _counted(
    found: Iterable[Row | Fault], progress: Callable[[int], None]
) -> Iterator[Row | Fault]:
    for number, row in enumerate(found, 1):
        if number % PROGRESS_EVERY == 0:
            progress(number)
        yield row
