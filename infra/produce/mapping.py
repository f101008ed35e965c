"""Which column, constant or default each field of an event comes from. Pure.

A field is taken from, in this order: `--map`, `--set`, the column of its own name, its default.
"""

import difflib
import hashlib
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agents.errors import Problem
from infra.errors import OperatorError
from infra.produce.fields import Field, NotConvertible, convert
from infra.produce.rows import Row

_IDS = uuid.UUID("0c3f5f4b-94a5-5c5e-8f0b-6f3f0a2f1b7d")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the file. `factor` multiplies its numbers: seconds to milliseconds."""

    name: str
    factor: float | None = None


@dataclass(frozen=True, slots=True)
class FieldMapping:
    """How a row becomes an event of one record."""

    record: str
    fields: Mapping[str, Field]
    columns: Mapping[str, Column]
    constants: Mapping[str, str]
    time_format: str = "auto"

    def missing(self, known: Collection[str]) -> list[str]:
        """Fields that no row with these columns can fill."""
        return [
            name
            for name, field in self.fields.items()
            if not field.nullable
            and name not in self.columns
            and name not in self.constants
            and name not in known
            and name not in DEFAULTS[self.record]
        ]

    def event(self, row: Row, now_ms: int) -> tuple[dict[str, Any], list[Problem]]:
        """The event, and what is wrong with it; with problems the event is not to be used."""
        event: dict[str, Any] = {}
        problems: list[Problem] = []
        for name, field in self.fields.items():
            raw, factor = self._raw(name, row)
            if raw is None:
                event[name] = None
                continue
            try:
                event[name] = convert(field, raw, factor, self.time_format)
            except NotConvertible as error:
                event[name] = None
                problems.append(Problem(row.line, self._label(name), str(error)))
        wrong = {problem.field for problem in problems}
        problems += self._filled(event, row, now_ms, wrong)
        return event, problems

    def _raw(self, name: str, row: Row) -> tuple[Any, float | None]:
        column = self.columns.get(name)
        if column is not None:
            return row.get(column.name), column.factor
        if name in self.constants:
            return self.constants[name], None
        return row.get(name), None

    def _label(self, name: str) -> str:
        column = self.columns.get(name)
        return name if column is None else f"{name} (column {column.name})"

    def _filled(
        self, event: dict[str, Any], row: Row, now_ms: int, wrong: Collection[str]
    ) -> Iterator[Problem]:
        """Puts defaults where nothing came; yields the fields that have none."""
        for name, field in self.fields.items():
            if event[name] is not None or field.nullable or self._label(name) in wrong:
                continue
            default = DEFAULTS[self.record].get(name)
            if default is None:
                yield Problem(row.line, self._label(name), "has no value")
            elif default == NOW:
                event[name] = now_ms
            elif default == ROW_ID:
                event[name] = row_id(self.record, row)
            elif default.startswith("="):
                event[name] = event[default[1:]]
            else:
                event[name] = convert(field, default, None, "auto")


NOW = "now"
ROW_ID = "row id"
DEFAULTS: Mapping[str, Mapping[str, str]] = {
    "InferenceEvent": {
        "event_id": ROW_ID,
        "occurred_at": NOW,
        "unit_id": "=event_id",
        "cached_input_tokens": "0",
    },
    "FeedbackEvent": {
        "event_id": ROW_ID,
        "occurred_at": NOW,
        "observed_at": NOW,
        "unit_id": "=inference_id",
        "source": "rheostat produce",
    },
}
"""What stands in for a field that a row does not have; "=name" copies another field."""


def row_id(record: str, row: Row) -> str:
    """The same for the same row at the same place, so that producing a file again repeats ids."""
    digest = hashlib.sha256(f"{record}\0{row.line}\0".encode() + row.content).hexdigest()
    return str(uuid.uuid5(_IDS, digest))


def mapping(
    record: str,
    fields: Mapping[str, Field],
    maps: Sequence[str],
    sets: Sequence[str],
    time_format: str,
) -> FieldMapping:
    """From the options `field=column` and `field=value`. Raises OperatorError."""
    columns = {name: _column(text) for name, text in _pairs("--map", maps, fields)}
    constants = dict(_pairs("--set", sets, fields))
    for name in columns:
        if name in constants:
            raise OperatorError(f"{name} is given by --map and by --set; give it once.")
        if fields[name].kind in ("text", "time") and columns[name].factor is not None:
            columns[name] = Column(dict(_pairs("--map", maps, fields))[name])
    return FieldMapping(record, fields, columns, constants, time_format)


def _pairs(
    option: str, texts: Sequence[str], fields: Mapping[str, Field]
) -> Iterator[tuple[str, str]]:
    seen: set[str] = set()
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not value:
            raise OperatorError(f"{option} {text} is not FIELD=VALUE.")
        if name not in fields:
            close = difflib.get_close_matches(name, fields, n=1)
            hint = f"did you mean {close[0]}?" if close else f"fields: {', '.join(fields)}"
            raise OperatorError(f"{option} {text}: there is no field {name}; {hint}")
        if name in seen:
            raise OperatorError(f"{option} gives {name} twice.")
        seen.add(name)
        yield name, value


def _column(text: str) -> Column:
    name, star, factor = text.rpartition("*")
    try:
        return Column(name.strip(), float(factor)) if star else Column(text)
    except ValueError:
        return Column(text)
