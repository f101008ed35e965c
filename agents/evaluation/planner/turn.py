"""Being the only planner. A turn begins with these steps, in this order:

1. Take the transactional id. The broker aborts what a predecessor left open and refuses whatever it
   still tries to write.
2. Read evaluation-runs to its end. Nobody else can write it now, so this is the state.
3. Read requests and results from the committed offsets (the agent does): all before them is in that
   state.

One round, in this order:

1. Decide on the requests and results at hand: pure, see `advance`.
2. Write runs, cases, results, and the offsets behind the requests and results, in one transaction.
3. Only when it is committed let the new state count.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

import structlog
from confluent_kafka import Message, Producer, TopicPartition

from agents.evaluation.planner.advance import Inputs, Outputs, Runs, advance
from agents.evaluation.planner.counting import is_over
from agents.evaluation.planner.pages import Pages
from agents.evaluation.planner.release import Limits
from agents.evaluation.runs import RunsView
from schemas.convert import from_record, to_record
from schemas.errors import MalformedMessage, UnknownSchema
from schemas.evaluations import CaseResult, EvaluationRequest, EvaluationRun
from schemas.records import ControlRecord
from schemas.topics import Topic
from schemas.wire import Codec
from streams import telemetry
from streams.hanging import Scope, take_over
from streams.kafka import KafkaConfig, send_offsets
from streams.registry_view import RegistryView

KAFKA_TIMEOUT_S = 30.0
TRANSACTION_TIMEOUT_MS = 10_000
READ = (Topic.EVALUATION_REQUESTS, Topic.CASE_RESULTS)
WRITTEN = (Topic.EVALUATION_CASES, Topic.CASE_RESULTS, Topic.EVALUATION_RUNS)
log = structlog.get_logger(__name__)

R = TypeVar("R", EvaluationRequest, CaseResult)


@dataclass(frozen=True, slots=True)
class Tools:
    """What a turn works with. All of it outlives the turn."""

    kafka: KafkaConfig
    codec: Codec
    registry: RegistryView
    pages: Pages
    limits: Limits = field(default_factory=Limits)


@dataclass(slots=True)
class Turn:
    """A fenced producer, and the state after everything that it committed.

    Once a method raised, the turn is over: nothing is known of its last transaction.
    """

    tools: Tools
    producer: Any
    runs: Runs

    @property
    def busy(self) -> bool:
        """Whether any run is not over."""
        return any(not is_over(run) for run in self.runs.values())

    def round(
        self,
        requests: Sequence[Message],
        results: Sequence[Message],
        offsets: Sequence[TopicPartition],
        group: Any,
    ) -> None:
        """One round over messages in their order, behind which `offsets` stand.

        Raises KafkaException, ViewFailed, and RegistryUnavailable without a schema registry.
        """
        tools = self.tools
        now = datetime.now(UTC)
        inputs = Inputs(
            list(self._decoded(requests, EvaluationRequest)),
            list(self._decoded(self._wanted(results), CaseResult)),
            tools.registry.snapshot(),
            tools.pages,
            tools.limits,
        )
        outputs = advance(
            self.runs, inputs, now.replace(microsecond=now.microsecond // 1000 * 1000)
        )
        if not offsets and not outputs.runs and not outputs.forgotten:
            return
        self.producer.begin_transaction()
        self._produce(outputs)
        if offsets:
            send_offsets(self.producer, offsets, group, KAFKA_TIMEOUT_S)
        self.producer.commit_transaction(KAFKA_TIMEOUT_S)
        gone = {run.run_id for run in outputs.forgotten}
        kept = {run_id: run for run_id, run in self.runs.items() if run_id not in gone}
        self.runs = {**kept, **{run.run_id: run for run in outputs.runs}}
        tools.pages.keep({run.run_id for run in self.runs.values() if not is_over(run)})
        _note(outputs)

    def _wanted(self, results: Sequence[Message]) -> Iterable[Message]:
        """Results of runs that have something outstanding: the others count nothing.

        Their key tells, so that most of what others evaluate is not decoded.
        """
        for message in results:
            run_id = (message.key() or b"").decode(errors="replace").split("/", 1)[0]
            run = self.runs.get(run_id)
            if run is not None and run.outstanding:
                yield message

    def _decoded(self, messages: Iterable[Message], cls: type[R]) -> Iterable[R]:
        for message in messages:
            try:
                record = self.tools.codec.decode(message.value() or b"", cls.__name__)
                yield from_record(cls, record)
            except (MalformedMessage, UnknownSchema) as error:
                # Whoever sends by `agents.evaluation.requests` has checked; bad results are dead
                # letters of the data lane.
                log.error("message skipped", topic=message.topic(), error=str(error))

    def _produce(self, outputs: Outputs) -> None:
        for case in outputs.cases:
            self._send(Topic.EVALUATION_CASES, f"{case.run_id}/{case.case_id}", case)
        for result in outputs.results:
            self._send(Topic.CASE_RESULTS, f"{result.run_id}/{result.case_id}", result)
        for run in outputs.runs:
            self._send(Topic.EVALUATION_RUNS, run.key, run)
        for run in outputs.forgotten:
            self._write(Topic.EVALUATION_RUNS, run.key, None)

    def _send(self, topic: Topic, key: str, record: ControlRecord) -> None:
        plain = _plain(record) if isinstance(record, EvaluationRun) else to_record(record)
        self._write(topic, key, self.tools.codec.encode(type(record).__name__, plain))

    def _write(self, topic: Topic, key: str, value: bytes | None) -> None:
        while True:
            try:
                self.producer.produce(self.tools.kafka.topic(topic), value, key.encode())
            except BufferError:
                self.producer.poll(0.1)  # the queue is bounded; delivery reports make room
            else:
                return


def begin(tools: Tools, view: RunsView) -> Turn:
    """Steps 1 and 2 of a turn. Raises KafkaException, ViewNotLoaded."""
    producer: Any = Producer(
        tools.kafka.producer(
            transactional_id=tools.kafka.group("planner"),
            transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
            linger_ms=0,
            retry_backoff_ms=10,
            # Of what is under way; a result that the planner writes has no answer in it.
            queue_buffering_max_kbytes=32 * 1024,
        )
    )
    take_over(tools.kafka, producer, Scope(tools.kafka.group("planner"), READ, WRITTEN))  # 1
    return Turn(tools, producer, view.catch_up(KAFKA_TIMEOUT_S))  # 2


def _plain(run: EvaluationRun) -> Mapping[str, Any]:
    """As to_record, which takes ten times as long for a run with many outstanding cases."""
    slim = to_record(dataclasses.replace(run, outstanding=()))
    slim["outstanding"] = [
        {"place": each.place, "case_id": each.case_id, "bound_nanos": each.bound_nanos}
        for each in run.outstanding
    ]
    return slim


def _note(outputs: Outputs) -> None:
    telemetry.CASES_RELEASED.inc(len(outputs.cases))
    for run in outputs.runs:
        if is_over(run):
            log.info(
                "run over",
                run_id=run.run_id,
                state=run.state,
                finished=run.finished,
                errors=run.errors,
                reason=run.reason,
            )
