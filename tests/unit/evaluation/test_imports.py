"""Datasets from files: what becomes a case, and what is said of the rest."""

import io
import json
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from agents.evaluation.datasets import imports as module
from agents.evaluation.datasets import rows as rows_module
from agents.evaluation.datasets.errors import FileUnusable
from agents.evaluation.datasets.imports import ColumnMapping, ImportReport, read_cases
from agents.evaluation.datasets.rows import Format, rows

PLAIN = ColumnMapping()


def imported(
    content: bytes | str, format: Format = "jsonl", *maps: str, split: str = ""
) -> ImportReport:
    file = io.BytesIO(content if isinstance(content, bytes) else content.encode())
    report = read_cases(rows(file, format), ColumnMapping.parse(maps), split)
    assert not file.closed
    return report


def parquet(**columns: Any) -> bytes:
    file = io.BytesIO()
    pl.DataFrame(columns).write_parquet(file)
    return file.getvalue()


def faults(report: ImportReport) -> list[str]:
    return [str(fault) for fault in report.faults]


def test_every_column_that_is_left_becomes_a_field() -> None:
    report = imported(
        '{"id": 7, "q": "?", "n": 1.5, "none": null, "tags": ["a"], "cluster": "c"}\n\n'
        '{"q": "!", "split": "dev", "tags": "a; b"}\n',
        split="test",
    )
    assert [(c.case_id, c.fields, c.split, c.tags, c.cluster) for c in report.cases] == [
        ("7", '{"n":1.5,"q":"?"}', "test", ("a",), "c"),
        ("row-000003", '{"q":"!"}', "dev", ("a", "b"), None),
    ]
    assert (report.rows, report.faults_total) == (2, 0)


def test_a_mapping_names_columns_and_leads_into_objects() -> None:
    line = '{"key": "k", "data": {"text": "t", "gold": [1, 2]}, "more": 1, "a.b": "dotted"}'
    maps = ("case_id=key", "question=data.text", "answer=data.gold", "x=a.b")
    [case] = imported(line, "jsonl", *maps).cases
    assert case.case_id == "k"
    assert json.loads(case.fields) == {"question": "t", "answer": [1, 2], "x": "dotted"}


def test_what_was_exported_comes_back() -> None:
    line = '{"case_id": "a", "fields": {"q": 1}, "split": "s", "tags": ["t"], "cluster": null}'
    [case] = imported(line).cases
    assert (case.case_id, case.fields, case.split, case.tags) == ("a", '{"q":1}', "s", ("t",))


def test_csv_with_quotes_line_breaks_and_a_byte_order_mark() -> None:
    text = '\ufeffid,q,tags\r\n1,"a ""b"",\nc",x;y\r\n2,"d",\r\n'
    report = imported(text, "csv")
    assert [(c.case_id, json.loads(c.fields)["q"], c.tags) for c in report.cases] == [
        ("1", 'a "b",\nc', ("x", "y")),
        ("2", "d", ()),
    ]
    assert imported("id\tq\n1\tx,y\n", "tsv").cases[0].fields == '{"q":"x,y"}'


