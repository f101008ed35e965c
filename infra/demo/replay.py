"""Sends the plan at its pace, each request served by the A/B test or the present selection.

Calls go through the client package, as an agent system's would. Only malformed records are written
to the topic as raw bytes: the client refuses to send such.
"""

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaError, Producer

from infra.demo.client import reported
from infra.demo.events import Run, event
from infra.demo.malformed import REASONS, Malformation, malform
from infra.demo.plan import Broken, Plan, Request
from infra.demo.routing import Facts, choose
from rheostat_client import Config, Reporter, Selector, SelectorOptions
from schemas.topics import Topic
from schemas.wire import Codec
from sinks.reader import Coordinate
from streams.kafka import KafkaConfig

FLUSH_S = 60.0
READY_S = 30.0
NAP_S = 0.05
"""Longest sleep between looks at the stop signal and at deliveries."""


@dataclass(frozen=True, slots=True)
class ReplayConfig:
    """Where to and how fast. `speed`: trace seconds per second."""

    kafka: KafkaConfig
    client: Config
    run: Run
    speed: float
    retention_days: int


@dataclass(frozen=True, slots=True)
class Sent:
    """What was sent, by kind: calls that the client took, bad records that the broker acknowledged.
    `by_test` has '' for the selection's traffic. Whatever did not arrive is in `failures`."""

    by_test: Mapping[str, int]
    broken: Mapping[Malformation, tuple[Coordinate, ...]]
    failures: tuple[str, ...]
    trace_ms: int
    finished: bool

    @property
    def good(self) -> int:
        return sum(self.by_test.values())

    @property
    def bad(self) -> int:
        return sum(map(len, self.broken.values()))

    @property
    def reasons(self) -> Mapping[str, int]:
        """Malformed records by the reason code they must end with."""
        found: Counter[str] = Counter()
        for kind, coordinates in self.broken.items():
            found[REASONS[kind].value] += len(coordinates)
        return found


class Replay:
    """One run of a plan. `run` sends; `sent` may be called from another thread meanwhile."""

    def __init__(self, config: ReplayConfig, plan: Plan, facts: Facts, codec: Codec) -> None:
        self._config = config
        self._plan = plan
        self._facts = facts
        self._codec = codec
        self.topic = config.kafka.topic(Topic.INFERENCE_EVENTS)
        # The client's own messages would run through the live view; failures are counted here.
        self._producer = Producer({**config.kafka.producer(), "log_level": 0})
        self._lock = threading.Lock()
        self._good: Counter[str] = Counter()
        self._bad: defaultdict[Malformation, list[Coordinate]] = defaultdict(list)
        self._failures: list[str] = []
        self._trace_ms = 0
        self._finished = False

    def run(self, stop: threading.Event) -> None:
        """Returns when everything sent is acknowledged or has failed, or soon after `stop`."""
        # No snapshot: every demo begins with what its own stack publishes.
        options = SelectorOptions(snapshot_path=None)
        with (
            Reporter(self._config.client) as reporter,
            Selector(self._config.client, self._facts.rules, options) as selector,
        ):
            if not selector.wait_ready(READY_S):
                self._fail(f"the selections were not read in time: {selector.status.trouble}")
            self._send_all(reporter, selector, stop)
            left_over = self._producer.flush(FLUSH_S) + reporter.flush(FLUSH_S)
            counts = reporter.counts
        if left_over:
            self._fail(f"{left_over} records were not acknowledged in time")
        if counts.lost:
            self._fail(f"the client lost {counts.lost} calls: {dict(counts.dropped)}")
        with self._lock:
            self._finished = not stop.is_set()

    def _send_all(self, reporter: Reporter, selector: Selector, stop: threading.Event) -> None:
        begin = time.monotonic()
        for item in self._plan.items:
            due = begin + item.at_ms / 1000 / self._config.speed
            while (left := due - time.monotonic()) > 0 and not stop.is_set():
                self._producer.poll(min(left, NAP_S))
            if stop.is_set():
                break
            self._send(item, reporter, selector)
            self._trace_ms = item.at_ms

    def sent(self) -> Sent:
        """As of now."""
        with self._lock:
            return Sent(
                dict(self._good),
                {kind: tuple(found) for kind, found in self._bad.items()},
                tuple(self._failures),
                self._trace_ms,
                self._finished,
            )

    def _send(self, item: Request | Broken, reporter: Reporter, selector: Selector) -> None:
        request = item if isinstance(item, Request) else item.victim
        choice = choose(selector, self._facts, request.capability, request.unit_id)
        value = event(self._config.run, request, choice)
        if isinstance(item, Broken):
            days = self._config.retention_days
            self._produce(malform(item.kind, value, self._codec, days), request, item.kind)
            return
        # What the client has no room for it drops and counts: that is found at the end.
        if reporter.report(reported(value)):
            with self._lock:
                self._good[choice.ab_test_id or ""] += 1

    def _produce(self, payload: bytes, request: Request, kind: Malformation) -> None:
        while True:
            try:
                self._producer.produce(
                    self.topic,
                    payload,
                    request.unit_id.encode(),
                    on_delivery=self._bad_delivered(kind),
                )
            except BufferError:  # the queue is full: wait for deliveries
                self._producer.poll(NAP_S)
            else:
                self._producer.poll(0)
                return

    def _bad_delivered(self, kind: Malformation) -> Callable[..., None]:
        def delivered(error: KafkaError | None, message: Any) -> None:
            if error is not None:
                self._fail(str(error))
                return
            with self._lock:
                self._bad[kind].append(Coordinate(message.partition(), message.offset()))

        return delivered

    def _fail(self, why: str) -> None:
        with self._lock:
            self._failures.append(why)
