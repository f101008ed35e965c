"""Sends the plan at its pace, each request served by the A/B test or the present selection."""

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaError, Message, Producer

from infra.demo.events import Run, event
from infra.demo.feed import Bulletin
from infra.demo.malformed import REASONS, Malformation, malform
from infra.demo.plan import Broken, Plan, Request
from infra.demo.routing import Choice, by_selection, by_test, takes_part
from schemas.entities import AbTest, Entity, Model, SelectionPolicy
from schemas.topics import Topic
from schemas.wire import Codec
from sinks.reader import Coordinate
from streams.kafka import KafkaConfig

FLUSH_S = 60.0
NAP_S = 0.05
"""Longest sleep between looks at the stop signal and at deliveries."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The registry's facts that routing needs."""

    test: AbTest
    policies: Mapping[str, SelectionPolicy]
    versions: Mapping[str, str]

    @classmethod
    def of(cls, entities: tuple[Entity, ...]) -> "Rules":
        """From a registry file with one A/B test."""
        (test,) = (e for e in entities if isinstance(e, AbTest))
        policies = {e.capability: e for e in entities if isinstance(e, SelectionPolicy)}
        versions = {e.model_id: e.model_version for e in entities if isinstance(e, Model)}
        return cls(test, policies, versions)

    def choose(self, request: Request, bulletin: Bulletin) -> Choice:
        """Who serves the request."""
        unit = request.unit_id
        if takes_part(self.test, request.capability, unit):
            return by_test(self.test, self.versions, unit)
        policy = self.policies[request.capability]
        first = policy.fallback[0]
        default = Choice(first, self.versions[first], 1.0)
        return by_selection(bulletin.selection(request.capability), policy, default, unit)


@dataclass(frozen=True, slots=True)
class ReplayConfig:
    """Where to and how fast. `speed`: trace seconds per second."""

    kafka: KafkaConfig
    run: Run
    speed: float
    retention_days: int


@dataclass(frozen=True, slots=True)
class Sent:
    """What the broker acknowledged, by kind. `by_test` has '' for the selection's traffic."""

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

    def __init__(
        self, config: ReplayConfig, plan: Plan, rules: Rules, bulletin: Bulletin, codec: Codec
    ) -> None:
        self._config = config
        self._plan = plan
        self._rules = rules
        self._bulletin = bulletin
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
        begin = time.monotonic()
        for item in self._plan.items:
            due = begin + item.at_ms / 1000 / self._config.speed
            while (left := due - time.monotonic()) > 0 and not stop.is_set():
                self._producer.poll(min(left, NAP_S))
            if stop.is_set():
                break
            self._send(item)
            self._trace_ms = item.at_ms
        left_over = self._producer.flush(FLUSH_S)
        with self._lock:
            if left_over:
                self._failures.append(f"{left_over} records were not acknowledged in time")
            self._finished = not stop.is_set()

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

    def _send(self, item: Request | Broken) -> None:
        request = item if isinstance(item, Request) else item.victim
        choice = self._rules.choose(request, self._bulletin)
        value = event(self._config.run, request, choice)
        if isinstance(item, Broken):
            days = self._config.retention_days
            payload = malform(item.kind, value, self._codec, days)
            self._produce(payload, request, self._bad_delivered(item.kind))
        else:
            payload = self._codec.encode("InferenceEvent", value)
            self._produce(payload, request, self._good_delivered(choice.ab_test_id or ""))

    def _produce(self, payload: bytes, request: Request, delivered: Callable[..., None]) -> None:
        while True:
            try:
                self._producer.produce(
                    self.topic, payload, request.unit_id.encode(), on_delivery=delivered
                )
            except BufferError:  # the queue is full: wait for deliveries
                self._producer.poll(NAP_S)
            else:
                self._producer.poll(0)
                return

    def _good_delivered(self, test: str) -> Callable[..., None]:
        def delivered(error: KafkaError | None, _: Message) -> None:
            with self._lock:
                if error is None:
                    self._good[test] += 1
                else:
                    self._failures.append(str(error))

        return delivered

    def _bad_delivered(self, kind: Malformation) -> Callable[..., None]:
        def delivered(error: KafkaError | None, message: Any) -> None:
            with self._lock:
                if error is None:
                    self._bad[kind].append(Coordinate(message.partition(), message.offset()))
                else:
                    self._failures.append(str(error))

        return delivered
