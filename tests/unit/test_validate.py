"""Every reason for which a record is rejected, and that good neighbours count all the same."""

import math
import struct
from typing import Any

import pytest

from schemas.catalog import committed
from schemas.reasons import MAX_AHEAD_MS, MAX_TEXT_BYTES, MAX_VALUE_BYTES, Reason
from streams.price import price_table
from streams.reduce import Context, Reduced, reduce
from streams.types import RawBatch
from tests.support.events import (
    NOW_MS,
    WEEK_MS,
    batch,
    case_result,
    encode,
    feedback,
    inference,
    score,
)

RECORDS = {
    "inference-events": "InferenceEvent",
    "feedback-events": "FeedbackEvent",
    "case-results": "CaseResult",
}
CONTEXT = Context(committed(), RECORDS, price_table(()), WEEK_MS)
GOOD = encode("InferenceEvent", [inference()])[0]


def reduced(*values: bytes | None, topic: str = "inference-events") -> Reduced:
    return reduce([batch(values, topic)], CONTEXT)


def reasons(result: Reduced) -> list[tuple[int, Reason, str | None]]:
    return sorted((r.row, r.reason, r.field) for _, r in result.rejects)


BAD_FIELDS: list[tuple[dict[str, Any], Reason, str]] = [
    ({"org_id": ""}, Reason.MISSING_TEXT, "org_id"),
    ({"model_id": ""}, Reason.MISSING_TEXT, "model_id"),
    ({"capability": ""}, Reason.MISSING_TEXT, "capability"),
    ({"unit_id": ""}, Reason.MISSING_TEXT, "unit_id"),
    ({"event_id": ""}, Reason.MISSING_TEXT, "event_id"),
    ({"arm": ""}, Reason.MISSING_TEXT, "arm"),
    ({"model_id": "m" * (MAX_TEXT_BYTES + 1)}, Reason.TEXT_TOO_LONG, "model_id"),
    ({"latency_ms": -1.0}, Reason.OUT_OF_RANGE, "latency_ms"),
    ({"latency_ms": math.nan}, Reason.NOT_FINITE, "latency_ms"),
    ({"latency_ms": math.inf}, Reason.NOT_FINITE, "latency_ms"),
    ({"ttft_ms": -math.inf}, Reason.NOT_FINITE, "ttft_ms"),
    ({"ttft_ms": -0.5}, Reason.OUT_OF_RANGE, "ttft_ms"),
    ({"input_tokens": -1}, Reason.OUT_OF_RANGE, "input_tokens"),
    ({"output_tokens": -1}, Reason.OUT_OF_RANGE, "output_tokens"),
    ({"cached_input_tokens": -1}, Reason.OUT_OF_RANGE, "cached_input_tokens"),
    ({"cost_usd": -0.01}, Reason.OUT_OF_RANGE, "cost_usd"),
    ({"cost_usd": math.nan}, Reason.NOT_FINITE, "cost_usd"),
    ({"quality": 1.01}, Reason.OUT_OF_RANGE, "quality"),
    ({"quality": -0.01}, Reason.OUT_OF_RANGE, "quality"),
    ({"propensity": 0.0}, Reason.OUT_OF_RANGE, "propensity"),
    ({"propensity": 1.1}, Reason.OUT_OF_RANGE, "propensity"),
    ({"occurred_at": NOW_MS + MAX_AHEAD_MS + 1}, Reason.FUTURE_TIME, "occurred_at"),
    ({"occurred_at": NOW_MS - WEEK_MS - 1}, Reason.TOO_OLD, "occurred_at"),
    ({"occurred_at": -(2**62)}, Reason.TOO_OLD, "occurred_at"),
    ({"occurred_at": 2**62}, Reason.FUTURE_TIME, "occurred_at"),
]


@pytest.mark.parametrize(("change", "reason", "field"), BAD_FIELDS)
def test_a_bad_field_is_named_and_its_neighbours_count(
    change: dict[str, Any], reason: Reason, field: str
) -> None:
    (bad,) = encode("InferenceEvent", [inference(**change)])

    result = reduced(GOOD, bad, GOOD)

    assert reasons(result) == [(1, reason, field)]
    assert result.rejects[0][1].text.startswith(f"{field} ")
    assert result.events == {"inference-events": 2}


