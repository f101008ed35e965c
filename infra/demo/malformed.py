"""Records that producers get wrong, as bytes, and the reason code each must end with. Pure."""

import math
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

from schemas.reasons import MAX_AHEAD_MS, MAX_VALUE_BYTES, Reason
from schemas.wire import HEADER, HEADER_BYTES, MAGIC, Codec

Event = Mapping[str, Any]
UNKNOWN_ID = 4_000_000_000
DAY_MS = 86_400_000


class Malformation(StrEnum):
    """Ways to be wrong; the demo goes through them in this order."""

    UNKNOWN_SCHEMA = "a schema id that nobody registered"
    TRUNCATED = "a body that was cut short"
    NAN = "a latency that is not a number"
    FUTURE = "a time far ahead of the clock"
    EMPTY = "no bytes at all"
    JSON = "JSON instead of Avro"
    BAD_UTF8 = "text that is not UTF-8"
    NEGATIVE = "a negative latency"
    STALE = "a time beyond the retention"
    NAMELESS = "a model without a name"
    OVERSIZED = "a value that is far too large"
    WRONG_RECORD = "feedback on the topic of inferences"


REASONS: Mapping[Malformation, Reason] = {
    Malformation.UNKNOWN_SCHEMA: Reason.UNKNOWN_SCHEMA,
    Malformation.TRUNCATED: Reason.MALFORMED_BODY,
    Malformation.NAN: Reason.NOT_FINITE,
    Malformation.FUTURE: Reason.FUTURE_TIME,
    Malformation.EMPTY: Reason.EMPTY_VALUE,
    Malformation.JSON: Reason.NOT_WIRE_FORMAT,
    Malformation.BAD_UTF8: Reason.BAD_UTF8,
    Malformation.NEGATIVE: Reason.OUT_OF_RANGE,
    Malformation.STALE: Reason.TOO_OLD,
    Malformation.NAMELESS: Reason.MISSING_TEXT,
    Malformation.OVERSIZED: Reason.OVERSIZED,
    Malformation.WRONG_RECORD: Reason.WRONG_RECORD,
}
"""The reason code under which each must be filed."""


def malform(kind: Malformation, event: Event, codec: Codec, retention_days: int) -> bytes:
    """The event's message, made wrong in one way. `event` is a valid InferenceEvent of now."""
    good = codec.encode("InferenceEvent", event)
    at_ms = event["occurred_at"]
    remade: Mapping[Malformation, Callable[[], bytes]] = {
        Malformation.UNKNOWN_SCHEMA: lambda: HEADER.pack(MAGIC, UNKNOWN_ID) + good[HEADER_BYTES:],
        Malformation.TRUNCATED: lambda: good[: len(good) * 2 // 3],
        Malformation.NAN: lambda: _with(codec, event, latency_ms=math.nan),
        Malformation.FUTURE: lambda: _with(codec, event, occurred_at=at_ms + 12 * MAX_AHEAD_MS),
        Malformation.EMPTY: lambda: b"",
        Malformation.JSON: lambda: b'{"event_id": "written by an old producer"}',
        Malformation.BAD_UTF8: lambda: _replaced(good, event["capability"]),
        Malformation.NEGATIVE: lambda: _with(codec, event, latency_ms=-event["latency_ms"]),
        Malformation.STALE: lambda: _with(
            codec, event, occurred_at=at_ms - (retention_days + 1) * DAY_MS
        ),
        Malformation.NAMELESS: lambda: _with(codec, event, model_id=""),
        Malformation.OVERSIZED: lambda: good + bytes(MAX_VALUE_BYTES),
        Malformation.WRONG_RECORD: lambda: codec.encode("FeedbackEvent", _feedback(event)),
    }
    return remade[kind]()


def _with(codec: Codec, event: Event, **changes: Any) -> bytes:
    return codec.encode("InferenceEvent", {**event, **changes})


def _replaced(message: bytes, text: str) -> bytes:
    """The message with the first byte of a text made one that UTF-8 does not have."""
    return message.replace(text.encode(), b"\xff" + text.encode()[1:], 1)


def _feedback(event: Event) -> dict[str, Any]:
    same = ("event_id", "occurred_at", "org_id", "model_id", "model_version", "capability")
    return {
        **{name: event[name] for name in (*same, "ab_test_id", "arm", "unit_id")},
        "inference_id": event["event_id"],
        "observed_at": event["occurred_at"],
        "metric": "quality",
        "value": 1.0,
        "source": "demo",
    }
