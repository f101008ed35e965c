"""From the rows of somebody's file to cases: by a mapping, with a report of all that is wrong.

Pure, apart from reading the rows.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from agents.evaluation.datasets.contents import dataset_case
from agents.evaluation.datasets.errors import CaseInvalid, FileUnusable
from agents.evaluation.datasets.rows import Fault, Row
from schemas.evaluations import DatasetCase

FAULTS_MAX = 1000
"""How many are kept; all are counted."""
CASES_MAX = 1_000_000
OWN = ("case_id", "split", "tags", "cluster")
"""What a case has besides its fields. `case_id` comes from a column `id` too."""


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """Where things come from. `fields` empty: every column that is left becomes a field.

    `own`: columns by name in OWN; by default those of the same names. `fields`: columns by name of
    the field; these must have a value in every row. In JSON and Parquet dots lead into objects.
    """

    own: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, pairs: Iterable[str]) -> "ColumnMapping":
        """From texts like question=prompt. Raises FileUnusable."""
        found: dict[str, str] = {}
        for pair in pairs:
            name, equals, column = (part.strip() for part in pair.partition("="))
            if not (name and equals and column):
                raise FileUnusable(
                    f"the mapping {pair!r} is not FIELD=COLUMN, such as question=prompt"
                )
            if found.setdefault(name, column) != column:
                raise FileUnusable(f"the mapping names {name} twice")
        own = {name: column for name, column in found.items() if name in OWN}
        return cls(own, {name: c for name, c in found.items() if name not in OWN})


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What a file holds. `faulty`: rows with at least one fault."""

    cases: Sequence[DatasetCase]
    faults: Sequence[Fault]
    faults_total: int
    faulty: int

    @property
    def rows(self) -> int:
        """All of them, blank lines apart."""
        return len(self.cases) + self.faulty


def read_cases(
    found: Iterable[Row | Fault], mapping: ColumnMapping, split: str = ""
) -> ImportReport:
    """Every row that is a case, and every fault. `split`: of rows that name none.

    Raises FileUnusable, as `rows` does, and for more than CASES_MAX rows.
    """
    cases: list[DatasetCase] = []
    faults: list[Fault] = []
    total = faulty = 0
    seen_ids: dict[str, int] = {}
    seen_fields: dict[int, int] = {}
    for row in found:
        case, wrong = (None, [row]) if isinstance(row, Fault) else _case(row, mapping, split)
        if case is not None:
            number = row.number if isinstance(row, Row) else row.row
            wrong += _repeated(case, number, seen_ids, seen_fields)
        if wrong or case is None:
            total += len(wrong)
            faulty += 1
            faults += wrong[: max(0, FAULTS_MAX - len(faults))]
        else:
            cases.append(case)
        if len(cases) + faulty > CASES_MAX:
            raise FileUnusable(f"the file has more than {CASES_MAX:,} rows: split it")
    return ImportReport(cases, faults, total, faulty)


def _repeated(
    case: DatasetCase, number: int, ids: dict[str, int], contents: dict[int, int]
) -> list[Fault]:
    wrong = []
    first = ids.setdefault(case.case_id, number)
    if first != number:
        wrong.append(Fault(number, "case_id", f"{case.case_id!r} is that of row {first} too"))
    same = contents.setdefault(hash((case.fields, case.split)), number)
    if same != number:
        wrong.append(Fault(number, "", f"has the same fields as row {same}"))
    return wrong


def _case(row: Row, mapping: ColumnMapping, split: str) -> tuple[DatasetCase | None, list[Fault]]:
    wrong: list[Fault] = []
    own = {name: _own(row, name, mapping) for name in OWN}
    fields = dict(_fields(row, mapping, wrong))
    if not fields and not wrong:
        wrong.append(Fault(row.number, "", "is empty"))
    tags = _tags(own["tags"])
    if tags is None:
        wrong.append(Fault(row.number, "tags", f"are {own['tags']!r}, not a list of texts"))
    wrong += (
        Fault(row.number, name, "is a list or an object, not a text")
        for name in ("case_id", "split", "cluster")
        if isinstance(own[name], list | dict)
    )
    if wrong or tags is None:
        return None, wrong
    given_id, cluster = own["case_id"], own["cluster"]
    try:
        case = dataset_case(
            f"row-{row.number:06d}" if given_id is None else str(given_id),
            fields,
            split if own["split"] is None else str(own["split"]),
            tags,
            None if cluster is None else str(cluster),
        )
    except CaseInvalid as error:
        return None, [Fault(row.number, error.field, error.reason)]
    return case, []


def _own(row: Row, name: str, mapping: ColumnMapping) -> Any:
    if name in mapping.own:
        return _value(row.values, mapping.own[name])
    value = _value(row.values, name)
    return _value(row.values, "id") if name == "case_id" and value is None else value


def _fields(row: Row, mapping: ColumnMapping, wrong: list[Fault]) -> Iterator[tuple[str, Any]]:
    if mapping.fields:
        for name, column in mapping.fields.items():
            value = _value(row.values, column)
            if value is None:
                there = ", ".join(str(each) for each in list(row.values)[:20])
                reason = f"the column {column!r} is missing or empty; the row has: {there}"
                wrong.append(Fault(row.number, name, reason))
            else:
                yield name, _plain(value)
        return
    exported = row.values.get("fields")
    if isinstance(exported, Mapping):  # the form that datasets are exported in
        yield from exported.items()
        return
    taken = {mapping.own.get(name, name) for name in OWN}
    if "case_id" not in mapping.own and _value(row.values, "case_id") is None:
        taken.add("id")
    for column in row.values:
        value = _value(row.values, column)
        if column not in taken and value is not None:
            yield column, _plain(value)


def _value(values: Mapping[str, Any], column: str) -> Any:
    """The column's value; None when it is absent or empty."""
    found: Any = values
    if column in values:
        found = values[column]
    else:
        for part in column.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
    return None if isinstance(found, str) and not found.strip() else found


def _plain(value: Any) -> Any:
    """Times, which Parquet has and JSON has not, as ISO 8601."""
    return value.isoformat() if isinstance(value, date) else value


def _tags(value: Any) -> tuple[str, ...] | None:
    """From a list, or a text with semicolons; None for anything else."""
    if value is None:
        return ()
    if isinstance(value, str):
        return tuple(tag for part in value.split(";") if (tag := part.strip()))
    if isinstance(value, list) and all(isinstance(tag, str) for tag in value):
        return tuple(value)
    return None
