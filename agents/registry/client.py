"""Changing the registry from any process: send a command, wait until its effect can be read.

Used by the command line and the API alike; there is no other way to write the registry.
"""

import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, Self

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from agents.errors import CommandRefused, RegistryConflict, Unavailable
from agents.registry.judge import versions
from schemas.commands import Change, Outcome, Problem, RegistryCommand
from schemas.convert import from_record, to_record
from schemas.errors import ContractError, MalformedMessage
from schemas.topics import TOPICS, Topic
from schemas.wire import Codec
from streams.errors import ViewFailed, ViewNotLoaded
from streams.follow import Follower
from streams.kafka import KafkaConfig
from streams.lifecycle import Startable
from streams.registry_view import RegistryView

TIMEOUT_S = 15.0
"""Longer than it takes another agent to take over from one that died."""
GRACE_S = 2.0
"""What a command that was judged in time may take to be seen."""
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Sender:
    """Who changes something. `org_id`: the only organisation they may change; None: any."""

    author: str
    org_id: str | None = None


@dataclass(slots=True)
class _Waiter:
    outcome: Outcome | None = None
    failure: str | None = None
    answered: threading.Event = field(default_factory=threading.Event)

    def delivered(self, error: KafkaError | None, _: Any) -> None:
        """The producer's report."""
        if error is not None:
            self.failure = error.str()
            self.answered.set()


class _Sent(NamedTuple):
    """One sending of a command; a command that is sent again has another time."""

    command_id: str
    submitted_at: datetime


