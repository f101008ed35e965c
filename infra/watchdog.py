"""Ends a process that hangs, so that whoever supervises it starts it again.

A loop that stands still is seen at /healthz after a minute, and Kubernetes acts on that by itself;
`rheostat up` and most others act on a process that ends.
"""

import os
import threading
from collections.abc import Callable

import structlog

from streams.kafka import EXIT_HUNG
from streams.telemetry import Health

HUNG_S = 300.0
"""Longer than a loop may wait by design between two beats.

Most is the end of a failed transaction and the next look at committed offsets: 30 s for aborting
it, five times 30 s for a new producer, 60 s for the offsets. A transaction itself has 40 s for its
offsets and five times 30 s for its commit; an answer of ClickHouse 120 s.
"""
LOOK_S = 5.0
log = structlog.get_logger("rheostat")


def watch(
    health: Health,
    hung_s: float = HUNG_S,
    look_s: float = LOOK_S,
    end: Callable[[int], object] = os._exit,
) -> threading.Thread:
    """Looks in a thread of its own. `end` is called once, without any cleaning up: a loop that
    hangs would not answer, and everything here survives kill -9."""
    thread = threading.Thread(
        target=_watch, args=(health, hung_s, look_s, end), name="watchdog", daemon=True
    )
    thread.start()
    return thread


def _watch(health: Health, hung_s: float, look_s: float, end: Callable[[int], object]) -> None:
    pause = threading.Event()
    while not pause.wait(look_s):
        hanging = {part: round(age) for part, age in health.silent().items() if age > hung_s}
        if hanging:
            log.error("this process hangs and ends, to be started again", silent_s=hanging)
            end(EXIT_HUNG)
            return
