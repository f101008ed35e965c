"""Starting and steering runs from any process: send a request, wait until its effect can be seen.

Used by the command line and the API alike.

RunError(AgentError)
├── RunRefused  the request cannot be granted: why, and what to do
└── NoSuchRun   the organisation has no run of this id
"""

import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Self

from confluent_kafka import KafkaError, KafkaException, Producer

from agents.errors import AgentError, Unavailable
from agents.evaluation.planner.places import PlaceSet
from agents.evaluation.planner.plan import RunImpossible, check, check_budget
from agents.evaluation.runs import RunsView
from schemas.convert import from_record, to_record
from schemas.errors import ContractError, MalformedMessage
from schemas.evaluations import EvaluationRequest, EvaluationRun, RunAction, RunSpec, RunState
from schemas.topics import Topic
from schemas.wire import Codec
from streams.kafka import KafkaConfig
from streams.lifecycle import Startable
from streams.registry_view import RegistryView

TIMEOUT_S = 15.0
"""Longer than it takes another planner to take over from one that died."""
_RUNS = uuid.UUID("6f1d2c57-6f0c-4d43-9df2-0b6b1f3c9a10")
_ALLOWED: Mapping[RunAction, frozenset[RunState]] = {
    "cancel": frozenset({"queued", "planning", "running", "paused", "cancelling", "cancelled"}),
    "pause": frozenset({"queued", "planning", "running", "paused"}),
    "resume": frozenset({"paused", "queued", "planning", "running"}),
    "retry": frozenset({"completed", "failed", "cancelled"}),
}
"""Where an action makes sense; where it changes nothing it is no mistake either."""


class RunError(AgentError):
    """Root of what requests end in, besides Unavailable."""


class RunRefused(RunError):
    """The request was not sent. The message says why."""


class NoSuchRun(RunError):
    """The organisation has no such run."""


@dataclass(frozen=True, slots=True)
class Requester:
    """Who asks, and for which organisation."""

    author: str
    org_id: str


def run_id_of(org_id: str, request_id: str) -> str:
    """The id of the run that a request of this id starts: the same each time, no other's."""
    return str(uuid.uuid5(_RUNS, f"{org_id}/{request_id}"))


