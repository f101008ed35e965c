"""How long a call took: derived from its tokens, since neither data set says. Pure.

    ttft_ms    = (start + input tokens / prefill rate) * jitter
    latency_ms = ttft_ms + output tokens / decode rate * jitter

Jitter is lognormal with median 1. The rates are assumptions of a plausible size, not measurements
of these models: what the demo shows of latency says nothing about them. A call that would take
longer than DEADLINE_MS ends then, as a timeout without an answer.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass

DEADLINE_MS = 15_000.0
JITTER_SIGMA = 0.25
TIMEOUT = "timeout"


@dataclass(frozen=True, slots=True)
class Pace:
    """Assumed speed of a model: tokens per second, and what every call takes anyway."""

    start_ms: float
    prefill_per_s: float
    decode_per_s: float


PACES: Mapping[str, Pace] = {
    "mixtral-8x7b-instruct": Pace(start_ms=150, prefill_per_s=8000, decode_per_s=60),
    "gpt-4-1106-preview": Pace(start_ms=300, prefill_per_s=4000, decode_per_s=25),
}


@dataclass(frozen=True, slots=True)
class Timing:
    """Derived durations of one call; no first token and no answer when it timed out."""

    latency_ms: float
    ttft_ms: float | None
    error_type: str | None


def timing(pace: Pace, input_tokens: int, output_tokens: int, rng: random.Random) -> Timing:
    """The durations of one call."""
    jitter = rng.lognormvariate(0, JITTER_SIGMA)
    ttft_ms = (pace.start_ms + 1000 * input_tokens / pace.prefill_per_s) * jitter
    latency_ms = ttft_ms + 1000 * output_tokens / pace.decode_per_s * jitter
    if latency_ms > DEADLINE_MS:
        return Timing(DEADLINE_MS, None, TIMEOUT)
    return Timing(round(latency_ms, 3), round(ttft_ms, 3), None)
