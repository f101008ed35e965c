"""Runs requests on the engine: a connection a request, or the session's."""

import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import chdb

from infra.clickhouse_server.errors import (
    READONLY,
    SESSION_IS_LOCKED,
    SESSION_NOT_FOUND,
    TOO_MANY_SIMULTANEOUS_QUERIES,
    ServerError,
    from_engine,
)
from infra.clickhouse_server.request import Request, Session, Statement, only_reads

ENGINE_ERRORS = (chdb.ChdbError, RuntimeError, ValueError)
"""What chDB raises for a failed statement."""
QUEUE_S = 30.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a statement returned. Counts are the engine's own."""

    body: bytes
    rows_read: int
    bytes_read: int
    rows_written: int
    bytes_written: int
    elapsed_s: float


@dataclass(slots=True)
class _Held:
    """A session's connection; the lock is taken while a query runs."""

    connection: Any
    expires_s: float
    lock: threading.Lock = field(default_factory=threading.Lock)


class Engine:
    """One data directory. Thread-safe; at most `concurrency` statements run at once."""

    def __init__(self, path: Path, concurrency: int, defaults: Mapping[str, str]) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self._path = str(path)
        self._defaults = dict(defaults)
        self._slots = threading.BoundedSemaphore(concurrency)
        self._sessions: dict[str, _Held] = {}
        self._guard = threading.Lock()
        # The engine lives as long as one connection does.
        self._root = chdb.connect(self._path)

    def run(self, request: Request) -> Outcome:
        """Raises ServerError."""
        if not self._slots.acquire(timeout=QUEUE_S):
            raise ServerError(
                TOO_MANY_SIMULTANEOUS_QUERIES,
                f"Too many simultaneous queries: none ended within {QUEUE_S:g} s",
                "TOO_MANY_SIMULTANEOUS_QUERIES",
            )
        try:
            with self._connection(request.session, request.settings) as connection:
                return self._on(connection, request)
        except ENGINE_ERRORS as error:
            raise from_engine(error) from error
        finally:
            self._slots.release()

    def close(self) -> None:
        """Waits for nothing: statements that run end with the process."""
        with self._guard:
            for held in self._sessions.values():
                held.connection.close()
            self._sessions.clear()
        self._root.close()

    def _on(self, connection: Any, request: Request) -> Outcome:
        began = time.perf_counter()
        if request.database:
            connection.query(f"USE {_identifier(request.database)}")
        for name, value in request.settings.items():
            connection.query(f"SET {_identifier(name)} = {_literal(value)}")
        for table in request.external:
            name = _identifier(table.name)
            connection.query(f"CREATE TEMPORARY TABLE {name} ({table.structure})")
            _insert(connection, f"INSERT INTO {name}", table.format, table.data)
        if request.readonly:
            _forbid_writes(connection, request)
        return _statement(connection, request.statement, request.params, began)

    @contextmanager
    def _connection(self, session: Session | None, settings: Mapping[str, str]) -> Iterator[Any]:
        if session is None:
            connection = self._new()
            try:
                yield connection
            finally:
                connection.close()
            return
        held = self._held(session)
        before: list[str] = []
        try:
            before = _state(held.connection, settings)
            yield held.connection
        finally:
            self._put_back(session, held, before)

    def _put_back(self, session: Session, held: _Held, before: Sequence[str]) -> None:
        """Settings of a request are its own; only what SQL set belongs to the session."""
        # A session that SQL made read-only refuses: then the request could set nothing either.
        with suppress(*ENGINE_ERRORS):
            for statement in before:
                held.connection.query(statement)
        held.expires_s = time.monotonic() + session.timeout_s
        held.lock.release()

    def _new(self) -> Any:
        connection = chdb.connect(self._path)
        for name, value in self._defaults.items():
            connection.query(f"SET {_identifier(name)} = {_literal(value)}")
        return connection

    def _held(self, session: Session) -> _Held:
        """The session's connection with its lock taken."""
        now = time.monotonic()
        with self._guard:
            for name, held in list(self._sessions.items()):
                if held.expires_s < now and held.lock.acquire(blocking=False):
                    held.connection.close()
                    del self._sessions[name]
            held_now = self._sessions.get(session.session_id)
            if held_now is None and session.must_exist:
                text = f"Session {session.session_id} not found"
                raise ServerError(SESSION_NOT_FOUND, text, "SESSION_NOT_FOUND")
            if held_now is None:
                held_now = _Held(self._new(), now + session.timeout_s)
                self._sessions[session.session_id] = held_now
            if not held_now.lock.acquire(blocking=False):
                text = f"Session {session.session_id} is locked by a concurrent client"
                raise ServerError(SESSION_IS_LOCKED, text, "SESSION_IS_LOCKED")
            return held_now


def _forbid_writes(connection: Any, request: Request) -> None:
    """Raises ServerError when a session's statement is not sure to only read."""
    if request.session is None:
        connection.query(f"SET readonly = {request.readonly}")
    elif request.statement.insert_format is not None or not only_reads(request.statement.sql):
        # The setting would stay for good: it cannot be changed once it is on.
        raise ServerError(READONLY, "Cannot execute query in readonly mode", "READONLY")


def _statement(
    connection: Any, statement: Statement, params: Mapping[str, str], began: float
) -> Outcome:
    if statement.insert_format is not None:
        written = _insert(connection, statement.sql, statement.insert_format, statement.data)
        elapsed = time.perf_counter() - began
        return Outcome(b"", written, len(statement.data), written, len(statement.data), elapsed)
    result = connection.query(statement.sql, statement.output_format, params=dict(params) or None)
    return Outcome(
        body=bytes(result.bytes() or b""),
        rows_read=result.storage_rows_read(),
        bytes_read=result.storage_bytes_read(),
        rows_written=result.rows_written(),
        bytes_written=result.bytes_written(),
        elapsed_s=time.perf_counter() - began,
    )


def _state(connection: Any, settings: Mapping[str, str]) -> list[str]:
    """Statements that bring a connection back to where it is now: database and these settings."""
    database = json.loads(connection.query("SELECT currentDatabase()", "JSONCompact").bytes())
    statements = [f"USE {_identifier(database['data'][0][0])}"]
    if settings:
        names = ", ".join(_literal(name) for name in settings)
        sql = f"SELECT name, value, changed FROM system.settings WHERE name IN ({names})"
        rows = json.loads(connection.query(sql, "JSONCompact").bytes())["data"]
        statements += [
            f"SET {_identifier(name)} = {_literal(value) if changed else 'DEFAULT'}"
            for name, value, changed in rows
        ]
    return statements


def _insert(connection: Any, sql: str, data_format: str, data: bytes) -> int:
    """Rows written."""
    with connection.send_insert(sql, data_format) as inserter:
        if data:
            inserter.append(data)
        return int(inserter.finish().rows_written)


def _identifier(name: str) -> str:
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def _literal(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