class Evaluations(Startable):
    """Sends requests. For any number of threads; every method blocks its caller only.

    `registry`, `runs`: their owner starts and closes them.
    """

    def __init__(
        self, kafka: KafkaConfig, codec: Codec, registry: RegistryView, runs: RunsView
    ) -> None:
        self._topic = kafka.topic(Topic.EVALUATION_REQUESTS)
        self._codec = codec
        self._registry = registry
        self.runs = runs
        self._producer: Any = Producer(
            kafka.producer(linger_ms=0, message_timeout_ms=int(TIMEOUT_S * 1000))
        )
        self._stop = threading.Event()
        self._serving = threading.Thread(target=self._serve, name="evaluations", daemon=True)

    def start(self) -> Self:
        """Returns at once, also while Kafka is away."""
        self._serving.start()
        return self

    def close(self) -> None:
        """Ends the thread."""
        self._stop.set()
        self._serving.join(timeout=5)

    def begin(
        self,
        spec: RunSpec,
        requester: Requester,
        request_id: str | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> EvaluationRun:
        """Starts a run and returns it, as soon as a planner has accepted it.

        Repeated with the same `request_id` it returns the run that there is.
        Raises RunRefused, Unavailable, StreamError.
        """
        run_id = run_id_of(requester.org_id, request_id or str(uuid.uuid4()))
        existing = self.runs.get(run_id)
        if existing is not None:
            return _same(existing, spec)
        try:
            check(requester.org_id, spec, self._registry.snapshot(), datetime.now(UTC))
        except RunImpossible as error:
            raise RunRefused(f"the evaluation was not started: {error}") from error
        if spec.rescore_of is not None:
            self.find(spec.rescore_of, requester.org_id)
        request = _request(run_id, "start", requester)
        return _same(self._send(replace(request, spec=spec), timeout_s), spec)

    def control(
        self,
        run_id: str,
        action: RunAction,
        requester: Requester,
        budget_usd: float | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> EvaluationRun:
        """Cancels, pauses, resumes or retries a run, and returns it once that was applied.

        Raises NoSuchRun, RunRefused, Unavailable, StreamError.
        """
        run = self.find(run_id, requester.org_id)
        if run.state not in _ALLOWED[action]:
            raise RunRefused(
                f"the run is {run.state}, and {action} is for a run that is "
                f"{_or(sorted(_ALLOWED[action]))}"
            )
        if budget_usd is not None:
            try:
                check_budget(run, budget_usd, self._registry.snapshot(), datetime.now(UTC))
            except RunImpossible as error:
                raise RunRefused(f"the run cannot have a budget: {error}") from error
        if action == "retry" and run.planned and not _left(run):
            raise RunRefused("every case of the run has a result that is no error")
        request = _request(run_id, action, requester)
        return self._send(replace(request, budget_usd=budget_usd), timeout_s)

    def find(self, run_id: str, org_id: str) -> EvaluationRun:
        """The run as it is now. Raises NoSuchRun, StreamError."""
        run = self.runs.get(run_id)
        if run is None:
            # It may have been started by another process a moment ago.
            run = self.runs.catch_up(TIMEOUT_S).get(run_id)
        if run is None or run.org_id != org_id:
            raise NoSuchRun(f"{org_id} has no run {run_id}; rheostat runs lists them")
        return run

    def _send(self, request: EvaluationRequest, timeout_s: float) -> EvaluationRun:
        deadline = time.monotonic() + timeout_s
        payload = self._encoded(request)
        failure: list[str] = []

        def delivered(error: KafkaError | None, _: Any) -> None:
            if error is not None:
                failure.append(error.str())

        try:
            self._producer.produce(
                self._topic, payload, request.run_id.encode(), on_delivery=delivered
            )
        except (BufferError, KafkaException) as error:
            raise Unavailable(f"Kafka does not answer: {error}", request.command_id) from error
        while (left_s := deadline - time.monotonic()) > 0 and not failure:
            run = self.runs.wait_command(request.run_id, request.command_id, min(left_s, 1.0))
            if run is not None:
                return run
        if failure:
            text = f"Kafka did not take the request: {failure[0]}"
            raise Unavailable(text, request.command_id)
        raise Unavailable(
            "no planner has answered; does `rheostat worker agents` run, and is Kafka reachable?",
            request.command_id,
        )

    def _encoded(self, request: EvaluationRequest) -> bytes:
        """Raises RunRefused with the field that is wrong, Unavailable."""
        try:
            payload = self._codec.encode("EvaluationRequest", to_record(request))
            from_record(EvaluationRequest, self._codec.decode(payload, "EvaluationRequest"))
        except MalformedMessage as error:
            raise RunRefused(str(error)) from error
        except ContractError as error:
            raise Unavailable(str(error), request.command_id) from error
        return payload

    def _serve(self) -> None:
        """Takes the producer's delivery reports."""
        while not self._stop.is_set():
            self._producer.poll(0.2)


def _request(run_id: str, action: RunAction, requester: Requester) -> EvaluationRequest:
    return EvaluationRequest(
        run_id=run_id,
        org_id=requester.org_id,
        action=action,
        command_id=str(uuid.uuid4()),
        requested_by=requester.author,
        requested_at=datetime.now(UTC),
    )


def _same(run: EvaluationRun, spec: RunSpec) -> EvaluationRun:
    if replace(run.spec, budget_usd=spec.budget_usd) != spec:  # which can be raised later
        raise RunRefused("another run was started under this request id: use a new one")
    return run


def _left(run: EvaluationRun) -> bool:
    failed = PlaceSet.from_bytes(run.failed_places)
    return bool(failed) or run.finished < run.planned


def _or(words: list[str]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"