def test_parquet_with_lists_and_times() -> None:
    when = datetime(2026, 1, 1, tzinfo=UTC)
    [case] = imported(parquet(id=[1], q=["x"], n=[2], when=[when], tags=[["a"]]), "parquet").cases
    fields = {"n": 2, "q": "x", "when": "2026-01-01T00:00:00+00:00"}
    assert (case.case_id, json.loads(case.fields), case.tags) == ("1", fields, ("a",))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "row 1: is not JSON"),
        ("[1]", "row 1: is not a JSON object but a list"),
        ('{"q": NaN}', "row 1: is not JSON: NaN is no JSON number"),
        ('{"q": 1, "q": 2}', "row 1: is not JSON: the name 'q' is given twice"),
        ('{"q": "' + "[" * 3 + '"', "row 1: is not JSON"),
        ('{"q": ' + "[" * 100_000 + "1" + "]" * 100_000 + "}", "row 1: is not JSON"),
        (b'{"q": "\xff"}', "row 1: is not UTF-8 (byte 8)"),
        ('{"q": "x"}'.encode("utf-16"), "row 1: is not UTF-8"),
        ('{"q": "\\ud800"}', "row 1: fields: half a surrogate pair"),
        ('{"q": "' + "x" * 100_000 + '"}', "row 1: fields: 100,008 characters of JSON"),
        ('{"q": ""}', "row 1: is empty"),
        ("{}", "row 1: is empty"),
        ('{"id": "a/b", "q": 1}', "row 1: case_id: "),
        ('{"id": ["a"], "q": 1}', "row 1: case_id: is a list"),
        ('{"tags": {"a": 1}, "q": 1}', "row 1: tags: are {'a': 1}, not a list of texts"),
        ('{"id": "a", "q": 1}\n{"id": "a", "q": 2}', "row 2: case_id: 'a' is that of row 1 too"),
        ('{"q": 1}\n{"q": 1}', "row 2: has the same fields as row 1"),
    ],
)
def test_a_bad_line_says_where_and_why(content: str | bytes, said: str) -> None:
    report = imported(content)
    assert any(fault.startswith(said) for fault in faults(report)), faults(report)
    assert report.faulty == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"id,q\n1\n", "row 2: has 1 cells, the header 2"),
        (b"id,q\n1,\xfc\n", "row 2: q: is not UTF-8"),
        (b'id,q\n1,"a"b\n', "row 2: is not CSV"),
        (b"id,q\n1,\n", "row 2: is empty"),
        (b"id,q\n1," + b"x" * 140_000 + b"\n", "row 2: is not CSV"),
    ],
)
def test_a_bad_csv_row_says_where_and_why(content: bytes, said: str) -> None:
    assert any(fault.startswith(said) for fault in faults(imported(content, "csv")))


def test_a_csv_whose_header_is_not_utf_8_is_said_to_be_so_at_once() -> None:
    for content in ("id,q\n1,x\n".encode("utf-16"), b"id,\xfcber\n1,x\n"):
        with pytest.raises(FileUnusable, match="header line is not UTF-8: save the file as UTF-8"):
            imported(content, "csv")


def test_good_rows_are_found_between_bad_ones() -> None:
    report = imported(b'{"q": 1}\n{\n{"q": 2}\n\xff\n{"q": 3}\n')
    assert len(report.cases) == 3
    assert (report.faulty, report.rows) == (2, 5)


def test_a_line_without_end_is_one_fault_and_the_next_line_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rows_module, "LINE_BYTES_MAX", 100)
    report = imported(b"x" * 1234 + b'\n{"q": 1}\n' + b"y" * 1234)
    assert faults(report) == [
        "row 1: is longer than 100 bytes",
        "row 3: is longer than 100 bytes",
    ]
    assert len(report.cases) == 1


def test_a_mapped_column_has_to_be_in_every_row() -> None:
    report = imported('{"prompt": "x", "id": 1}\n{"text": "y"}\n', "jsonl", "question=prompt")
    assert faults(report) == [
        "row 2: question: the column 'prompt' is missing or empty; the row has: text"
    ]


@pytest.mark.parametrize(
    ("content", "format", "said"),
    [
        (b"", "csv", "no header line"),
        (b"a,a\n1,2\n", "csv", "columns twice: 'a'"),
        (b"junk", "parquet", "no Parquet"),
        (b"PAR1" + b"\xff" * 100 + b"PAR1", "parquet", "no Parquet"),
        (b"", "parquet", "no Parquet"),
    ],
)
def test_a_file_without_rows_is_refused(content: bytes, format: Format, said: str) -> None:
    with pytest.raises(FileUnusable, match=said):
        imported(content, format)


def test_a_parquet_that_unpacks_to_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "PARQUET_BYTES_MAX", 10)
    with pytest.raises(FileUnusable, match="at most 10 are read"):
        imported(parquet(q=["x" * 100]), "parquet")


def test_too_many_rows_are_refused_and_faults_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FAULTS_MAX", 3)
    report = imported("{\n" * 10)
    assert (len(report.faults), report.faults_total) == (3, 10)
    monkeypatch.setattr(module, "CASES_MAX", 4)
    with pytest.raises(FileUnusable, match="more than 4 rows"):
        imported("{\n" * 10)


@pytest.mark.parametrize("text", ["question", "=x", "question=", "a=b c", ""])
def test_a_mapping_that_is_none(text: str) -> None:
    if text == "a=b c":
        assert ColumnMapping.parse([text]).fields == {"a": "b c"}
        return
    with pytest.raises(FileUnusable, match="is not FIELD=COLUMN"):
        ColumnMapping.parse([text])
    with pytest.raises(FileUnusable, match="twice"):
        ColumnMapping.parse(["a=b", "a=c"])
