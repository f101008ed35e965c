"""Reports calls of models, and outcomes that arrive later, without ever holding up the caller."""

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from confluent_kafka import KafkaException, Producer

from rheostat_client import rules
from rheostat_client.assign import Assignment
from rheostat_client.call import Call, Served
from rheostat_client.choice import Choice
from rheostat_client.closing import Closing
from rheostat_client.config import Config
from rheostat_client.errors import InvalidValue
from rheostat_client.events import (
    UNVERSIONED,
    InferenceEvent,
    InferenceHandle,
    feedback_record,
    inference_record,
)
from rheostat_client.ids import new_id
from rheostat_client.outbox import Counts, DropReason, Outbox

TOPICS = {"InferenceEvent": "inference-events", "FeedbackEvent": "feedback-events"}
DELIVERY_MS = 120_000
_LATENCY = rules.INFERENCE.numbers["latency_ms"]


class Reporter(Closing):
    """Sends events of one organisation to Kafka from a background thread.

    Never blocks and never raises because Kafka is slow or away: up to `buffer_events` wait in
    memory, what exceeds them is dropped and counted (`counts`). A wrong argument raises
    InvalidValue at once, naming field, reason and value. Works the same from threads and from
    asyncio; a forked child gets a buffer and a connection of its own. Open reporters are flushed
    for `flush_timeout_s` when the interpreter exits, or at the end of `with` / `async with`.

    Raises InvalidValue for a configuration that librdkafka refuses.
    """

    def __init__(
        self,
        config: Config,
        *,
        buffer_events: int = 50_000,
        flush_timeout_s: float = 5.0,
        make_producer: Callable[[], Any] | None = None,
    ) -> None:
        rules.number("buffer_events", buffer_events, rules.Range(1, 10_000_000, integer=True))
        self._config = config
        self._keep_ms = config.retention_ms
        topics = {record: config.topic(topic) for record, topic in TOPICS.items()}
        make = make_producer or (lambda: _producer(config, buffer_events))
        self._outbox = Outbox(make, config.schemas(), topics, buffer_events, flush_timeout_s)

    def inference(
        self,
        *,
        unit_id: str,
        capability: str | None = None,
        model_id: str | None = None,
        model_version: str | None = None,
        choice: Choice | None = None,
        assignment: Assignment | None = None,
    ) -> Call:
        """A call to be measured: `with reporter.inference(...) as call:` (or `async with`).

        `choice` (of a Selector) and `assignment` (of an A/B test) bring model, version, capability,
        propensity and where they came from; give one of them or neither.
        """
        served = Served(
            self._config.org_id, model_id or "", model_version or "", capability or "", unit_id
        )
        if assignment is not None:
            served = _assigned(served, assignment, choice)
        elif choice is not None:
            served = _chosen(served, choice)
        if not served.model_version:
            served = served._replace(model_version=UNVERSIONED)
        _check(served)
        return Call(served, new_id(), self._measured)

    def report(self, event: InferenceEvent) -> bool:
        """Takes a call that was measured elsewhere; False when it had to be dropped.

        Raises InvalidValue.
        """
        record = inference_record(event, self._config.org_id, _now_ms(), self._keep_ms)
        return self._outbox.put("InferenceEvent", record)

    def feedback(
        self,
        handle: InferenceHandle,
        metric: str,
        value: float,
        *,
        source: str = "user",
        observed_at: datetime | None = None,
    ) -> bool:
        """Takes an outcome of a call, `handle` being its `call.handle`; False when dropped.

        `metric`: `quality` (then `value` is in [0, 1] by convention) or a name of your own, lower
        case. `source`: who says so. Raises InvalidValue.
        """
        now_ms = _now_ms()
        observed_ms = now_ms
        if observed_at is not None:
            observed_ms = rules.moment_ms("observed_at", observed_at, now_ms, self._keep_ms)
        said = (metric, value, source)
        record = feedback_record(handle, said, observed_ms, now_ms, self._keep_ms)
        return self._outbox.put("FeedbackEvent", record)

    def dropped(self, reason: DropReason, why: str) -> None:
        """Counts an event that could not even be built, as the wrappers of this package do."""
        self._outbox.drop(reason, why)

    @property
    def counts(self) -> Counts:
        """What became of everything reported so far."""
        return self._outbox.counts()

    def flush(self, timeout_s: float = 30.0) -> int:
        """Waits until everything reported has arrived; returns how many events still wait."""
        return self._outbox.flush(timeout_s)

    def close(self, timeout_s: float | None = None) -> int:
        """Flushes and ends; returns how many events were lost because time ran out.

        Later reports are dropped and counted as `closed`.
        """
        return self._outbox.close(timeout_s)

    def _measured(self, record: dict[str, Any]) -> None:
        if record["latency_ms"] > _LATENCY.high:
            self._outbox.drop("invalid", "a call took more than a day")
            return
        self._outbox.put("InferenceEvent", record)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _producer(config: Config, buffer_events: int) -> Any:
    settings = config.producer(
        queue_buffering_max_messages=buffer_events, delivery_timeout_ms=DELIVERY_MS
    )
    try:
        return Producer(settings)
    except (KafkaException, ValueError, TypeError) as error:
        said = error.args[0]
        reason = said.str() if hasattr(said, "str") else str(said)
        raise InvalidValue("kafka_properties", f"are refused: {reason}", "(hidden)") from None


def _check(served: Served) -> None:
    if not served.model_id:
        raise InvalidValue("model_id", "must be given, or a choice or assignment with one", "")
    if not served.capability:
        raise InvalidValue("capability", "must be given, or a choice or assignment with one", "")
    rules.text("model_id", served.model_id)
    rules.text("model_version", served.model_version)
    rules.text("capability", served.capability)
    rules.text("unit_id", served.unit_id)


def _chosen(served: Served, choice: Choice) -> Served:
    return served._replace(
        model_id=_one("model_id", served.model_id, choice.model_id),
        model_version=_one("model_version", served.model_version, choice.model_version),
        capability=_one("capability", served.capability, choice.capability),
        propensity=choice.propensity,
        selection_id=choice.selection_id,
    )


def _assigned(served: Served, assignment: Assignment, choice: Choice | None) -> Served:
    if choice is not None:
        raise InvalidValue("assignment", "cannot be combined with a choice: who chose?", choice)
    return served._replace(
        unit_id=_one("unit_id", served.unit_id, assignment.unit_id),
        model_id=_one("model_id", served.model_id, assignment.model_id),
        model_version=_one("model_version", served.model_version, assignment.model_version),
        capability=_one("capability", served.capability, assignment.capability),
        ab_test_id=assignment.ab_test_id,
        arm=assignment.arm,
        propensity=assignment.propensity,
    )


def _one(field: str, given: str, brought: str | None) -> str:
    """What both agree on: the propensity belongs to what was brought, and to nothing else."""
    if given and brought and given != brought:
        raise InvalidValue(field, f"differs from the chosen {brought!r}", given)
    return given or brought or ""
