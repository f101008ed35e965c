"""Kafka's side of the runner, in a thread of its own: cases in, endings out, each exactly once.

About every COMMIT_S one transaction ends every case that is at hand, and waits for no other. What a
failed one carried is kept and goes into the next, unless the committed metadata show that it took
effect after all. When a partition leaves us in good order, cases whose call is under way are given
time to end and are committed; its other cases, and all of a partition that was lost, are its next
owner's.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from confluent_kafka import KafkaException, Producer

from agents.errors import AgentsStopped
from agents.evaluation.runner.execution import Ending
from agents.evaluation.runner.holdings import Holdings, Room
from agents.evaluation.runner.outgoing import (
    Partition,
    Place,
    Work,
    outgoing,
    read_calls,
    read_case,
)
from agents.evaluation.runner.reader import TOPICS, CaseReader, Rebalance
from agents.evaluation.runner.transactions import KAFKA_TIMEOUT_S, Transactions
from schemas.errors import MalformedMessage, UnknownSchema
from schemas.topics import Topic
from schemas.wire import Codec
from streams import telemetry
from streams.hanging import Scope
from streams.kafka import KafkaConfig, explain

LANE = "runner"
COMMIT_S = 0.05
IDLE_S = 0.2
READ_MAX = 500
ENDINGS_MAX = 500
FAILURES_MAX = 12
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class FeedConfig:
    """`instance`: the same after a restart and no other runner's; it names the transactions too."""

    kafka: KafkaConfig
    group: str
    instance: str
    session_timeout_ms: int = 10_000
    room: Room = field(default_factory=Room)


@dataclass(frozen=True, slots=True)
class Listener:
    """What the feed tells, from its own thread. `leave` returns when nobody works on the cases of
    these partitions any more; `lose`: drop them at once."""

    deliver: Callable[[Sequence[Work]], None]
    leave: Callable[[frozenset[Partition]], None]
    lose: Callable[[frozenset[Partition]], None]


