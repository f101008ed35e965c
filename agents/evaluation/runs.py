"""A live view of the compacted topic evaluation-runs: every run as its planner left it."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Self

import structlog
from confluent_kafka import Message

from schemas.convert import from_record
from schemas.errors import MalformedMessage, RegistryUnavailable, UnknownSchema
from schemas.evaluations import EvaluationRun, RunState
from schemas.topics import Topic
from schemas.wire import Codec
from streams.follow import Follower
from streams.kafka import KafkaConfig
from streams.lifecycle import Startable

RETRY_S = 1.0
log = structlog.get_logger(__name__)

Runs = Mapping[str, EvaluationRun]
"""Runs by run_id."""


class RunsView(Startable):
    """Follows evaluation-runs in a thread of its own; `snapshot` is whole and never changes."""

    def __init__(self, kafka: KafkaConfig, codec: Codec) -> None:
        self._codec = codec
        self._runs: Runs = MappingProxyType({})
        self._follower = Follower(kafka, Topic.EVALUATION_RUNS, self._take)

    def start(self) -> Self:
        """As `with`, for owners that end with `close`."""
        self._follower.start()
        return self

    def close(self) -> None:
        """Ends the thread."""
        self._follower.close()

    def snapshot(self) -> Runs:
        """The newest state of every run. Raises ViewFailed when it is followed no longer."""
        self._follower.check()
        return self._runs

    def get(self, run_id: str) -> EvaluationRun | None:
        """The newest state of a run; None: not there, or not yet. Raises ViewFailed."""
        return self.snapshot().get(run_id)

    def state_of(self, run_id: str) -> RunState | None:
        """The newest state of a run; None: not there, or not yet. Raises ViewFailed."""
        run = self.get(run_id)
        return None if run is None else run.state

    def wait_loaded(self, timeout_s: float) -> Runs:
        """Waits until everything that was there at the start is applied.

        Raises ViewNotLoaded, ViewFailed.
        """
        self._follower.wait_loaded(timeout_s)
        return self._runs

    def catch_up(self, timeout_s: float) -> Runs:
        """Waits until everything that is committed now is applied.

        Raises ViewNotLoaded, ViewFailed.
        """
        self._follower.catch_up(timeout_s)
        return self._runs

    def wait_command(self, run_id: str, command_id: str, timeout_s: float) -> EvaluationRun | None:
        """Waits until the planner has applied or refused a command; None: not in time.

        Raises ViewFailed.
        """
        self._follower.wait(
            lambda: (run := self._runs.get(run_id)) is not None and command_id in run.command_ids,
            timeout_s,
        )
        run = self._runs.get(run_id)
        return run if run is not None and command_id in run.command_ids else None

    def _take(self, messages: Sequence[Message]) -> None:
        runs = dict(self._runs)
        for message in messages:
            try:
                key = (message.key() or b"").decode()
            except UnicodeDecodeError as error:
                log.error("run skipped", offset=message.offset(), error=str(error))
                continue
            value = message.value()
            if value is None:
                runs.pop(key.rpartition("/")[2], None)
            elif (run := self._run(value, message)) is not None:
                runs[run.run_id] = run
        self._runs = MappingProxyType(runs)

    def _run(self, value: bytes, message: Message) -> EvaluationRun | None:
        """None for what nobody can read. Waits for a schema registry."""
        while True:
            try:
                return from_record(EvaluationRun, self._codec.decode(value, "EvaluationRun"))
            except (MalformedMessage, UnknownSchema) as error:
                log.error("run skipped", offset=message.offset(), error=str(error))
                return None
            except RegistryUnavailable as error:
                log.warning("run waits for its schema", error=str(error))
                if self._follower.stopping.wait(RETRY_S):
                    return None
