"""How the fields of our events are called in OpenTelemetry: one table, as data.

The names are those of the GenAI semantic conventions (status: development) and of the general
ones, as of November 2026: https://github.com/open-telemetry/semantic-conventions-genai
(docs/registry/attributes/gen-ai.md, docs/gen-ai/gen-ai-events.md) and
https://opentelemetry.io/docs/specs/semconv/registry/attributes/
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["attribute", "span", "ours"]


@dataclass(frozen=True, slots=True)
class Counterpart:
    """What a field is called there. `factor`: our value is theirs times this.

    kind: an attribute of that name; a property of the span itself; or `ours`, nothing of theirs
    means it, so that name is the attribute by which to pass it.
    """

    kind: Kind
    name: str
    note: str = ""
    factor: float = 1.0


INFERENCE_EVENT: Mapping[str, Counterpart] = {
    "event_id": Counterpart("attribute", "gen_ai.response.id", "else made of trace and span id"),
    "occurred_at": Counterpart("span", "start time"),
    "org_id": Counterpart("ours", "rheostat.org_id", "or one per sender, in its configuration"),
    "model_id": Counterpart("attribute", "gen_ai.request.model", "the name that was asked for"),
    "model_version": Counterpart(
        "attribute", "gen_ai.response.model", "the name that answered, often with a date"
    ),
    "capability": Counterpart(
        "ours",
        "rheostat.capability",
        "gen_ai.operation.name tells the kind of call (chat, embeddings), not what it is for",
    ),
    "ab_test_id": Counterpart("attribute", "feature_flag.key", "of a flag that is an A/B test"),
    "arm": Counterpart("attribute", "feature_flag.result.variant"),
    "unit_id": Counterpart(
        "attribute", "user.id", "or session.id, gen_ai.conversation.id: as the test randomises"
    ),
    "propensity": Counterpart("ours", "rheostat.propensity"),
    "selection_id": Counterpart("ours", "rheostat.selection_id"),
    "latency_ms": Counterpart("span", "duration", "in seconds", 1000.0),
    "ttft_ms": Counterpart(
        "attribute", "gen_ai.response.time_to_first_chunk", "in seconds; streaming only", 1000.0
    ),
    "input_tokens": Counterpart("attribute", "gen_ai.usage.input_tokens", "cached ones included"),
    "output_tokens": Counterpart("attribute", "gen_ai.usage.output_tokens"),
    "cached_input_tokens": Counterpart("attribute", "gen_ai.usage.cache_read.input_tokens"),
    "cost_usd": Counterpart("ours", "rheostat.cost_usd", "unset: priced from the registry"),
    "quality": Counterpart(
        "attribute",
        "gen_ai.evaluation.score.value",
        "of an event gen_ai.evaluation.result, brought to 0..1",
    ),
    "error_type": Counterpart("attribute", "error.type"),
}
"""Every field of InferenceEvent, in order."""

FEEDBACK_EVENT: Mapping[str, Counterpart] = {
    "inference_id": Counterpart("attribute", "gen_ai.response.id"),
    "metric": Counterpart("attribute", "gen_ai.evaluation.name", "in lower case, without spaces"),
    "value": Counterpart("attribute", "gen_ai.evaluation.score.value"),
    "source": Counterpart("ours", "rheostat.source", "who says so"),
}
"""Fields of FeedbackEvent that InferenceEvent does not have; from gen_ai.evaluation.result."""
