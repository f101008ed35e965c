"""Spans of the semantic conventions become events; other spans, and bad ones, harm nobody."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind, Status, StatusCode, Tracer

from rheostat_client import UNVERSIONED, Assignment, Choice, InvalidValue, serving
from rheostat_client.opentelemetry import RheostatSpanProcessor
from tests.support.client import FakeProducer, reporter

CALL: dict[str, Any] = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.response.model": "gpt-4o-2024-08-06",
    "gen_ai.usage.input_tokens": 100,
    "gen_ai.usage.output_tokens": 20,
    "gen_ai.usage.cache_read.input_tokens": 60,
    "gen_ai.response.time_to_first_chunk": 0.25,
    "gen_ai.conversation.id": "conversation-1",
}
CHOICE = Choice("summarize", "gpt-4o", "registered-7", "sel-1", 0.9, "rank 1", "live")


@contextmanager
def traced(producer: FakeProducer, **options: Any) -> Iterator[Tracer]:
    with reporter(producer) as made:
        processor = RheostatSpanProcessor(made, **{"capability": "chat", **options})
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(processor)
        yield provider.get_tracer("test")
        assert processor.force_flush()
        provider.shutdown()


def span(tracer: Tracer, attributes: dict[str, Any], ms: float = 1500, **options: Any) -> None:
    at = time.time_ns() - int(ms * 1e6)
    started = tracer.start_span("chat gpt-4o", kind=SpanKind.CLIENT, start_time=at, **options)
    started.set_attributes(attributes)
    started.end(at + int(ms * 1e6))


def test_a_span_becomes_an_event() -> None:
    producer = FakeProducer()
    with traced(producer) as tracer:
        span(tracer, CALL)
    (event,) = producer.events()
    found = {k: v for k, v in event.items() if k not in ("event_id", "occurred_at")}
    assert found == {
        "org_id": "acme",
        "model_id": "gpt-4o",
        "model_version": "gpt-4o-2024-08-06",
        "capability": "chat",
        "unit_id": "conversation-1",
        "latency_ms": 1500.0,
        "ttft_ms": 250.0,
        "input_tokens": 100,
        "output_tokens": 20,
        "cached_input_tokens": 60,
        "error_type": None,
        **dict.fromkeys(
            ("ab_test_id", "arm", "propensity", "selection_id", "cost_usd", "quality"), None
        ),
    }
    trace_id, _, span_id = event["event_id"].partition("-")
    assert (len(trace_id), len(span_id)) == (32, 16)


def test_older_names_and_the_least_are_understood() -> None:
    producer = FakeProducer()
    with traced(producer) as tracer:
        span(
            tracer,
            {
                "gen_ai.operation.name": "text_completion",
                "gen_ai.request.model": "m",
                "gen_ai.usage.prompt_tokens": 7,
                "gen_ai.usage.completion_tokens": 8,
                "user.id": "user-1",
            },
        )
        span(tracer, {"gen_ai.operation.name": "embeddings", "gen_ai.response.model": "e"})
    old, least = producer.events()
    assert (old["input_tokens"], old["output_tokens"], old["unit_id"]) == (7, 8, "user-1")
    assert (least["model_id"], least["input_tokens"], least["ttft_ms"]) == ("e", 0, None)
    assert least["unit_id"] == least["event_id"].partition("-")[0]


def test_other_spans_are_passed_over() -> None:
    producer = FakeProducer()
    with traced(producer) as tracer:
        for operation in ("invoke_agent", "execute_tool", "create_agent", "retrieval", None):
            attributes = {**CALL, "gen_ai.operation.name": operation}
            span(tracer, {k: v for k, v in attributes.items() if v is not None})
    assert producer.events() == []


def test_errors_count_for_the_version_that_answered_last() -> None:
    failed = {k: v for k, v in CALL.items() if not k.startswith("gen_ai.response")}
    producer = FakeProducer()
    with traced(producer) as tracer:
        span(tracer, failed | {"error.type": "timeout"})
        span(tracer, CALL)
        span(tracer, failed | {"error.type": "429"})
        started = tracer.start_span("chat", attributes=CALL)
        started.set_status(Status(StatusCode.ERROR))
        started.end()
        with suppress(TimeoutError), tracer.start_as_current_span("chat", attributes=CALL):
            raise TimeoutError("the model took too long")
    events = producer.events()
    assert [e["error_type"] for e in events] == ["timeout", None, "429", "error", "TimeoutError"]
    assert [e["model_version"] for e in events] == [UNVERSIONED, *["gpt-4o-2024-08-06"] * 4]


def test_a_serving_block_says_who_and_why() -> None:
    producer = FakeProducer()
    with traced(producer) as tracer, serving(choice=CHOICE, unit_id="user-9"):
        span(tracer, CALL)
        span(tracer, {**CALL, "gen_ai.request.model": "other"})
    chosen, other = producer.events()
    assert (chosen["selection_id"], chosen["propensity"], chosen["capability"]) == (
        "sel-1",
        0.9,
        "summarize",
    )
    assert (chosen["model_version"], chosen["unit_id"]) == ("registered-7", "user-9")
    assert (other["selection_id"], other["propensity"], other["capability"]) == (None, None, "chat")
    assert (other["model_id"], other["unit_id"]) == ("other", "user-9")


def test_an_assignment_and_names_of_your_own() -> None:
    assignment = Assignment("t-1", "a", "u-1", 0.5, "small", "3", "code")
    producer = FakeProducer()
    with traced(producer, models={"gpt-4o": "small"}) as tracer, serving(assignment=assignment):
        span(tracer, {**CALL, "rheostat.quality": 0.75, "rheostat.unit_id": "by-hand"})
    (event,) = producer.events()
    assert (event["ab_test_id"], event["arm"], event["propensity"]) == ("t-1", "a", 0.5)
    assert (event["model_id"], event["model_version"], event["capability"]) == (
        "small",
        "3",
        "code",
    )
    assert (event["quality"], event["unit_id"]) == (0.75, "by-hand")


def test_a_flag_that_is_an_ab_test_names_test_and_arm() -> None:
    flag = {"feature_flag.key": "prompt", "feature_flag.result.variant": "b"}
    producer = FakeProducer()
    with traced(producer, flags=["prompt"]) as tracer:
        span(tracer, CALL | flag | {"gen_ai.response.id": "chatcmpl-1"})
        span(tracer, CALL | flag | {"feature_flag.key": "colour"})
    tested, other = producer.events()
    assert (tested["ab_test_id"], tested["arm"], tested["event_id"]) == (
        "prompt",
        "b",
        "chatcmpl-1",
    )
    assert (other["ab_test_id"], other["arm"]) == (None, None)


def test_a_bad_span_is_counted_and_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    producer = FakeProducer()
    with reporter(producer) as made:
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(RheostatSpanProcessor(made))
        tracer = provider.get_tracer("test")
        span(tracer, CALL)  # nobody said which capability
        span(tracer, {**CALL, "rheostat.capability": "chat", "rheostat.quality": 2.0})
        assert made.counts.dropped == {"invalid": 2}
        provider.shutdown()
    assert "capability must not be empty" in caplog.text
    assert producer.events() == []


def test_wrong_settings_are_told() -> None:
    with reporter(FakeProducer()) as made, pytest.raises(InvalidValue):
        RheostatSpanProcessor(made, capability="")
    with pytest.raises(InvalidValue), serving(unit_id=""):
        pass
    assignment = Assignment("t", "a", "u", 0.5)
    with pytest.raises(InvalidValue), serving(choice=CHOICE, assignment=assignment):
        pass