class RegistryClient(Startable):
    """Sends commands. For any number of threads; `submit` blocks its caller only.

    `view`: where a change must be visible before `submit` returns; its owner closes it.
    """

    def __init__(self, kafka: KafkaConfig, codec: Codec, view: RegistryView) -> None:
        self._topic = kafka.topic(Topic.REGISTRY_COMMANDS)
        self._codec = codec
        self._view = view
        self._waiting: dict[_Sent, list[_Waiter]] = {}
        self._lock = threading.Lock()
        self._answers = Follower(kafka, Topic.REGISTRY_COMMANDS, self._take, start="end")
        self._producer: Any = Producer(
            kafka.producer(
                linger_ms=0,
                # Not delivered later: by then the command has expired.
                message_timeout_ms=int(TIMEOUT_S * 1000),
            )
        )
        self._stop = threading.Event()
        self._serving = threading.Thread(target=self._serve, name="registry-client", daemon=True)

    def start(self) -> Self:
        """Begins to listen for outcomes. Returns at once, also while Kafka is away."""
        self._answers.start()
        self._serving.start()
        return self

    def close(self) -> None:
        """Ends the threads; what is under way ends as Unavailable."""
        self._stop.set()
        self._serving.join(timeout=5)
        self._answers.close()

    def submit(
        self,
        changes: Sequence[Change],
        sender: Sender,
        command_id: str | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> Mapping[str, int]:
        """Makes all changes or none. Returns each key's new version once `view` holds it.

        Repeat a command that ended as Unavailable under the same `command_id`: it takes effect
        once. A command that was accepted before is answered as it was then.

        Raises RegistryConflict, CommandRefused, Unavailable.
        """
        command = _command(changes, sender, command_id, timeout_s)
        deadline = time.monotonic() + timeout_s
        command, payload = self._encoded(command)
        outcome = self._answer(command, payload, deadline)
        if outcome.status == "conflict":
            raise RegistryConflict(outcome.problems)
        if outcome.status == "refused":
            raise CommandRefused(outcome.problems)
        if outcome.status == "expired":
            raise Unavailable(
                f"the registry agent came to it after {timeout_s:g} s, and did nothing",
                command.command_id,
            )
        made = versions(command, outcome)
        try:
            visible = self._view.wait_for(made, max(GRACE_S, deadline - time.monotonic()))
        except ViewFailed as error:
            raise Unavailable(str(error), command.command_id) from error
        if not visible:
            raise Unavailable("the change was made but cannot be read yet", command.command_id)
        return made

    def post(self, changes: Sequence[Change], sender: Sender) -> None:
        """Sends without waiting, for notes that may be lost. Raises CommandRefused, Unavailable."""
        command, payload = self._encoded(_command(changes, sender, None, TIMEOUT_S))
        try:
            self._producer.produce(self._topic, payload, command.changes[0].key.encode())
        except (BufferError, KafkaException) as error:
            raise Unavailable(f"Kafka does not answer: {error}", command.command_id) from error

    def _encoded(self, command: RegistryCommand) -> tuple[RegistryCommand, bytes]:
        """The command as the agent reads it. Raises CommandRefused, Unavailable."""
        try:
            payload = self._codec.encode("RegistryCommand", to_record(command))
            stored = from_record(RegistryCommand, self._codec.decode(payload, "RegistryCommand"))
        except MalformedMessage as error:
            raise CommandRefused([Problem(0, "", "", str(error))]) from error
        except ContractError as error:
            raise Unavailable(str(error), command.command_id) from error
        largest = TOPICS[Topic.REGISTRY_COMMANDS].max_message_bytes - 1024
        if len(payload) > largest:
            text = f"{len(payload):,} bytes are more than one command can hold ({largest:,})"
            raise CommandRefused([Problem(0, "", "", f"{text}: change less at a time")])
        return stored, payload

    def _answer(self, command: RegistryCommand, payload: bytes, deadline: float) -> Outcome:
        """What the agent makes of the command. Raises Unavailable."""
        waiter, sent = _Waiter(), _Sent(command.command_id, command.submitted_at)
        with self._lock:
            self._waiting.setdefault(sent, []).append(waiter)
        try:
            # An answer that comes before we listen would be missed.
            self._answers.wait_loaded(max(0.0, deadline - time.monotonic()))
            key = command.changes[0].key.encode() if command.changes else None
            self._producer.produce(self._topic, payload, key, on_delivery=waiter.delivered)
            waiter.answered.wait(max(0.0, deadline + GRACE_S - time.monotonic()))
        except (ViewNotLoaded, ViewFailed, BufferError, KafkaException) as error:
            raise Unavailable(f"Kafka does not answer: {error}", command.command_id) from error
        finally:
            with self._lock:
                self._waiting[sent].remove(waiter)
                if not self._waiting[sent]:
                    del self._waiting[sent]
        if waiter.failure is not None:
            raise Unavailable(f"Kafka did not take the command: {waiter.failure}", sent.command_id)
        if waiter.outcome is None:
            raise Unavailable(
                "no answer of the registry agent; is Kafka reachable, and does `rheostat worker "
                "agents` run?",
                command.command_id,
            )
        return waiter.outcome

    def _take(self, messages: Sequence[Message]) -> None:
        for message in messages:
            if not self._waiting:
                return
            try:
                record = self._codec.decode(message.value() or b"", "RegistryCommand")
                command = from_record(RegistryCommand, record)
            except ContractError as error:
                log.warning("outcome skipped", offset=message.offset(), error=str(error))
                continue
            if command.outcome is None:
                continue
            sent = _Sent(command.command_id, command.submitted_at)
            with self._lock:
                for waiter in self._waiting.get(sent, ()):
                    waiter.outcome = command.outcome
                    waiter.answered.set()

    def _serve(self) -> None:
        """Takes the producer's delivery reports, which would fill its queue."""
        while not self._stop.is_set():
            self._producer.poll(0.2)


def _command(
    changes: Sequence[Change], sender: Sender, command_id: str | None, timeout_s: float
) -> RegistryCommand:
    now = datetime.now(UTC)
    return RegistryCommand(
        command_id=command_id or str(uuid.uuid4()),
        author=sender.author,
        org_id=sender.org_id,
        submitted_at=now,
        expires_at=now + timedelta(seconds=timeout_s),
        changes=tuple(changes),
    )
