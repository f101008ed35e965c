"""Turns finished `gen_ai.*` spans into events. Needs the extra `opentelemetry`.

    provider = TracerProvider()
    provider.add_span_processor(RheostatSpanProcessor(reporter, capability="chat"))

Attribute names are those of the OpenTelemetry semantic conventions for generative AI (client
inference spans, github.com/open-telemetry/semantic-conventions-genai), and their predecessors where
instrumentations still send those:

| event | attribute, the first that is there |
| --- | --- |
| event_id | gen_ai.response.id, else trace and span id |
| model_id | rheostat.model_id, gen_ai.request.model, gen_ai.response.model |
| model_version | rheostat.model_version, gen_ai.response.model (of the last answer, if none) |
| capability | rheostat.capability, the processor's `capability` |
| unit_id | rheostat.unit_id, user.id, enduser.id, session.id, gen_ai.conversation.id, trace id |
| occurred_at, latency_ms | the span's own times |
| ttft_ms | gen_ai.response.time_to_first_chunk (seconds) |
| input_tokens | gen_ai.usage.input_tokens, gen_ai.usage.prompt_tokens |
| output_tokens | gen_ai.usage.output_tokens, gen_ai.usage.completion_tokens |
| cached_input_tokens | gen_ai.usage.cache_read.input_tokens |
| error_type | error.type; else, at an error status, the last recorded exception.type or "error" |
| ab_test_id, arm | rheostat.*, feature_flag.key and feature_flag.result.variant (see `flags`) |
| selection_id, propensity, quality, cost_usd | rheostat.* of that name |

`rheostat.*` attributes are set by hand. A `serving` block around the instrumented call sets those
that it knows; what it says of a choice or an assignment counts for spans of that model only.
"""

from collections.abc import Collection, Mapping
from datetime import datetime, timezone
from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.trace import StatusCode, format_span_id, format_trace_id

from rheostat_client import rules
from rheostat_client.context import current
from rheostat_client.errors import InvalidValue
from rheostat_client.events import InferenceEvent
from rheostat_client.reporter import Reporter
from rheostat_client.versions import Versions

OPERATIONS = frozenset({"chat", "generate_content", "text_completion", "embeddings"})
"""Values of gen_ai.operation.name that are one call of a model. Agents and tools are not."""
OWN = "rheostat."
CHOSEN = "rheostat.chosen."
_UNITS = ("user.id", "enduser.id", "session.id", "gen_ai.conversation.id")
_DECIDED = ("model_id", "model_version", "capability", "propensity", "selection_id")