@pytest.mark.parametrize(
    "change",
    [
        {"latency_ms": 0.0, "ttft_ms": 0.0},
        {"quality": 0.0},
        {"quality": 1.0},
        {"propensity": 1.0},
        {"occurred_at": NOW_MS + MAX_AHEAD_MS},
        {"occurred_at": NOW_MS - WEEK_MS},
        {"model_id": "m" * MAX_TEXT_BYTES},
        {"model_id": "模型" * 40, "unit_id": "ü" * 100},
        {"ab_test_id": "t", "arm": "a", "selection_id": "s", "error_type": "timeout"},
    ],
)
def test_the_edges_of_what_is_allowed_count(change: dict[str, Any]) -> None:
    result = reduced(*encode("InferenceEvent", [inference(**change)]))

    assert reasons(result) == []
    assert result.events == {"inference-events": 1}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, Reason.EMPTY_VALUE),
        (b"", Reason.EMPTY_VALUE),
        (b"\x00", Reason.NOT_WIRE_FORMAT),
        (b"\x01" + GOOD[1:], Reason.NOT_WIRE_FORMAT),
        (b'{"event_id": "e-1"}', Reason.NOT_WIRE_FORMAT),
        (struct.pack(">bI", 0, 999_999) + GOOD[5:], Reason.UNKNOWN_SCHEMA),
        (struct.pack(">bI", 0, 2**32 - 1) + GOOD[5:], Reason.UNKNOWN_SCHEMA),
        (encode("FeedbackEvent", [feedback()])[0], Reason.WRONG_RECORD),
        (GOOD[:-1], Reason.MALFORMED_BODY),
        (GOOD[:5], Reason.MALFORMED_BODY),
        (GOOD + b"\x00", Reason.MALFORMED_BODY),
        (GOOD + GOOD, Reason.MALFORMED_BODY),
        (GOOD[:5] + b"\xff" * 40, Reason.MALFORMED_BODY),
        (GOOD + b"\x00" * 1_000_000, Reason.OVERSIZED),
        (GOOD + b"\x00" * MAX_VALUE_BYTES, Reason.OVERSIZED),
    ],
)
def test_a_message_that_is_no_record_is_rejected_alone(value: bytes | None, reason: Reason) -> None:
    result = reduced(GOOD, value, GOOD)

    assert [(row, found) for row, found, _ in reasons(result)] == [(1, reason)]
    assert result.events == {"inference-events": 2}


@pytest.mark.parametrize(
    "field", ["event_id", "org_id", "model_version", "arm", "unit_id", "error_type"]
)
@pytest.mark.parametrize("broken", [b"\xff\xfe", b"abc\xc3", b"\xed\xa0\x80"])
def test_broken_utf8_is_found_in_every_text(field: str, broken: bytes) -> None:
    placeholder = "x" * len(broken)
    (good,) = encode("InferenceEvent", [inference(**{field: placeholder})])
    bad = good.replace(placeholder.encode(), broken)

    result = reduced(GOOD, bad, GOOD)

    assert reasons(result) == [(1, Reason.BAD_UTF8, field)]
    assert result.events == {"inference-events": 2}


def test_a_length_behind_broken_utf8_does_not_complete_it() -> None:
    """64 is written as the bytes 80 01: behind a cut text, 80 would look like its last byte."""
    (good,) = encode("InferenceEvent", [inference(model_id="abX", model_version="v" * 64)])
    bad = good.replace(b"abX", b"ab\xc3")

    assert reasons(reduced(bad)) == [(0, Reason.BAD_UTF8, "model_id")]


def test_a_record_with_several_faults_is_rejected_once() -> None:
    (bad,) = encode("InferenceEvent", [inference(org_id="", latency_ms=-1.0, quality=7.0)])

    assert reasons(reduced(bad)) == [(0, Reason.MISSING_TEXT, "org_id")]


@pytest.mark.parametrize(
    ("change", "reason", "field"),
    [
        ({"metric": "Thumbs Up"}, Reason.BAD_METRIC, "metric"),
        ({"metric": "latency_ms"}, Reason.BAD_METRIC, "metric"),
        ({"metric": ""}, Reason.MISSING_TEXT, "metric"),
        ({"metric": "m" * 65}, Reason.BAD_METRIC, "metric"),
        ({"value": math.nan}, Reason.NOT_FINITE, "value"),
        ({"inference_id": ""}, Reason.MISSING_TEXT, "inference_id"),
    ],
)
def test_bad_feedback(change: dict[str, Any], reason: Reason, field: str) -> None:
    good, bad = encode("FeedbackEvent", [feedback(), feedback(**change)])

    result = reduced(good, bad, good, topic="feedback-events")

    assert reasons(result) == [(1, reason, field)]
    assert result.events == {"feedback-events": 2}


def test_bad_evaluation_results() -> None:
    values = encode(
        "CaseResult",
        [
            case_result(),
            case_result(run_id=""),
            case_result(latency_ms=-1.0),
            case_result(scores=[score(metric="Not A Name")]),
            case_result(scores=[score(value=math.inf)]),
        ],
    )

    result = reduced(*values, values[0][:-1], topic="case-results")

    assert reasons(result) == [
        (1, Reason.MISSING_TEXT, "run_id"),
        (2, Reason.OUT_OF_RANGE, "latency_ms"),
        (3, Reason.BAD_METRIC, "scores"),
        (4, Reason.NOT_FINITE, "scores"),
        (5, Reason.MALFORMED_BODY, None),
    ]
    assert result.events == {"case-results": 1}


def test_time_is_held_against_each_message_s_own_arrival() -> None:
    """A batch read late must judge as one read at once: the storage lane runs behind."""
    times = [NOW_MS, NOW_MS + 10 * MAX_AHEAD_MS]
    late = inference(occurred_at=NOW_MS + 2 * MAX_AHEAD_MS)
    values = encode("InferenceEvent", [late, late])
    from streams.types import Coordinates

    raw = RawBatch(
        "inference-events", values, lambda i: Coordinates(0, i, times[i], None), times[0], times[1]
    )

    assert reasons(reduce([raw], CONTEXT)) == [(0, Reason.FUTURE_TIME, "occurred_at")]
