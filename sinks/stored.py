"""Control records as their tables hold them: a column a field, times in milliseconds since 1970,
and a list of records as one array column for each field of theirs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar, get_args, get_origin, get_type_hints

from schemas.records import AbVerdict, Alert, SelectionUpdate
from streams.times import moment

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Stored(Generic[T]):
    """How a record is read. `times`: the fields that are instants; `nested`: the fields that are
    lists of records, with their records' class. `columns`: what a query selects."""

    cls: type[T]
    times: frozenset[str]
    nested: dict[str, Any]
    columns: str

    @classmethod
    def of(cls, record: type[T]) -> "Stored[T]":
        """From the record's own fields, in their order."""
        hints = get_type_hints(record)
        times = frozenset(n for n, hint in hints.items() if datetime in (hint, *get_args(hint)))
        nested = {n: get_args(hint)[0] for n, hint in hints.items() if get_origin(hint) is tuple}
        columns: list[str] = []
        for name in hints:
            if name in nested:
                columns += (f"`{name}.{field}`" for field in nested[name].__dataclass_fields__)
            else:
                columns.append(f"toUnixTimestamp64Milli({name})" if name in times else name)
        return cls(record, times, nested, ", ".join(columns))

    def record(self, row: Sequence[Any]) -> T:
        """From a row of `columns`."""
        values: dict[str, Any] = {}
        at = 0
        for name in self.cls.__dataclass_fields__:  # type: ignore[attr-defined]  # a dataclass
            kind = self.nested.get(name)
            width = 1 if kind is None else len(kind.__dataclass_fields__)
            found = row[at : at + width]
            at += width
            if kind is not None:
                each = zip(*found, strict=True)
                values[name] = tuple(kind(*map(_immutable, one)) for one in each)
            elif name in self.times:
                values[name] = None if found[0] is None else moment(found[0])
            else:
                values[name] = found[0]
        return self.cls(**values)


def _immutable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


VERDICTS = Stored.of(AbVerdict)
SELECTIONS = Stored.of(SelectionUpdate)
ALERTS = Stored.of(Alert)
