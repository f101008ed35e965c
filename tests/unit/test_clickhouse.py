"""What an error of ClickHouse means: wait, or stop because repeating cannot help."""

from typing import Any

import pytest
import urllib3.exceptions
from clickhouse_connect.driver.exceptions import (
    DatabaseError,
    DataError,
    OperationalError,
    ProgrammingError,
)

from sinks.clickhouse import ClickHouse
from sinks.errors import Backpressure, SinkBroken


class Failing:
    """A client of clickhouse-connect that raises."""

    def __init__(self, error: Exception) -> None:
        self.error, self.closed = error, False

    def command(self, *_: Any) -> None:
        raise self.error

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize(
    "error",
    [
        OperationalError("Error executing HTTP request"),
        urllib3.exceptions.ProtocolError("Connection aborted."),
        ConnectionResetError("reset"),
        TimeoutError("timed out"),
        DatabaseError("HTTPDriver returned response code 502"),
        DatabaseError("Code: 241. DB::Exception: memory limit exceeded"),
        DatabaseError("Code: 252. DB::Exception: Too many parts"),
        DatabaseError("Code: 236. DB::Exception: the server stops"),
    ],
)
def test_what_passes_by_itself_is_waited_for_on_a_new_connection(error: Exception) -> None:
    server, failing = ClickHouse("http://127.0.0.1:1"), Failing(error)
    server._client = failing
    with pytest.raises(Backpressure) as wait:
        server.command("SELECT 1")
    assert wait.value.retry_after_s > 0
    assert failing.closed


@pytest.mark.parametrize(
    "error",
    [
        DatabaseError("Code: 16. DB::Exception: No such column x in table y"),
        DatabaseError("Code: 60. DB::Exception: Table t does not exist"),
        DatabaseError("Code: 516. DB::Exception: Authentication failed"),
        ProgrammingError("No data specified for insert"),
        DataError("Unable to create native array"),
    ],
)
def test_a_fault_that_repeats_stops(error: Exception) -> None:
    """A wrong call of the client library, too: as an outage it would be repeated for ever."""
    server = ClickHouse("http://127.0.0.1:1")
    server._client = Failing(error)
    with pytest.raises(SinkBroken):
        server.command("SELECT 1")


def test_the_address_and_its_password_are_never_shown() -> None:
    assert "secret" not in repr(ClickHouse("http://user:secret@127.0.0.1:1"))


def test_other_errors_are_ours_and_pass_through() -> None:
    server = ClickHouse("http://127.0.0.1:1")
    server._client = Failing(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        server.command("SELECT 1")
