"""ClickHouse's exceptions: code, name and HTTP status, out of the engine's words."""

import pytest

from infra.clickhouse_server.errors import ServerError, from_engine


@pytest.mark.parametrize(
    ("text", "code", "name", "status"),
    [
        ("Code: 60. DB::Exception: Unknown table t. (UNKNOWN_TABLE)", 60, "UNKNOWN_TABLE", 404),
        (
            "Code: 62. DB::Exception: Syntax error: at (1)\n(2). (SYNTAX_ERROR)",
            62,
            "SYNTAX_ERROR",
            400,
        ),
        ("Code: 159. DB::Exception: Timeout. (TIMEOUT_EXCEEDED)", 159, "TIMEOUT_EXCEEDED", 408),
        ("Code: 164. DB::Exception: No. (READONLY)", 164, "READONLY", 403),
        ("Code: 202. DB::Exception: Busy", 202, "", 503),
        (
            "Streaming insert finish failed: Code: 117. DB::Exception: Bad row: (at row 1)\n",
            117,
            "",
            400,
        ),
        ("connection is gone", 1002, "UNKNOWN_EXCEPTION", 400),
    ],
)
def test_the_engines_words_become_code_and_name(
    text: str, code: int, name: str, status: int
) -> None:
    error = from_engine(RuntimeError(text))
    assert (error.code, error.name, error.status) == (code, name, status)
    assert error.text.startswith(f"Code: {code}. DB::Exception: ")


def test_clients_can_parse_what_is_sent() -> None:
    error = ServerError(60, "Unknown table t", "UNKNOWN_TABLE")
    assert error.text == "Code: 60. DB::Exception: Unknown table t (UNKNOWN_TABLE)\n"
    again = from_engine(RuntimeError(error.text))
    assert (again.code, again.message, again.name) == (60, "Unknown table t", "UNKNOWN_TABLE")
