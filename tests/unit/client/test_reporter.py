"""What is said to the reporter becomes an event, or an error that says what is wrong with it."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from rheostat_client import (
    UNVERSIONED,
    Assignment,
    Call,
    CallFinished,
    Choice,
    Config,
    InferenceEvent,
    InferenceHandle,
    InvalidValue,
    Reporter,
)
from tests.support.client import FakeProducer, reporter

CHOICE = Choice("chat", "small", "3", "sel-1", 0.9, "rank 1", "live")
ASSIGNMENT = Assignment("t-1", "treatment", "u-1", 0.25, "large", None, "chat")
EVENT = InferenceEvent(model_id="m", capability="c", unit_id="u", latency_ms=1.0)


def call(made: Reporter, **changes: Any) -> Call:
    return made.inference(
        **{"model_id": "small", "capability": "chat", "unit_id": "u-1", **changes}
    )


def test_a_call_without_a_word_is_a_success_with_no_tokens() -> None:
    producer = FakeProducer()
    with reporter(producer) as made, call(made):
        pass
    (event,) = producer.events()
    assert event["error_type"] is None
    assert event["ttft_ms"] is None
    assert event["model_version"] == UNVERSIONED
    assert (event["input_tokens"], event["output_tokens"]) == (0, 0)
    assert event["org_id"] == "acme"
    assert producer.sent[0][2] == b"u-1"


def test_the_first_token_is_the_first() -> None:
    producer = FakeProducer()
    with reporter(producer) as made, call(made) as running:
        running.first_token()
        first = running._open()["ttft_ms"]
        running.first_token()
    (event,) = producer.events()
    assert event["ttft_ms"] == first <= event["latency_ms"]


def test_an_exception_is_recorded_by_its_name_and_goes_on() -> None:
    class Refused(Exception):
        pass

    producer = FakeProducer()
    with reporter(producer) as made:
        for error in (ValueError("x"), Refused(), KeyboardInterrupt(), InvalidValue("f", "r", 1)):
            with pytest.raises(type(error)), call(made):
                raise error
    kinds = [event["error_type"] for event in producer.events()]
    assert kinds[0] == "ValueError"
    assert kinds[1].endswith("Refused")
    assert kinds[2:] == ["KeyboardInterrupt", "rheostat_client.errors.InvalidValue"]


def test_finish_stops_the_clock_and_discard_reports_nothing() -> None:
    producer = FakeProducer()
    with reporter(producer) as made:
        with call(made) as running:
            running.fail("content_filter")
            running.finish()
            with pytest.raises(CallFinished):
                running.usage(input_tokens=1)
        with call(made) as running:
            running.discard()
        with pytest.raises(CallFinished), running:
            pass
    assert [event["error_type"] for event in producer.events()] == ["content_filter"]


async def test_asyncio_uses_the_same_words() -> None:
    producer = FakeProducer()
    async with reporter(producer) as made:
        async with call(made) as running:
            await asyncio.sleep(0)
            running.usage(output_tokens=3)
        with pytest.raises(TimeoutError):
            async with call(made):
                raise TimeoutError
    assert [(e["output_tokens"], e["error_type"]) for e in producer.events()] == [
        (3, None),
        (0, "TimeoutError"),
    ]


def test_a_choice_brings_what_the_event_needs() -> None:
    producer = FakeProducer()
    with reporter(producer) as made, made.inference(choice=CHOICE, unit_id="u"):
        pass
    (event,) = producer.events()
    assert {k: event[k] for k in ("model_id", "model_version", "capability")} == {
        "model_id": "small",
        "model_version": "3",
        "capability": "chat",
    }
    assert (event["propensity"], event["selection_id"]) == (0.9, "sel-1")


def test_an_assignment_brings_test_and_arm() -> None:
    producer = FakeProducer()
    with reporter(producer) as made:
        with made.inference(assignment=ASSIGNMENT, unit_id="u-1", model_version="5") as running:
            handle = running.handle
        made.feedback(handle, "thumbs_up", True + 0)
    (event,) = producer.events()
    (said,) = producer.events("FeedbackEvent")
    for found in (event, said):
        assert (found["ab_test_id"], found["arm"]) == ("t-1", "treatment")
        assert (found["model_id"], found["model_version"]) == ("large", "5")
    assert event["propensity"] == 0.25


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"model_id": None}, "model_id"),
        ({"model_id": 7}, "model_id"),
        ({"capability": None}, "capability"),
        ({"capability": ""}, "capability"),
        ({"unit_id": ""}, "unit_id"),
        ({"unit_id": None}, "unit_id"),
        ({"unit_id": "ü" * 129}, "unit_id"),
        ({"unit_id": "\ud800"}, "unit_id"),
        ({"model_version": "v" * 257}, "model_version"),
        ({"choice": CHOICE, "model_id": "large"}, "model_id"),
        ({"choice": CHOICE, "model_version": "4"}, "model_version"),
        ({"choice": CHOICE, "assignment": ASSIGNMENT}, "assignment"),
        ({"assignment": ASSIGNMENT, "model_id": "large", "unit_id": "u-2"}, "unit_id"),
    ],
)
def test_a_wrong_argument_is_told_before_the_call(arguments: dict[str, Any], field: str) -> None:
    with reporter(FakeProducer()) as made, pytest.raises(InvalidValue) as caught:
        call(made, **arguments)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("method", "arguments", "field"),
    [
        ("usage", {"input_tokens": -1}, "input_tokens"),
        ("usage", {"output_tokens": 2**31}, "output_tokens"),
        ("usage", {"cached_input_tokens": 1.5}, "cached_input_tokens"),
        ("usage", {"input_tokens": True}, "input_tokens"),
        ("usage", {"input_tokens": "3"}, "input_tokens"),
        ("quality", {"value": 1.01}, "quality"),
        ("quality", {"value": float("nan")}, "quality"),
        ("cost", {"cost_usd": -0.01}, "cost_usd"),
        ("version", {"model_version": ""}, "model_version"),
        ("fail", {"error_type": ""}, "error_type"),
        ("fail", {"error_type": 3}, "error_type"),
    ],
)
def test_a_wrong_word_is_told_and_the_call_still_counts(
    method: str, arguments: dict[str, Any], field: str
) -> None:
    producer = FakeProducer()
    with reporter(producer) as made, call(made) as running:
        with pytest.raises(InvalidValue) as caught:
            getattr(running, method)(**arguments)
        assert caught.value.field == field
        assert repr(next(iter(arguments.values())))[:60] in str(caught.value)
    (event,) = producer.events()
    assert event["error_type"] is None


def test_numbers_of_numpy_are_numbers() -> None:
    producer = FakeProducer()
    with reporter(producer) as made, call(made) as running:
        running.usage(input_tokens=np.int64(3), output_tokens=np.uint8(4))  # type: ignore[arg-type]
        running.quality(np.float32(0.5))  # type: ignore[arg-type]
    (event,) = producer.events()
    assert (event["input_tokens"], event["output_tokens"], event["quality"]) == (3, 4, 0.5)


def test_report_takes_times_that_count() -> None:
    producer = FakeProducer()
    now = datetime.now(UTC)
    with reporter(producer) as made:
        assert made.report(replace(EVENT, occurred_at=now - timedelta(days=6, hours=23)))
        assert made.report(replace(EVENT, occurred_at=now + timedelta(minutes=4)))
        for wrong in (
            now.replace(tzinfo=None),
            now + timedelta(minutes=6),
            now - timedelta(days=8),
            "2026-01-01",
        ):
            with pytest.raises(InvalidValue, match="occurred_at"):
                made.report(replace(EVENT, occurred_at=wrong))  # type: ignore[arg-type]
        with pytest.raises(InvalidValue, match="event"):
            made.report({"model_id": "m"})  # type: ignore[arg-type]
    assert len(producer.events()) == 2


def test_an_event_without_a_time_ended_now() -> None:
    producer = FakeProducer()
    with reporter(producer) as made:
        made.report(replace(EVENT, latency_ms=60_000.0))
    (event,) = producer.events()
    age = datetime.now(UTC) - event["occurred_at"]
    assert timedelta(seconds=60) <= age < timedelta(seconds=90)


def test_feedback_refuses_what_would_not_count() -> None:
    handle = InferenceHandle("e-1", int(datetime.now(UTC).timestamp() * 1000), "acme", *"mvcu")
    old = replace(handle, occurred_at_ms=handle.occurred_at_ms - 8 * 86_400_000)
    with reporter(FakeProducer()) as made:
        for arguments, field in (
            ((handle, "Thumbs", 1), "metric"),
            ((handle, "latency_ms", 1), "metric"),
            ((handle, "a\n", 1), "metric"),
            ((handle, "ok", float("inf")), "value"),
            ((handle, "ok", "1"), "value"),
            ((old, "ok", 1), "handle"),
            (("e-1", "ok", 1), "handle"),
        ):
            with pytest.raises(InvalidValue) as caught:
                made.feedback(*arguments)
            assert caught.value.field == field
        with pytest.raises(InvalidValue, match="source"):
            made.feedback(handle, "ok", 1, source="")


def test_a_handle_travels_as_text() -> None:
    handle = InferenceHandle("e", 1, "acme", "m", "1", "chat", "ü", "t", None)
    assert InferenceHandle.parse(str(handle)) == handle
    for text in ("", "[]", "{}", '{"event_id": 1}', str(handle).replace(":1,", ':"1",')):
        with pytest.raises(InvalidValue, match="handle"):
            InferenceHandle.parse(text)


def test_configuration_is_checked_at_once() -> None:
    with pytest.raises(InvalidValue, match="kafka_properties"):
        Reporter(Config("acme", "127.0.0.1:1", {"no.such.property": "1"}))
    with pytest.raises(InvalidValue, match="buffer_events"):
        Reporter(Config("acme", "127.0.0.1:1"), buffer_events=0)


def test_configuration_comes_from_the_environment() -> None:
    env = {
        "RHEOSTAT_ORG_ID": "acme",
        "RHEOSTAT_KAFKA_BOOTSTRAP": "k:9092",
        "RHEOSTAT_KAFKA_PROPERTIES": '{"sasl.password": "secret"}',
        "RHEOSTAT_TOPIC_PREFIX": "dev-",
        "RHEOSTAT_RETENTION_DAYS": "30",
    }
    found = Config.from_env(env=env)
    assert found.topic("registry") == "dev-registry"
    assert found.retention_ms == 30 * 86_400_000
    assert found.producer()["sasl.password"] == "secret"
    assert "secret" not in repr(found)
    for name, value in (
        ("RHEOSTAT_ORG_ID", ""),
        ("RHEOSTAT_KAFKA_BOOTSTRAP", ""),
        ("RHEOSTAT_KAFKA_PROPERTIES", '{"sasl.password": "secret'),
        ("RHEOSTAT_RETENTION_DAYS", "week"),
    ):
        with pytest.raises(InvalidValue, match=name) as caught:
            Config.from_env(env={**env, name: value})
        assert "secret" not in str(caught.value)
    for org_id in ("", "a/b"):
        with pytest.raises(InvalidValue, match="org_id"):
            Config(org_id, "k:9092")
