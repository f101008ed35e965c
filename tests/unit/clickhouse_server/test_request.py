"""What a request asks for: SQL and data told apart, whatever stands in quotes and comments."""

import pytest

from infra.clickhouse_server.errors import ServerError
from infra.clickhouse_server.request import (
    Session,
    Statement,
    only_reads,
    output_format,
    session,
    settings_and_params,
    statement,
    url_parameters,
)


@pytest.mark.parametrize(
    ("sql", "name"),
    [
        ("SELECT 1", "TSV"),
        ("SELECT 1 FORMAT JSON", "JSON"),
        ("select 1\nformat\tJSONEachRow ;\n", "JSONEachRow"),
        ("SELECT 1 FORMAT CSV SETTINGS max_threads = 1", "CSV"),
        ("SELECT ' FORMAT CSV'", "TSV"),
        ("SELECT 1 -- it's one\nFORMAT CSV", "CSV"),
        ("SELECT 1 FORMAT CSV -- FORMAT JSON", "CSV"),
        ("SELECT 1 /* ' */ FORMAT CSV", "CSV"),
        ("SELECT $$ FORMAT CSV$$", "TSV"),
        ("SELECT 'it''s \\' FORMAT CSV'", "TSV"),
        ("SELECT format FROM t", "TSV"),
    ],
)
def test_the_output_format_is_that_of_the_clause(sql: str, name: str) -> None:
    assert output_format(sql, "TSV") == name


@pytest.mark.parametrize(
    ("query", "body", "wanted"),
    [
        ("SELECT 1", b"", Statement("SELECT 1", "TSV")),
        ("", b"SELECT 1 FORMAT CSV", Statement("SELECT 1 FORMAT CSV", "CSV")),
        ("SELECT *", b"FROM t", Statement("SELECT *\nFROM t", "TSV")),
        (
            "INSERT INTO t FORMAT CSV",
            b"1,2\n;",
            Statement("INSERT INTO t", "TSV", "CSV", b"1,2\n;"),
        ),
        ("INSERT INTO t", b"(1),(2)", Statement("INSERT INTO t", "TSV", "Values", b"(1),(2)")),
        ("", b"INSERT INTO t FORMAT CSV\n1,2", Statement("INSERT INTO t", "TSV", "CSV", b"1,2")),
        (
            "",
            b"/* it's */ INSERT INTO t (`a;b`) FORMAT RowBinary\r\n\xff\x00;",
            Statement("/* it's */ INSERT INTO t (`a;b`)", "TSV", "RowBinary", b"\xff\x00;"),
        ),
        (
            "",
            b"INSERT INTO t FORMAT CSV\n-- 1\n",
            Statement("INSERT INTO t", "TSV", "CSV", b"-- 1\n"),
        ),
        ("", b"INSERT INTO t VALUES (';')", Statement("INSERT INTO t VALUES (';')", "TSV")),
        ("INSERT INTO t SELECT 1", b"", Statement("INSERT INTO t SELECT 1", "TSV")),
        (
            "INSERT INTO t SELECT * FROM",
            b"u",
            Statement("INSERT INTO t SELECT * FROM\nu", "TSV"),
        ),
    ],
)
def test_query_and_body_are_joined_as_clickhouse_does(
    query: str, body: bytes, wanted: Statement
) -> None:
    assert statement(query, body, "TSV") == wanted


@pytest.mark.parametrize("sql", ["SELECT 1; DROP TABLE t", "SELECT 1 ; -- x\nSELECT 2"])
def test_several_statements_are_refused(sql: str) -> None:
    with pytest.raises(ServerError) as refused:
        statement("", sql.encode(), "TSV")
    assert refused.value.code == 62
    with pytest.raises(ServerError):
        statement(sql, b"", "TSV")


@pytest.mark.parametrize("sql", ["SELECT 1;", "SELECT ';'; ", "SELECT 1 -- ;\n", "SELECT $a$;$a$"])
def test_a_semicolon_at_the_end_or_in_quotes_is_fine(sql: str) -> None:
    assert statement(sql, b"", "TSV").sql == sql


def test_sql_that_is_not_utf8_is_refused_and_not_changed() -> None:
    with pytest.raises(ServerError, match="byte 8 is wrong"):
        statement("", b"SELECT '\xff'", "TSV")
    with pytest.raises(ServerError, match="not UTF-8"):
        url_parameters(b"query=SELECT+'%FF'")
    assert url_parameters(b"query=SELECT+'%C3%A9'&a=&a=2") == {"query": "SELECT 'é'", "a": "2"}


@pytest.mark.parametrize(
    ("sql", "reads"),
    [
        ("SELECT 1", True),
        ("  -- INSERT\n (select 1)", True),
        ("WITH 1 AS x SELECT x, 'INSERT'", True),
        ("SHOW TABLES", True),
        ("INSERT INTO t VALUES (1)", False),
        ("WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x", False),
        ("SELECT 1 INTO OUTFILE 'x'", False),
        ("DROP TABLE t", False),
        ("ALTER TABLE t DELETE WHERE 1", False),
        ("", False),
    ],
)
def test_what_surely_only_reads(sql: str, reads: bool) -> None:
    assert only_reads(sql) is reads


def test_settings_and_parameters_are_told_from_the_protocols_own() -> None:
    url = {
        "query": "SELECT 1",
        "param_a": "1",
        "max_threads": "2",
        "compress": "1",
        "user": "u",
        "ids_structure": "x UInt8",
        "ids_format": "CSV",
        "date_time_input_format": "best_effort",
    }
    settings, params = settings_and_params(url)
    assert settings == {"max_threads": "2", "date_time_input_format": "best_effort"}
    assert params == {"a": "1"}


def test_sessions_have_a_bounded_life() -> None:
    assert session({}, 60) is None
    assert session({"session_id": "s"}, 60) == Session("s", 60, False)
    asked = {"session_id": "s", "session_timeout": "99999", "session_check": "1"}
    assert session(asked, 60) == Session("s", 3600, True)