@dataclass(slots=True)
class Feed:
    """`failure`: why the thread ended, if it ended by itself. `client` makes the producer."""

    config: FeedConfig
    codec: Codec
    health: telemetry.Health
    listener: Listener
    client: Callable[[dict[str, Any]], Any] = Producer
    failure: Exception | None = None
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _reader: CaseReader | None = None
    _transactions: Transactions = field(init=False)
    _holdings: Holdings = field(init=False)
    _endings: deque[tuple[Place, Ending]] = field(default_factory=deque)
    _torn: bool = False
    _failures: int = 0
    _commit_at: float = 0.0

    def start(self) -> None:
        """Begins to read."""
        self._holdings = Holdings(self.config.room)
        self._thread = threading.Thread(target=self._run, name="runner-feed", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Asks the thread to end; `alive` tells when it has."""
        self._stop.set()

    @property
    def alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def ended(self, place: Place, ending: Ending) -> None:
        """A delivered case has ended. From any thread; waits for nothing."""
        self._endings.append((place, ending))

    def _run(self) -> None:
        try:
            own = self.config
            scope = Scope(own.group, TOPICS, (Topic.CASE_RESULTS, Topic.EVALUATION_RETRIES))
            self._transactions = Transactions(own.kafka, own.instance, scope, self.client)
            self._reader = self._subscribed()
            self.health.ready(LANE)
            while not self._stop.is_set():
                self.health.beat(LANE)
                self._read()
                if time.monotonic() >= self._commit_at:
                    self._commit()
                self._cases.hold(*self._holdings.balance())
            self._let_go(self._holdings.partitions)
        except Exception as error:
            self.failure = error
            log.exception("runner's feed stopped")
        finally:
            if self._reader is not None:
                self._reader.close()

    @property
    def _cases(self) -> CaseReader:
        assert self._reader is not None
        return self._reader

    def _read(self) -> None:
        """Hands on what is there; waits for it no longer than until the next commit."""
        busy = self._holdings.held or self._holdings.batch
        wait_s = max(0.0, self._commit_at - time.monotonic()) if busy else IDLE_S
        works = [self._work(message) for message in self._cases.read(READ_MAX, wait_s)]
        # A partition that left during this very round is its next owner's.
        mine = self._holdings.partitions
        if ready := [work for work in works if work and work.place.where in mine]:
            self.listener.deliver(ready)

    def _work(self, message: Any) -> Work | None:
        """None for what is not to be executed: ended before, or no case at all."""
        place = Place(message.topic(), message.partition(), message.offset())
        value = message.value()
        if not self._holdings.deliver(place, len(value or b"")):
            return None
        try:
            return Work(place, read_case(value, self.codec), read_calls(message.headers()))
        except (MalformedMessage, UnknownSchema) as error:
            # Only our own planner and runners write here: there is no case to give a result to.
            log.error("case skipped", place=place, error=str(error))
            telemetry.SKIPPED.labels(place.topic).inc()
            self._holdings.end(place, None)
            return None

    def _commit(self) -> None:
        """Commits what has ended; what fails is tried again later.

        Raises AgentsStopped when that does not help.
        """
        self.health.beat(LANE)
        self._commit_at = time.monotonic() + COMMIT_S
        self._collect()
        if not self._holdings.batch and not self._torn:
            return
        began = time.perf_counter()
        try:
            if self._torn:
                self._recover()
                self.health.beat(LANE)
            count = len(self._holdings.batch)
            if count:
                group = self._cases.generation()
                positions = self._holdings.positions()
                self._torn = True
                self._transactions.write(self._holdings.batch.values(), positions, group)
                self._torn = False
        except KafkaException as error:
            self._failed(error)
            return
        self._holdings.batch.clear()
        if not count:
            return
        telemetry.TRANSACTION_S.observe(time.perf_counter() - began)
        telemetry.BATCHES.labels(LANE).inc()
        telemetry.BATCH_EVENTS.labels(LANE).observe(count)
        if self._failures:
            self._failures = 0
            self.health.ready(LANE)

    def _failed(self, error: KafkaException) -> None:
        self._failures += 1
        telemetry.ABORTS.inc()
        self.health.waiting(LANE, explain(error))
        log.warning("endings not committed, trying again", error=explain(error))
        if self._failures >= FAILURES_MAX:
            text = f"{self._failures} transactions in a row failed: {explain(error)}"
            raise AgentsStopped(text) from error
        self._commit_at = time.monotonic() + min(5.0, 0.05 * 2**self._failures)

    def _collect(self) -> None:
        while self._endings and len(self._holdings.batch) < ENDINGS_MAX:
            place, ending = self._endings.popleft()
            self._holdings.end(place, outgoing(ending, self.codec))
        telemetry.CASES_HELD.set(self._holdings.held)

    def _recover(self) -> None:
        """Ends the failed transaction, and learns from the broker whether it took effect."""
        self._transactions.recover()
        concerned = sorted({place.where for place in self._holdings.batch})
        self._holdings.settle(dict(self._cases.committed(concerned)))
        self._torn = False

    def _subscribed(self) -> CaseReader:
        own, told = self.config, Rebalance(self._assigned, self._revoked, self._lost)
        return CaseReader(own.kafka, own.group, own.instance, own.session_timeout_ms, told)

    def _assigned(self, gained: Sequence[Partition]) -> None:
        log.info("partitions assigned", partitions=gained)
        for attempt in range(FAILURES_MAX):
            self.health.beat(LANE)
            try:
                # The broker tells no offsets while a transaction of ours may still change them.
                self._transactions.recover()
                found = self._cases.committed(gained)
                break
            except KafkaException as error:
                log.warning("committed offsets not known yet", error=explain(error))
                if attempt == FAILURES_MAX - 1 or self._stop.wait(min(5.0, 0.2 * 2**attempt)):
                    raise
        for where, progress in found:
            self._holdings.gain(where, progress)
        self._cases.begin(found)

    def _revoked(self, gone: frozenset[Partition]) -> None:
        log.info("partitions revoked", partitions=sorted(gone))
        if gone and self.failure is None:  # a feed that failed commits nothing more
            self._let_go(gone)

    def _lost(self, gone: frozenset[Partition]) -> None:
        log.warning("partitions lost", partitions=sorted(gone))
        self.listener.lose(gone)
        self._holdings.forget(gone)

    def _let_go(self, partitions: frozenset[Partition]) -> None:
        """Commits what still ends, as far as it goes; the rest is repeated by the next owner."""
        self.listener.leave(partitions)
        deadline = time.monotonic() + KAFKA_TIMEOUT_S
        while time.monotonic() < deadline:
            self._commit()
            left = [*self._holdings.batch, *(place for place, _ in list(self._endings))]
            if not any(place.where in partitions for place in left):
                break
            time.sleep(max(0.0, self._commit_at - time.monotonic()))
        self._holdings.forget(partitions)
