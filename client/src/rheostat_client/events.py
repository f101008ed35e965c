"""What is reported: a call of a model, and an outcome that arrives later."""

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from rheostat_client import rules
from rheostat_client.errors import InvalidValue
from rheostat_client.ids import new_id

UNVERSIONED = "unversioned"
"""The model_version of calls that name none. Prices are registered per version, so name it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InferenceEvent:
    """One call that the caller measured itself, for `Reporter.report`.

    `occurred_at`: when the call started, with its zone; None: it ends now. `input_tokens` are all
    input tokens, `cached_input_tokens` the part of them read from a cache. `cost_usd` None: priced
    from the registry. `quality` in [0, 1]. `error_type` None: the call succeeded.
    """

    model_id: str
    capability: str
    unit_id: str
    latency_ms: float
    model_version: str = UNVERSIONED
    event_id: str | None = None
    occurred_at: datetime | None = None
    ttft_ms: float | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    cost_usd: float | None = None
    quality: float | None = None
    error_type: str | None = None
    ab_test_id: str | None = None
    arm: str | None = None
    propensity: float | None = None
    selection_id: str | None = None


@dataclass(frozen=True, slots=True)
class InferenceHandle:
    """What feedback needs to know of a call. `str(handle)` and `parse` carry it elsewhere.

    Keep it on your side (a session, a database): whoever can change it can blame another model.
    """

    event_id: str
    occurred_at_ms: int
    org_id: str
    model_id: str
    model_version: str
    capability: str
    unit_id: str
    ab_test_id: str | None = None
    arm: str | None = None

    def __str__(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def parse(cls, text: str) -> "InferenceHandle":
        """The handle of `str(handle)`. Raises InvalidValue."""
        try:
            fields = json.loads(text)
            handle = cls(**fields)
        except (TypeError, ValueError):
            raise InvalidValue("handle", "is not the text of a handle", text) from None
        if type(handle.occurred_at_ms) is not int:
            raise InvalidValue("handle", "has no time", text)
        return handle


def inference_record(
    event: InferenceEvent, org_id: str, now_ms: int, keep_ms: int
) -> dict[str, Any]:
    """The record of an event that may be counted. Raises InvalidValue."""
    if not isinstance(event, InferenceEvent):
        raise InvalidValue("event", "must be an InferenceEvent", event)
    record = rules.check(
        rules.INFERENCE,
        {
            "event_id": new_id() if event.event_id is None else event.event_id,
            "occurred_at": 0,
            "org_id": org_id,
            "model_id": event.model_id,
            "model_version": event.model_version,
            "capability": event.capability,
            "ab_test_id": event.ab_test_id,
            "arm": event.arm,
            "unit_id": event.unit_id,
            "propensity": event.propensity,
            "selection_id": event.selection_id,
            "latency_ms": event.latency_ms,
            "ttft_ms": event.ttft_ms,
            "input_tokens": event.input_tokens,
            "output_tokens": event.output_tokens,
            "cached_input_tokens": event.cached_input_tokens,
            "cost_usd": event.cost_usd,
            "quality": event.quality,
            "error_type": event.error_type,
        },
    )
    record["occurred_at"] = (
        now_ms - round(record["latency_ms"])
        if event.occurred_at is None
        else rules.moment_ms("occurred_at", event.occurred_at, now_ms, keep_ms)
    )
    return record


def feedback_record(
    handle: InferenceHandle,
    said: tuple[str, float, str],
    observed_ms: int,
    now_ms: int,
    keep_ms: int,
) -> dict[str, Any]:
    """The record of an outcome; `said`: (metric, value, source). Raises InvalidValue."""
    if not isinstance(handle, InferenceHandle):
        raise InvalidValue("handle", "must be an InferenceHandle", handle)
    metric, value, source = said
    rules.metric_name(metric)
    rules.in_time("handle", handle.occurred_at_ms, now_ms, keep_ms)
    return rules.check(
        rules.FEEDBACK,
        {
            "event_id": new_id(),
            "inference_id": handle.event_id,
            "occurred_at": handle.occurred_at_ms,
            "observed_at": observed_ms,
            "org_id": handle.org_id,
            "model_id": handle.model_id,
            "model_version": handle.model_version,
            "capability": handle.capability,
            "ab_test_id": handle.ab_test_id,
            "arm": handle.arm,
            "unit_id": handle.unit_id,
            "metric": metric,
            "value": value,
            "source": source,
        },
    )
