"""Reading files: every record with its line, every broken line as a problem, nothing dropped."""

from pathlib import Path

import pytest

from agents.errors import Problem
from infra.errors import OperatorError
from infra.produce.rows import Input, Row, columns, open_input, rows


def read(tmp_path: Path, name: str, content: bytes, delimiter: str | None = None) -> list[str]:
    """Line and outcome of every record."""
    path = tmp_path / name
    path.write_bytes(content)
    return [shown(each) for each in rows(open_input(path, "auto", delimiter))]


def shown(each: Row | Problem) -> str:
    if isinstance(each, Problem):
        return f"{each.line} !{each.text.partition(':')[0]}"
    return f"{each.line} {dict(each.values)}"


def test_json_lines(tmp_path: Path) -> None:
    content = b'\xef\xbb\xbf{"a": 1}\n\n{"a": \n[1]\n{"a": NaN}\n{"a": "\xff"}\r\n{"a": 2}'
    assert read(tmp_path, "x.jsonl", content) == [
        "1 {'a': 1}",
        "3 !is not JSON",
        "4 !is not a JSON object",
        "5 !is not JSON",
        "6 !is not JSON",
        "7 {'a': 2}",
    ]


def test_csv_with_quotes_over_lines_and_broken_rows(tmp_path: Path) -> None:
    content = b'\xef\xbb\xbfa, b\r\n1,2\r\n"x\ny",3\r\n\r\n4\r\n5,6,7\r\n\xff,8\r\n9,10\r\n'
    assert read(tmp_path, "x.csv", content) == [
        "2 {'a': '1', 'b': '2'}",
        "3 {'a': 'x\\ny', 'b': '3'}",
        "6 !has 1 cells; the header has 2",
        "7 !has 3 cells; the header has 2",
        "8 !is not UTF-8",
        "9 {'a': '9', 'b': '10'}",
    ]


def test_a_quote_that_never_ends_is_a_problem_of_its_line(tmp_path: Path) -> None:
    assert read(tmp_path, "x.csv", b'a,b\n1,2\n"3,4\n5,6\n') == [
        "2 {'a': '1', 'b': '2'}",
        "3 !is not CSV",
    ]


def test_tabs_and_other_delimiters(tmp_path: Path) -> None:
    expected = ["2 {'a': '1', 'b': '2'}"]
    assert read(tmp_path, "x.tsv", b"a\tb\n1\t2\n") == expected
    assert read(tmp_path, "x.csv", b"a;b\n1;2\n", ";") == expected


def test_empty_cells_and_absent_keys_are_none() -> None:
    row = Row(1, {"a": "", "b": {"c": 1}, "b.d": 2, "n": None}, b"")
    assert [row.get(name) for name in ("a", "b.c", "b.d", "b.e", "a.x", "z", "n")] == [
        None,
        1,
        2,
        None,
        None,
        None,
        None,
    ]


def test_columns_are_those_of_the_first_rows(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"a": {"b": 1}}\n{"c": 1}\n{"d": 1}\n')
    assert columns(Input(path, "jsonl"), sample=2) == {"a", "a.b", "c"}


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("x.parquet", "a", "say what it is with --format"),
        ("x.csv", "", "has no header line"),
        ("x.csv", "a,a\n1,2\n", "has columns twice: a"),
    ],
)
def test_files_that_make_no_sense(tmp_path: Path, name: str, content: str, text: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(OperatorError, match=text):
        list(rows(open_input(tmp_path / name, "auto", None)))
    with pytest.raises(OperatorError, match="is not a file"):
        open_input(tmp_path / "absent.csv", "auto", None)
