"""The bounded buffer between callers and Kafka: callers append, one thread encodes and produces.

A caller pays for an append. Everything slow (encoding, librdkafka, a schema registry) happens in
the thread, in small slices so that it never holds the interpreter for long. What does not fit, or
does not arrive, is counted by reason.
"""

import contextlib
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from confluent_kafka import KafkaError, KafkaException

from rheostat_client import ending, forking
from rheostat_client.errors import MalformedMessage, RegistryUnavailable, UnknownSchema
from rheostat_client.logs import Nagger, log
from rheostat_client.wire import Schemas, encode

DropReason = Literal["buffer_full", "invalid", "refused", "undelivered", "unsent", "closed"]
"""Why an event did not arrive.

buffer_full: Kafka took events more slowly than they came; invalid: measured values that can never
be counted; refused: the broker said no; undelivered: the broker did not take it in time; unsent:
still waiting when `close` ran out of time; closed: reported after `close`, or after the
reporter stopped because of a bug of its own.
"""
SLICE = 64
"""Events encoded between two pauses: about half a millisecond of work."""
PAUSE_S = 0.0005
POLL_S = 0.02
RETRY_S = 1.0
STUCK = frozenset({KafkaError._MSG_TIMED_OUT, KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT})
"""Delivery errors that mean that the broker was not there, not that it refused."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of every event: accepted = delivered + waiting + those dropped later."""

    accepted: int
    delivered: int
    waiting: int
    dropped: Mapping[str, int] = field(default_factory=dict)

    @property
    def lost(self) -> int:
        """Events that will not arrive."""
        return sum(self.dropped.values())


