"""Answers that were paid for, kept in a SQLite file beside the runner.

An answer is found again by everything that determines it: the organisation, the model and its
version, the address, the protocol, the request's body as it is sent, and the epoch. Runners on one
machine share the file; others have their own. An answer is written soon after it came and before
its result is committed: a runner that is killed in between finds it when it executes the case
again. What is lost with the machine is only a chance to save a call.
"""

import asyncio
import hashlib
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from time import time

import orjson
import structlog

from agents.evaluation.runner.adapters.base import Answer
from agents.evaluation.runner.call import Called
from schemas.evaluations import EvaluationCase

CREATE = """
CREATE TABLE IF NOT EXISTS answers (
    key BLOB PRIMARY KEY, made_for TEXT NOT NULL, made_at REAL NOT NULL, called BLOB NOT NULL
) WITHOUT ROWID
"""
BUSY_S = 5.0
PRUNE_EVERY = 10_000
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer as it was kept. `own`: it was made for this very case, so its cost is the case's.

    `calls`: made for it.
    """

    called: Called
    calls: int
    own: bool


@dataclass(slots=True)
class AnswerCache:
    """One event loop's. `put` is cheap: `keep` writes what was put, as soon as the file is free.

    A file that cannot be used is an error at the start, and afterwards a cache that finds nothing:
    the runner works on. `days`: how long answers are kept.
    """

    path: Path
    days: float = 30.0
    _reading: sqlite3.Connection = field(init=False)
    _writing: sqlite3.Connection = field(init=False)
    _put: asyncio.Event = field(default_factory=asyncio.Event)
    _fresh: dict[bytes, tuple[bytes, str, float, bytes]] = field(default_factory=dict)
    _written: int = 0

    def __post_init__(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # Apart, so that nobody who reads waits for another process's writing.
        self._writing, self._reading = self._connect(), self._connect()
        self._writing.execute(CREATE)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, timeout=BUSY_S, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA journal_mode=WAL")
        # Survives the death of the process; after the machine's, the last answers are asked again.
        connection.execute("PRAGMA synchronous=NORMAL")
        return connection

    def get(self, key: bytes, made_for: str) -> Kept | None:
        """Raises sqlite3.Error when the file cannot be read now."""
        row = self._fresh.get(key)
        if row is None:
            row = self._reading.execute(
                "SELECT key, made_for, made_at, called FROM answers WHERE key = ?", (key,)
            ).fetchone()
        if row is None:
            return None
        value = orjson.loads(row[3])
        called = Called(Answer(*value["answer"]), value["latency_ms"], value["ttft_ms"])
        return Kept(called, value["calls"], row[1] == made_for)

    def put(self, key: bytes, made_for: str, called: Called, calls: int, now_s: float) -> None:
        """Kept from now on; on disk some milliseconds later."""
        a = called.answer
        answer = (
            a.text,
            a.finish_reason,
            a.input_tokens,
            a.output_tokens,
            a.cached_input_tokens,
            a.cost_usd,
        )
        value = {
            "answer": answer,
            "latency_ms": called.latency_ms,
            "ttft_ms": called.ttft_ms,
            "calls": calls,
        }
        self._fresh[key] = (key, made_for, now_s, orjson.dumps(value))
        self._put.set()

    async def keep(self) -> None:
        """Writes until it is cancelled. A disk that is full costs the cache, not the run."""
        while True:
            await self._put.wait()
            self._put.clear()
            try:
                await asyncio.to_thread(self.flush, time())
            except sqlite3.Error as error:
                log.warning("answers not kept on disk", error=str(error))
                await asyncio.sleep(BUSY_S)
                self._put.set()

    def flush(self, now_s: float) -> int:
        """Writes what is new; returns how many. Raises sqlite3.Error; the answers then wait."""
        rows = list(self._fresh.values())
        if not rows:
            return 0
        insert = "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?)"
        self._writing.execute("BEGIN IMMEDIATE")
        try:
            self._writing.executemany(insert, rows)
            if self._written // PRUNE_EVERY != (self._written + len(rows)) // PRUNE_EVERY:
                oldest_s = now_s - self.days * 86_400
                self._writing.execute("DELETE FROM answers WHERE made_at < ?", (oldest_s,))
            self._writing.execute("COMMIT")
        except sqlite3.Error:
            if self._writing.in_transaction:
                self._writing.execute("ROLLBACK")
            raise
        self._written += len(rows)
        for row in rows:
            if self._fresh.get(row[0]) is row:
                del self._fresh[row[0]]
        return len(rows)

    def close(self) -> None:
        self._reading.close()
        self._writing.close()


def cache_key(case: EvaluationCase, style: str, base_url: str, body: bytes) -> bytes:
    """16 bytes of everything that determines the answer."""
    parts = (case.org_id, case.model_id, case.model_version, style, base_url, str(case.epoch))
    digest = hashlib.blake2b("\x00".join(parts).encode("utf-8", "surrogatepass"), digest_size=16)
    digest.update(b"\x00")
    digest.update(body)
    return digest.digest()


def made_for(case: EvaluationCase) -> str:
    """The case in its run; model and epoch are in the key."""
    return f"{case.run_id}/{case.case_id}"
