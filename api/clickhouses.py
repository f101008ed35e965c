"""ClickHouse for many requests at once: a few connections, each used by one question at a time."""

import asyncio
from collections.abc import Callable
from queue import LifoQueue
from typing import TypeVar

import structlog
from anyio import to_thread

from sinks.clickhouse import ClickHouse
from sinks.errors import Backpressure

log = structlog.get_logger(__name__)
T = TypeVar("T")
WAIT_S = 10.0
"""For a connection that is free: longer, and the caller is asked to come back."""


class ClickHouses:
    """At most `size` questions at a time. `connect` makes a connection; nothing connects before
    the first question."""

    def __init__(self, connect: Callable[[], ClickHouse], size: int) -> None:
        self._free: LifoQueue[ClickHouse] = LifoQueue()
        self._made = [connect() for _ in range(size)]
        for connection in self._made:
            self._free.put(connection)
        self._turns = asyncio.Semaphore(size)

    async def ask(self, question: Callable[[ClickHouse], T]) -> T:
        """What `question` returns, called in a thread with a connection of its own.

        What ClickHouse's client says of addresses and queries goes to the log, not to callers.
        Raises Backpressure (a 503 to the caller) when ClickHouse is away or all connections stay
        busy, SinkBroken when it refuses.
        """
        try:
            await asyncio.wait_for(self._turns.acquire(), WAIT_S)
        except TimeoutError as error:
            text = f"all {len(self._made)} connections to ClickHouse are busy"
            raise Backpressure(text, 2.0) from error
        try:
            return await to_thread.run_sync(self._asked, question)
        except Backpressure as error:
            log.warning("a question was not answered", why=str(error))
            raise Backpressure(str(error).partition(":")[0], error.retry_after_s) from error
        finally:
            self._turns.release()

    def close(self) -> None:
        """Forgets the connections."""
        for connection in self._made:
            connection.close()

    def _asked(self, question: Callable[[ClickHouse], T]) -> T:
        connection = self._free.get_nowait()
        try:
            return question(connection)
        finally:
            self._free.put(connection)