class Outbox:
    """Events on their way. Thread-safe; a forked child starts with an empty one of its own.

    `topics`: record -> topic. At most `capacity` events wait at a time, in here and in librdkafka
    together. Closed at the end of the process, whether or not its reporter is still there. Raises
    what `make_producer` raises.
    """

    def __init__(
        self,
        make_producer: Callable[[], Any],
        schemas: Schemas,
        topics: Mapping[str, str],
        capacity: int,
        close_timeout_s: float = 5.0,
    ) -> None:
        self._make_producer = make_producer
        self._schemas = schemas
        self._topics = topics
        self._capacity = capacity
        self._close_timeout_s = close_timeout_s
        self._producer: Any = make_producer()
        self._nagger = Nagger()
        self._reset()
        forking.watch(self)
        ending.at_exit(self)

    def _reset(self) -> None:
        # A signal handler may report while its own thread is inside the lock: hence re-entrant.
        self._lock = threading.RLock()
        self._wake = threading.Event()
        self._queue: deque[tuple[str, dict[str, Any]]] = deque()
        self._thread: threading.Thread | None = None
        self._idle = False
        self._fatal = False
        self._closed = False
        self._deadline = float("inf")
        self._accepted = self._delivered = self._in_flight = 0
        self._dropped: Counter[str] = Counter()

    def forked(self) -> None:
        """The parent sends what it buffered; the child begins anew at its first event."""
        forking.leak(self._producer)
        self._producer = None
        closed = self._closed
        self._reset()
        self._closed = closed

    def put(self, record: str, value: dict[str, Any]) -> bool:
        """Whether the event was taken. Never blocks, never raises."""
        with self._lock:
            if self._closed:
                return self._refuse("closed", "the reporter is closed")
            if len(self._queue) + self._in_flight >= self._capacity:
                return self._refuse("buffer_full", "Kafka is too slow or away: the buffer is full")
            self._accepted += 1
            self._queue.append((record, value))
            if self._thread is None:
                self._start()
        if self._idle:
            self._wake.set()
        return True

    def drop(self, reason: DropReason, why: str) -> None:
        """Counts an event that never got here."""
        with self._lock:
            self._refuse(reason, why)

    def counts(self) -> Counts:
        with self._lock:
            waiting = len(self._queue) + self._in_flight
            return Counts(self._accepted, self._delivered, waiting, dict(self._dropped))

    def flush(self, timeout_s: float) -> int:
        """Waits until nothing waits, at most `timeout_s`; returns how many events still do."""
        deadline = time.monotonic() + timeout_s
        self._wake.set()
        while (left := self.counts().waiting) and time.monotonic() < deadline:
            time.sleep(0.005)
        return left

    def close(self, timeout_s: float | None = None) -> int:
        """Sends what waits, at most for `timeout_s`, and ends; returns how many were lost by it.

        None: for `close_timeout_s`, as at the end of the process.
        """
        left_s = self._close_timeout_s if timeout_s is None else timeout_s
        with self._lock:
            self._closed = True
            self._deadline = time.monotonic() + left_s
            thread = self._thread
        if thread is None or not thread.is_alive():
            return 0
        self._wake.set()
        thread.join(left_s + RETRY_S + 1.0)
        return self.counts().dropped.get("unsent", 0)

    def _refuse(self, reason: DropReason, why: str, events: int = 1) -> bool:
        self._dropped[reason] += events
        self._nagger.warn(reason, f"an event was dropped ({reason}): {why}")
        return False

    def _start(self) -> None:
        thread = threading.Thread(target=self._run, name="rheostat-outbox", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the interpreter is shutting down; close() will find nothing to do
            return
        self._thread = thread
        ending.started_in_this_process()

    def _run(self) -> None:
        try:
            if self._producer is None:
                self._producer = self._make_producer()
            while not (self._closed and not self._queue and not self._in_flight):
                if time.monotonic() >= self._deadline:
                    break
                self._turn()
        except Exception:  # our own bug: reported loudly, and the caller's program goes on
            log.exception("the reporter stopped; events are dropped from here on")
            self._closed = True
        finally:
            self._abandon()

    def _turn(self) -> None:
        if self._fatal:
            self._replace()
        if not self._queue:
            if self._in_flight:
                self._producer.poll(POLL_S)
            elif not self._closed:
                self._rest()
            return
        try:
            self._send_slice()
        except BufferError:
            self._producer.poll(POLL_S)
        except RegistryUnavailable as error:
            self._nagger.warn("registry", str(error))
            self._wait(RETRY_S)
        self._producer.poll(0)
        time.sleep(PAUSE_S)

    def _send_slice(self) -> None:
        for _ in range(min(SLICE, len(self._queue))):
            record, value = self._queue[0]
            try:
                payload = encode(self._schemas.newest(record), value)
            except (MalformedMessage, UnknownSchema) as error:
                self._queue.popleft()
                self.drop("invalid", str(error))
                continue
            # Counted before it leaves the queue, so that it is never missing from both.
            self._count(1)
            try:
                self._producer.produce(
                    self._topics[record],
                    payload,
                    value["unit_id"].encode(),
                    on_delivery=self._delivery,
                )
            except BufferError:
                self._count(-1)
                raise
            except KafkaException as error:
                self._queue.popleft()
                self._settle(error.args[0])
            else:
                self._queue.popleft()

    def _count(self, change: int) -> None:
        with self._lock:
            self._in_flight += change

    def _delivery(self, error: Any, _message: Any) -> None:
        self._settle(error)

    def _settle(self, error: Any) -> None:
        with self._lock:
            self._in_flight -= 1
            if error is None:
                self._delivered += 1
                return
            reason: DropReason = "undelivered" if error.code() in STUCK else "refused"
            if self._closed and error.code() in STUCK:
                reason = "unsent"
            self._refuse(reason, error.str())
            self._fatal = self._fatal or error.fatal()

    def _replace(self) -> None:
        """An idempotent producer with a fatal error sends nothing any more: another takes over."""
        self._producer.purge()
        self._producer.poll(POLL_S)
        self._producer = self._make_producer()
        self._fatal = False

    def _rest(self) -> None:
        self._idle = True
        # An event may have come before it could see that we rest.
        if not self._queue and not self._closed:
            self._wake.wait()
        self._idle = False
        self._wake.clear()

    def _wait(self, timeout_s: float) -> None:
        self._wake.wait(min(timeout_s, max(0.0, self._deadline - time.monotonic())))
        self._wake.clear()

    def _abandon(self) -> None:
        """Counts what could not be sent, so that nothing is silently missing."""
        if self._in_flight and self._producer is not None:
            with contextlib.suppress(Exception):  # it may be what failed us
                self._producer.purge()
                self._producer.poll(POLL_S)
        with self._lock:
            left = len(self._queue) + self._in_flight
            self._queue.clear()
            self._in_flight = 0
            if left:
                self._refuse("unsent", f"{left} events still waited at the end", left)
