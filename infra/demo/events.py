"""From a request and the choice of a model to the InferenceEvent that is sent. Pure."""

import random
from dataclasses import dataclass
from typing import Any

from infra.demo.latency import PACES, timing
from infra.demo.plan import Request
from infra.demo.routing import Choice


@dataclass(frozen=True, slots=True)
class Clock:
    """Trace time to event time: the trace ends at `end_ms`, and runs at its own pace before it.

    Events are spaced as in the trace however fast they are sent, so that an hour's windows roll in
    a minute's demo.
    """

    end_ms: int
    span_ms: int

    def at(self, trace_ms: int) -> int:
        """Milliseconds since 1970."""
        return self.end_ms - self.span_ms + trace_ms


@dataclass(frozen=True, slots=True)
class Run:
    """What all events of a run share. `run_id` begins every event_id."""

    run_id: str
    org_id: str
    seed: int
    clock: Clock


def event(run: Run, request: Request, choice: Choice) -> dict[str, Any]:
    """The call as its producer reports it. No cost: it is priced from the registry."""
    rng = random.Random(f"latency {run.seed} {request.number} {choice.model_id}")
    took = timing(PACES[choice.model_id], request.input_tokens, request.output_tokens, rng)
    correct = request.question.correct[choice.model_id]
    return {
        "event_id": f"{run.run_id}-{request.number:05d}",
        "occurred_at": run.clock.at(request.at_ms),
        "org_id": run.org_id,
        "model_id": choice.model_id,
        "model_version": choice.model_version,
        "capability": request.capability,
        "ab_test_id": choice.ab_test_id,
        "arm": choice.arm,
        "unit_id": request.unit_id,
        "propensity": choice.propensity,
        "selection_id": choice.selection_id,
        "latency_ms": took.latency_ms,
        "ttft_ms": took.ttft_ms,
        "input_tokens": request.input_tokens,
        "output_tokens": request.output_tokens,
        "cached_input_tokens": 0,
        "cost_usd": None,
        "quality": None if took.error_type else float(correct),
        "error_type": took.error_type,
    }
