"""The one connection to ClickHouse: clickhouse-connect over HTTP, with its errors mapped here."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import clickhouse_connect
import pyarrow as pa
import urllib3.exceptions
from clickhouse_connect.driver.exceptions import (
    ClickHouseError,
    DataError,
    InterfaceError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
)

from sinks.errors import Backpressure, SinkBroken

TRY_AGAIN = frozenset(
    {
        159,  # TIMEOUT_EXCEEDED
        164,  # READONLY: a replica that lost its coordination
        198,  # DNS_ERROR
        202,  # TOO_MANY_SIMULTANEOUS_QUERIES
        209,  # SOCKET_TIMEOUT
        210,  # NETWORK_ERROR
        225,  # NO_ZOOKEEPER
        236,  # ABORTED: the server stops
        241,  # MEMORY_LIMIT_EXCEEDED
        242,  # TABLE_IS_READ_ONLY
        243,  # NOT_ENOUGH_SPACE
        252,  # TOO_MANY_PARTS
        279,  # ALL_CONNECTION_TRIES_FAILED
        285,  # TOO_FEW_LIVE_REPLICAS
        319,  # UNKNOWN_STATUS_OF_INSERT
        394,  # QUERY_WAS_CANCELLED
        439,  # CANNOT_SCHEDULE_TASK
        999,  # KEEPER_EXCEPTION
    }
)
"""Codes of conditions that pass by themselves; any other code is a fault that repeats."""

CLIENT_SIDE = (DataError, InterfaceError, NotSupportedError, ProgrammingError)
"""What the client library raises without asking the server, when we call it wrongly."""

INSERT_SETTINGS: Mapping[str, str | int] = {
    "async_insert": 0,
    "insert_deduplicate": 1,
    # The roll-ups recognise a repeated block by the same token.
    "deduplicate_blocks_in_dependent_materialized_views": 1,
    # One insert is one block, so that the token means the same rows every time.
    "max_insert_block_size": 10_000_000,
    "min_insert_block_size_rows": 10_000_000,
    "min_insert_block_size_bytes": 1_000_000_000,
    "input_format_parallel_parsing": 0,
    "max_partitions_per_insert_block": 1000,
}


@dataclass(slots=True)
class ClickHouse:
    """Connects when first used and again after a failure. Not for several threads."""

    url: str = field(repr=False)
    database: str = "rheostat"
    connect_timeout_s: float = 5.0
    timeout_s: float = 120.0
    _client: Any = field(init=False, default=None, repr=False)

    def insert(self, table: str, rows: pa.Table, token: str) -> None:
        """Inserts rows once, however often it is called with this token.

        Raises Backpressure when it may be repeated, SinkBroken when that cannot help.
        """
        settings = {**INSERT_SETTINGS, "insert_deduplication_token": token}
        self._call("insert_arrow", table, rows, database=self.database, settings=settings)

    def command(self, sql: str) -> Any:
        """Runs a statement that returns at most one value."""
        return self._call("command", sql)

    def rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Runs a query."""
        result = self._call("query", sql, parameters=dict(parameters or {}))
        return [tuple(row) for row in result.result_rows]

    def close(self) -> None:
        """Forgets the connection."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        try:
            if self._client is None:
                self._client = self._connect()
            return getattr(self._client, method)(*args, **kwargs)
        except OperationalError as error:
            self.close()
            raise Backpressure(f"ClickHouse does not answer: {_first_line(error)}") from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            self.close()
            raise Backpressure(f"ClickHouse does not answer: {_first_line(error)}") from error
        except ClickHouseError as error:
            code = error_code(error)
            ours = code is None and isinstance(error, CLIENT_SIDE)
            if not ours and (code is None or code in TRY_AGAIN):
                self.close()
                raise Backpressure(f"ClickHouse asks to wait: {_first_line(error)}", 2.0) from error
            raise SinkBroken(f"ClickHouse refuses: {_first_line(error)}") from error

    def _connect(self) -> Any:
        return clickhouse_connect.get_client(
            dsn=self.url,
            connect_timeout=self.connect_timeout_s,
            send_receive_timeout=self.timeout_s,
            # A session would make one insert wait for another.
            autogenerate_session_id=False,
            compress="lz4" if not _is_loopback(self.url) else False,
        )


def error_code(error: Exception) -> int | None:
    """ClickHouse's exception code, None when the error is not the server's."""
    found = re.search(r"[Cc]ode: (\d+)", str(error))
    return int(found[1]) if found else None


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:500] if str(error).strip() else repr(error)


def _is_loopback(url: str) -> bool:
    return re.search(r"(//|@)(127\.0\.0\.1|localhost|\[::1\])[:/]?", url) is not None
