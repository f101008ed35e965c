"""Rows of a JSONL, CSV or Parquet file; a row that cannot be read is a fault, not the end."""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any, Literal, NoReturn

import pyarrow as pa
import pyarrow.parquet as pq

from agents.evaluation.datasets.errors import FileUnusable

Format = Literal["jsonl", "csv", "tsv", "parquet"]
FORMATS: Mapping[str, Format] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
}
"""By the ending of the file's name."""
LINE_BYTES_MAX = 1024 * 1024
PARQUET_BYTES_MAX = 2 * 1024**3
"""Of a Parquet file when it is unpacked."""
PARQUET_BATCH = 500


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a row. `field` '': with the row itself."""

    row: int
    field: str
    reason: str

    def __str__(self) -> str:
        return f"row {self.row}: {self.field + ': ' if self.field else ''}{self.reason}"


@dataclass(frozen=True, slots=True)
class Row:
    """`number`: the line of a JSONL or CSV file, where the header is line 1; else from 1."""

    number: int
    values: Mapping[str, Any]


def rows(file: IO[bytes], format: Format) -> Iterator[Row | Fault]:
    """In order, in bounded memory; blank lines are none. Raises FileUnusable."""
    match format:
        case "jsonl":
            return _json_rows(file)
        case "csv":
            return _csv_rows(file, ",")
        case "tsv":
            return _csv_rows(file, "\t")
        case "parquet":
            return _parquet_rows(file)


def _json_rows(file: IO[bytes]) -> Iterator[Row | Fault]:
    number = 0
    while line := file.readline(LINE_BYTES_MAX + 1):
        number += 1
        if len(line) > LINE_BYTES_MAX:
            while line and not line.endswith(b"\n"):
                line = file.readline(LINE_BYTES_MAX)
            yield Fault(number, "", f"is longer than {LINE_BYTES_MAX:,} bytes")
            continue
        line = line.removeprefix(b"\xef\xbb\xbf").strip() if number == 1 else line.strip()
        if line:
            yield _json_row(number, line)


def _json_row(number: int, line: bytes) -> Row | Fault:
    try:
        value = json.loads(line.decode(), parse_constant=_no_number, object_pairs_hook=_once_each)
    except UnicodeDecodeError as error:
        return Fault(number, "", f"is not UTF-8 (byte {error.start + 1}): save the file as UTF-8")
    except (ValueError, RecursionError) as error:
        return Fault(number, "", f"is not JSON: {error}")
    if not isinstance(value, dict):
        return Fault(number, "", f"is not a JSON object but a {type(value).__name__}")
    return Row(number, value)


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON number")


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the name {twice!r} is given twice")
    return found


def _csv_rows(file: IO[bytes], delimiter: str) -> Iterator[Row | Fault]:
    # Bytes that are not UTF-8 stay recognisable, so that only their own row is at fault.
    text = io.TextIOWrapper(file, "utf-8-sig", "surrogateescape", newline="")
    try:
        yield from _read_csv(csv.reader(text, delimiter=delimiter, strict=True))
    finally:
        text.detach()  # the file is its owner's to close


def _read_csv(reader: Any) -> Iterator[Row | Fault]:
    try:
        header = [name.strip() for name in next(reader)]
    except (StopIteration, csv.Error) as error:
        raise FileUnusable("the file has no header line with the names of its columns") from error
    try:
        "".join(header).encode()
    except UnicodeEncodeError as error:
        raise FileUnusable("the header line is not UTF-8: save the file as UTF-8") from error
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise FileUnusable(f"the header names columns twice: {', '.join(map(repr, twice))}")
    while True:
        number = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Fault(number, "", f"is not CSV: {error}")
            continue
        if cells:
            yield _csv_row(number, header, cells)


def _csv_row(number: int, header: list[str], cells: list[str]) -> Row | Fault:
    if len(cells) != len(header):
        return Fault(number, "", f"has {len(cells)} cells, the header {len(header)}")
    for name, cell in zip(header, cells, strict=True):
        try:
            cell.encode()
        except UnicodeEncodeError:
            return Fault(number, name, "is not UTF-8: save the file as UTF-8")
    return Row(number, dict(zip(header, cells, strict=True)))


def _parquet_rows(file: IO[bytes]) -> Iterator[Row | Fault]:
    try:
        parquet = pq.ParquetFile(file)
        groups = range(parquet.metadata.num_row_groups)
        size = sum(parquet.metadata.row_group(i).total_byte_size for i in groups)
        if size > PARQUET_BYTES_MAX:
            raise FileUnusable(
                f"unpacked the file has {size:,} bytes; at most {PARQUET_BYTES_MAX:,} are read"
            )
        number = 0
        for batch in parquet.iter_batches(PARQUET_BATCH):
            for values in batch.to_pylist():
                number += 1
                yield Row(number, values)
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise FileUnusable(f"the file is no Parquet that can be read: {error}") from error
