"""Faust's Kafka transport, reading committed records only.

Under its at-least-once guarantee Faust reads uncommitted records, so partials of an aborted
transaction would count. Its driver offers no setting for this, hence three small subclasses.
"""

import asyncio
from typing import Any

from faust.transport.drivers import aiokafka as driver

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