class RheostatSpanProcessor(SpanProcessor):
    """Reports every finished span of a model call; spans of other kinds are passed over.

    `capability`: of spans that name none. `models`: the provider's names of models -> your
    model_id, where they differ. `flags`: the feature flags that are A/B tests. Never raises into
    the traced program: a span that cannot be counted is dropped as `invalid`, with a warning that
    names the field. The reporter stays yours to close. Raises InvalidValue.
    """

    def __init__(
        self,
        reporter: Reporter,
        *,
        capability: str | None = None,
        models: Mapping[str, str] | None = None,
        flags: Collection[str] = (),
    ) -> None:
        if capability is not None:
            rules.text("capability", capability)
        self._reporter = reporter
        self._capability = capability
        self._models = dict(models or {})
        self._flags = frozenset(flags)
        self._versions = Versions()

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002
        serving = current()
        found: dict[str, Any] = {}
        if serving.capability is not None:
            found[f"{OWN}capability"] = serving.capability
        if serving.unit_id is not None:
            found[f"{OWN}unit_id"] = serving.unit_id
        for decided in (serving.choice, serving.assignment):
            for name in (*_DECIDED, "ab_test_id", "arm"):
                value = getattr(decided, name, None)
                if value is not None:
                    found[f"{CHOSEN}{name}"] = value
        if found:
            span.set_attributes(found)

    def on_end(self, span: ReadableSpan) -> None:
        attributes = span.attributes or {}
        if attributes.get("gen_ai.operation.name") not in OPERATIONS:
            return
        try:
            self._reporter.report(_event(span, self._own(attributes), attributes))
        except InvalidValue as error:
            self._reporter.dropped("invalid", f"span {span.name!r}: {error}")

    def shutdown(self) -> None:
        """Sends what waits; the reporter stays open."""
        self._reporter.flush(5.0)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Whether everything reported has arrived in time."""
        return self._reporter.flush(timeout_millis / 1000) == 0

    def _own(self, attributes: Mapping[str, Any]) -> dict[str, Any]:
        """What is said of the span beyond the conventions: by hand, else by a serving block."""
        requested = attributes.get("gen_ai.request.model")
        model_id = self._models.get(requested, requested) if requested else None
        said: dict[str, Any] = {
            "model_id": model_id,
            "model_version": self._version(requested, attributes),
        }
        said["capability"] = self._capability
        if attributes.get("feature_flag.key") in self._flags:
            said["ab_test_id"] = attributes.get("feature_flag.key")
            said["arm"] = attributes.get("feature_flag.result.variant")
        if attributes.get(f"{CHOSEN}model_id") in (model_id, None):
            said |= _prefixed(attributes, CHOSEN)
        return said | _prefixed(attributes, OWN)

    def _version(self, requested: Any, attributes: Mapping[str, Any]) -> str:
        """What the answer calls itself; for calls without an answer, what the last one did."""
        answered = attributes.get("gen_ai.response.model")
        if not answered:
            return self._versions.of(str(requested))
        self._versions.answered(str(requested), str(answered))
        return str(answered)


def _prefixed(attributes: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {
        name[len(prefix) :]: value for name, value in attributes.items() if name.startswith(prefix)
    }


def _event(span: ReadableSpan, own: Mapping[str, Any], found: Mapping[str, Any]) -> InferenceEvent:
    """The event of a span. Raises InvalidValue; the reporter finds out the rest."""
    if span.start_time is None or span.end_time is None or span.context is None:
        raise InvalidValue("span", "has not ended", span.name)
    answered = found.get("gen_ai.response.model")
    first_s = found.get("gen_ai.response.time_to_first_chunk")
    trace = format_trace_id(span.context.trace_id)
    own_id = f"{trace}-{format_span_id(span.context.span_id)}"
    return InferenceEvent(
        event_id=found.get("gen_ai.response.id") or own_id,
        occurred_at=datetime.fromtimestamp(span.start_time / 1e9, timezone.utc),
        model_id=_first(own.get("model_id"), answered, ""),
        model_version=own["model_version"],
        capability=_first(own.get("capability"), ""),
        unit_id=_first(own.get("unit_id"), *(found.get(name) for name in _UNITS), trace),
        latency_ms=(span.end_time - span.start_time) / 1e6,
        ttft_ms=None if first_s is None else first_s * 1000,
        input_tokens=_tokens(found, "input_tokens", "prompt_tokens"),
        output_tokens=_tokens(found, "output_tokens", "completion_tokens"),
        cached_input_tokens=_tokens(found, "cache_read.input_tokens"),
        cost_usd=own.get("cost_usd"),
        quality=own.get("quality"),
        error_type=_error(span, found),
        ab_test_id=own.get("ab_test_id"),
        arm=own.get("arm"),
        propensity=own.get("propensity"),
        selection_id=own.get("selection_id"),
    )


def _tokens(found: Mapping[str, Any], *names: str) -> Any:
    return _first(*(found.get(f"gen_ai.usage.{name}") for name in names), 0)


def _error(span: ReadableSpan, found: Mapping[str, Any]) -> str | None:
    named = found.get("error.type")
    if not named and span.status.status_code is StatusCode.ERROR:
        raised = [e.attributes for e in span.events if e.name == "exception" and e.attributes]
        named = (raised[-1].get("exception.type") if raised else None) or "error"
    return str(named) if named else None


def _first(*values: Any) -> Any:
    """The first that is not None."""
    return next(value for value in values if value is not None)
