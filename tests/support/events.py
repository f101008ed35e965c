"""Valid records to start from in tests; change one field to make them wrong."""

from collections.abc import Sequence
from typing import Any

from schemas.catalog import committed
from schemas.wire import Codec
from streams.types import Coordinates, RawBatch

NOW_MS = 1_790_000_000_000
WEEK_MS = 7 * 86_400_000
CODEC = Codec(committed())


def inference(**changes: Any) -> dict[str, Any]:
    """A valid InferenceEvent that occurred at NOW_MS."""
    return {
        "event_id": "e-1",
        "occurred_at": NOW_MS,
        "org_id": "acme",
        "model_id": "small",
        "model_version": "1",
        "capability": "chat",
        "ab_test_id": None,
        "arm": None,
        "unit_id": "user-1",
        "propensity": None,
        "selection_id": None,
        "latency_ms": 120.0,
        "ttft_ms": None,
        "input_tokens": 10,
        "output_tokens": 5,
        "cached_input_tokens": 0,
        "cost_usd": None,
        "quality": None,
        "error_type": None,
        **changes,
    }


def feedback(**changes: Any) -> dict[str, Any]:
    """A valid FeedbackEvent."""
    return {
        "event_id": "f-1",
        "inference_id": "e-1",
        "occurred_at": NOW_MS,
        "observed_at": NOW_MS + 1000,
        "org_id": "acme",
        "model_id": "small",
        "model_version": "1",
        "capability": "chat",
        "ab_test_id": None,
        "arm": None,
        "unit_id": "user-1",
        "metric": "thumbs_up",
        "value": 1.0,
        "source": "user",
        **changes,
    }


def case_result(**changes: Any) -> dict[str, Any]:
    """A valid CaseResult with one score."""
    return {
        "run_id": "run-1",
        "case_id": "case-1",
        "epoch": 0,
        "occurred_at": NOW_MS,
        "org_id": "acme",
        "model_id": "small",
        "model_version": "1",
        "capability": "chat",
        "ab_test_id": None,
        "arm": None,
        "suite_id": "qa",
        "suite_version": "1",
        "latency_ms": 900.0,
        "ttft_ms": None,
        "input_tokens": 100,
        "output_tokens": 20,
        "cached_input_tokens": 0,
        "cost_usd": None,
        "error_type": None,
        "passed": True,
        "output": "42",
        "scores": [score()],
        **changes,
    }


def score(**changes: Any) -> dict[str, Any]:
    """A valid Score."""
    return {
        "metric": "exact_match",
        "value": 1.0,
        "label": None,
        "explanation": None,
        "scorer": "exact",
        "scorer_version": "1",
        **changes,
    }


def encode(record: str, values: Sequence[dict[str, Any]]) -> list[bytes]:
    """The messages of these values."""
    return [CODEC.encode(record, value) for value in values]


def batch(values: Sequence[bytes | None], topic: str = "inference-events") -> RawBatch:
    """Messages of partition 0 that arrived at NOW_MS, with their places as offsets."""
    return RawBatch(topic, values, lambda i: Coordinates(0, i, NOW_MS, b"key"), NOW_MS, NOW_MS)


def never_skipped(offset: int, why: str) -> None:
    """For `sinks.rows.Messages`: every message of these tests becomes a row."""
    raise AssertionError(f"message {offset} became no row: {why}")
