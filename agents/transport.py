"""Faust's Kafka transport, reading committed records only, and each of them.

Under its at-least-once guarantee Faust reads uncommitted records, so partials of an aborted
transaction would count. And what it fetched while a rebalance held the flow it throws away, goes
back to the committed offsets, and leaves a partition that has none where it is: its records up to
there would never be seen. Its driver offers no setting for either, hence three small subclasses.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from faust.transport.drivers import aiokafka as driver
from faust.types import TP

FETCH_MAX_WAIT_MS = 200
"""How long the broker holds an empty fetch. The driver's 1500 delays a newly assigned partition."""


class CommittedReadsThread(driver.AIOKafkaConsumerThread):
    """The thread that owns the client."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        # Both are read when the client starts, which is after this.
        consumer._isolation_level = "read_committed"
        consumer._fetch_max_wait_ms = FETCH_MAX_WAIT_MS
        return consumer

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Where reading goes on: at the committed offsets; where none is, at the beginning."""
        found: Mapping[TP, int] = await self.call_thread(self._seek_to_committed)
        return found

    async def _seek_to_committed(self) -> Mapping[TP, int]:
        consumer = self._ensure_consumer()
        committed: Mapping[TP, int] = await consumer.seek_to_committed()
        unread = [place for place, offset in committed.items() if not offset]
        if unread:
            await consumer.seek_to_beginning(*unread)
        return committed


class CommittedReadsConsumer(driver.Consumer):
    """A consumer in such a thread."""

    def _new_consumer_thread(self) -> CommittedReadsThread:
        return CommittedReadsThread(self, loop=self.loop, beacon=self.beacon)


class CommittedReads(driver.Transport):
    """The aiokafka transport with read_committed consumers."""

    Consumer = CommittedReadsConsumer


def on(app: Any) -> CommittedReads:
    """The transport of an app that is not started yet."""
    return CommittedReads(app.conf.broker_consumer, app, loop=_loop_of(app))


def _loop_of(app: Any) -> asyncio.AbstractEventLoop | None:
    loop: asyncio.AbstractEventLoop | None = app.loop
    return loop
