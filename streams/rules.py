"""What a countable record looks like, as data: ranges, required texts, metric names."""

from collections.abc import Mapping
from dataclasses import dataclass

from streams.partials import CORE_METRICS

DAY_MS = 86_400_000.0
TOKENS_MAX = 2**31 - 1
COST_USD_MAX = 1_000_000.0
CUSTOM_METRIC = r"^[a-z][a-z0-9_.]{0,63}$"
RESERVED_METRICS = tuple(m for m in CORE_METRICS if m != "quality")
"""Names that only the inference itself can report; quality may also be judged later."""


@dataclass(frozen=True, slots=True)
class Range:
    """Allowed values, both ends included. `above` excludes the lower end."""

    low: float
    high: float
    above: bool = False


@dataclass(frozen=True, slots=True)
class Rules:
    """Rules of one record. Texts that are nullable may be null but never empty."""

    required: tuple[str, ...]
    optional: tuple[str, ...]
    ranges: Mapping[str, Range]
    times: tuple[str, ...] = ("occurred_at",)
    metric: str | None = None


CUSTOM_VALUE = Range(-1e15, 1e15)
"""Of feedback and scores; squares of larger ones would spoil a pane's sums."""
_DIMENSIONS = ("org_id", "model_id", "model_version", "capability")
_CALL: Mapping[str, Range] = {
    "latency_ms": Range(0, DAY_MS),
    "ttft_ms": Range(0, DAY_MS),
    "input_tokens": Range(0, TOKENS_MAX),
    "output_tokens": Range(0, TOKENS_MAX),
    "cached_input_tokens": Range(0, TOKENS_MAX),
    "cost_usd": Range(0, COST_USD_MAX),
}

RULES: Mapping[str, Rules] = {
    "InferenceEvent": Rules(
        required=("event_id", *_DIMENSIONS, "unit_id"),
        optional=("ab_test_id", "arm", "selection_id", "error_type"),
        ranges={**_CALL, "propensity": Range(0, 1, above=True), "quality": Range(0, 1)},
    ),
    "FeedbackEvent": Rules(
        required=("event_id", "inference_id", *_DIMENSIONS, "unit_id", "metric", "source"),
        optional=("ab_test_id", "arm"),
        ranges={"value": CUSTOM_VALUE},
        times=("occurred_at", "observed_at"),
        metric="metric",
    ),
    "CaseResult": Rules(
        required=("run_id", "case_id", *_DIMENSIONS, "suite_id", "suite_version"),
        optional=("ab_test_id", "arm", "error_type"),
        ranges={
            **_CALL,
            "epoch": Range(0, TOKENS_MAX),
            "judge_calls": Range(0, TOKENS_MAX),
            "judge_input_tokens": Range(0, TOKENS_MAX),
            "judge_output_tokens": Range(0, TOKENS_MAX),
            "judge_cost_usd": Range(0, COST_USD_MAX),
        },
    ),
}
