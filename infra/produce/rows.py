"""Rows of a JSONL or CSV file with their line numbers; a line that is neither becomes a problem."""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import orjson

from agents.errors import Problem
from infra.errors import OperatorError

Format = Literal["jsonl", "csv"]
THE_LINE = "the line"
_ENDINGS: Mapping[str, Format] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".csv": "csv",
    ".tsv": "csv",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One record of the file. `content`: its bytes, to tell it from others."""

    line: int
    values: Mapping[str, Any]
    content: bytes

    def get(self, column: str) -> Any:
        """The value; None when absent or empty. In JSON, dots lead into nested objects."""
        if column in self.values:
            value = self.values[column]
        else:
            value = self.values
            for part in column.split("."):
                value = value.get(part) if isinstance(value, Mapping) else None
        return None if value == "" else value


@dataclass(frozen=True, slots=True)
class Input:
    """A file and how to read it."""

    path: Path
    format: Format
    delimiter: str = ","


def open_input(path: Path, format: str, delimiter: str | None) -> Input:
    """`format` "auto" goes by the file's ending. Raises OperatorError."""
    if not path.is_file():
        raise OperatorError(f"{path} is not a file.")
    found = _ENDINGS.get(path.suffix.lower()) if format == "auto" else format
    if found not in ("jsonl", "csv"):
        raise OperatorError(f"{path.name}: say what it is with --format jsonl or --format csv.")
    usual = "\t" if path.suffix.lower() == ".tsv" else ","
    chosen = {"\\t": "\t", "tab": "\t", None: usual}.get(delimiter, delimiter) or usual
    if len(chosen) != 1:
        raise OperatorError(f"--delimiter {delimiter} is not one character.")
    return Input(path, "csv" if found == "csv" else "jsonl", chosen)


def rows(source: Input) -> Iterator[Row | Problem]:
    """Every record in order; blank lines are no records. Raises OperatorError without a header."""
    return _csv_rows(source) if source.format == "csv" else _json_rows(source)


def columns(source: Input, sample: int = 100) -> set[str]:
    """The columns of the first rows, nested ones with dots."""
    found: set[str] = set()
    for taken, row in enumerate(rows(source)):
        if taken >= sample:
            break
        if isinstance(row, Row):
            found.update(_names(row.values))
    return found


def _names(values: Mapping[str, Any], before: str = "") -> Iterator[str]:
    for name, value in values.items():
        yield before + name
        if isinstance(value, Mapping):
            yield from _names(value, f"{before}{name}.")


def _json_rows(source: Input) -> Iterator[Row | Problem]:
    with source.path.open("rb") as file:
        for number, raw in enumerate(file, 1):
            content = raw.removeprefix(b"\xef\xbb\xbf").strip() if number == 1 else raw.strip()
            if not content:
                continue
            try:
                value = orjson.loads(content)
            except orjson.JSONDecodeError as error:
                yield Problem(number, THE_LINE, f"is not JSON: {error}")
                continue
            if isinstance(value, dict):
                yield Row(number, value, content)
            else:
                yield Problem(number, THE_LINE, "is not a JSON object")


def _csv_rows(source: Input) -> Iterator[Row | Problem]:
    # Bytes that are not UTF-8 stay recognisable, so that only their own row is a problem.
    with source.path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = csv.reader(file, delimiter=source.delimiter, strict=True)
        header = _header(source, reader)
        line = reader.line_num
        while True:
            begin = line + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                line = reader.line_num
                yield Problem(begin, THE_LINE, f"is not CSV: {error}")
                continue
            line = reader.line_num
            if cells:
                yield _csv_row(begin, header, cells)


def _header(source: Input, reader: Iterator[list[str]]) -> list[str]:
    try:
        header = [name.strip() for name in next(reader)]
    except (StopIteration, csv.Error) as error:
        raise OperatorError(f"{source.path} has no header line.") from error
    twice = {name for name in header if header.count(name) > 1}
    if twice:
        raise OperatorError(f"{source.path} has columns twice: {', '.join(sorted(twice))}.")
    return header


def _csv_row(line: int, header: list[str], cells: list[str]) -> Row | Problem:
    if len(cells) != len(header):
        return Problem(line, THE_LINE, f"has {len(cells)} cells; the header has {len(header)}")
    try:
        content = "\x1f".join(cells).encode()
    except UnicodeEncodeError:
        return Problem(line, THE_LINE, "is not UTF-8")
    return Row(line, dict(zip(header, cells, strict=True)), content)
