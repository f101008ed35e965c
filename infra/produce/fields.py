"""The fields of a record as the schema has them, and raw values made into theirs. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from schemas.catalog import SchemaCatalog

Kind = Literal["text", "double", "int", "time"]
INT_MIN, INT_MAX = -(2**31), 2**31 - 1
TIME_MS_MAX = 2**62
UNITS_MS: Mapping[str, float] = {"s": 1000.0, "ms": 1.0, "us": 1e-3, "ns": 1e-6}
TIME_FORMATS = ("auto", "iso", *UNITS_MS)
_SHOWN = 60
_TRUTH = {"true": 1.0, "false": 0.0}


class NotConvertible(Exception):
    """A value that cannot be the field's; the message follows the field's name."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field of the record that is written."""

    name: str
    kind: Kind
    nullable: bool


def fields_of(record: str, catalog: SchemaCatalog) -> dict[str, Field]:
    """In the schema's order. The records of the hot topics have these kinds only."""
    return {
        f["name"]: _field(f["name"], f["type"]) for f in catalog.newest(record).source["fields"]
    }


def _field(name: str, avro_type: Any) -> Field:
    nullable = isinstance(avro_type, list)
    inner = next(t for t in avro_type if t != "null") if nullable else avro_type
    if isinstance(inner, Mapping):
        inner = inner.get("logicalType", inner["type"])
    kinds: Mapping[str, Kind] = {
        "string": "text",
        "double": "double",
        "int": "int",
        "timestamp-millis": "time",
    }
    return Field(name, kinds[inner], nullable)


def convert(field: Field, raw: Any, factor: float | None, time_format: str) -> str | float | int:
    """The field's value from what the file has. `factor` multiplies numbers.

    Raises NotConvertible. What cannot be counted although it fits (NaN, ranges) is not found here.
    """
    match field.kind:
        case "text":
            if isinstance(raw, bool) or not isinstance(raw, str | int):
                raise NotConvertible(f"is {shown(raw)}; it must be text")
            return str(raw)
        case "double":
            return _number(raw) * (1.0 if factor is None else factor)
        case "int":
            return _integer(raw, factor)
        case "time":
            return time_ms(raw, time_format)


def _number(raw: Any) -> float:
    if isinstance(raw, str) and raw.strip().lower() in _TRUTH:
        return _TRUTH[raw.strip().lower()]
    if isinstance(raw, bool | int | float | str):
        try:
            return float(raw)
        except (ValueError, OverflowError):
            pass
    raise NotConvertible(f"is {shown(raw)}; it must be a number")


def _integer(raw: Any, factor: float | None) -> int:
    value = _number(raw) * (1.0 if factor is None else factor)
    if isinstance(raw, bool) or value != value or not INT_MIN <= value <= INT_MAX:
        raise NotConvertible(f"is {shown(raw)}; it must be a whole number of at most {INT_MAX}")
    if factor is None and value != int(value):
        raise NotConvertible(f"is {shown(raw)}; it must be a whole number")
    return round(value)


def time_ms(raw: Any, time_format: str) -> int:
    """Milliseconds since 1970. `time_format`: one of TIME_FORMATS, or a pattern of strptime.

    "auto" takes numbers as seconds, ms, us or ns by their size, and anything else as ISO 8601. A
    time without a zone is UTC.
    """
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        raise NotConvertible(f"is {shown(raw)}; it must be a time")
    try:
        if time_format in UNITS_MS:
            return _bounded(float(raw) * UNITS_MS[time_format])
        if time_format == "auto" and (number := _as_number(raw)) is not None:
            return _bounded(number * _unit_by_size(number))
        text = str(raw).strip()
        iso = time_format in ("auto", "iso")
        moment = datetime.fromisoformat(text) if iso else _strptime(text, time_format)
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return _bounded(aware.timestamp() * 1000)
    except (ValueError, OverflowError, OSError) as error:
        expected = "ISO 8601 or a number since 1970" if time_format == "auto" else time_format
        raise NotConvertible(f"is {shown(raw)}; it must be a time ({expected})") from error


def _strptime(text: str, pattern: str) -> datetime:
    return datetime.strptime(text, pattern)  # noqa: DTZ007  the caller adds the zone


def _bounded(value_ms: float) -> int:
    if not abs(value_ms) < TIME_MS_MAX:
        raise ValueError(f"{value_ms} ms is no time")
    return round(value_ms)


def _as_number(raw: int | float | str) -> float | None:
    try:
        return float(raw)
    except ValueError:
        return None


def _unit_by_size(number: float) -> float:
    """Seconds reach the year 5138 before they look like milliseconds of 1973."""
    size = abs(number)
    name = "s" if size < 1e11 else "ms" if size < 1e14 else "us" if size < 1e17 else "ns"
    return UNITS_MS[name]


def shown(raw: Any) -> str:
    """A value for a message, not longer than a line."""
    text = repr(raw)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
