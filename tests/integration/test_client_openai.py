"""The real OpenAI SDK against a small server: used as ever, and every completion is reported."""

import gc
from collections.abc import AsyncIterator, Iterator
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from rheostat_client import UNVERSIONED, Assignment, Choice, InvalidValue, serving
from rheostat_client.openai import Observation, observed
from tests.support.client import FakeProducer, reporter
from tests.support.openai_server import FIRST_AFTER_S, VERSION, serving_openai

pytestmark = pytest.mark.integration
MESSAGES: Any = [{"role": "user", "content": "hi"}]
CHAT = Observation(capability="chat", unit_id="user-1")


class Word(BaseModel):
    word: str


class Bench:
    """A server, a reporter, and clients of both kinds."""

    def __init__(self, url: str, requests: list[dict[str, Any]]) -> None:
        self.requests = requests
        self.producer = FakeProducer()
        self.reporter = reporter(self.producer)
        options: Any = {"api_key": "x", "base_url": url, "max_retries": 0}
        self.plain = openai.OpenAI(**options)
        self.async_plain = openai.AsyncOpenAI(**options)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    with serving_openai() as (url, requests):
        found = Bench(url, requests)
        yield found
        found.reporter.close()
        found.plain.close()
        await found.async_plain.close()


def events(bench: Bench) -> list[dict[str, Any]]:
    assert bench.reporter.flush(30) == 0
    return bench.producer.events()


def test_a_completion_is_reported(bench: Bench) -> None:
    client = observed(bench.plain, bench.reporter, CHAT)
    answer = client.chat.completions.create(model="gpt", messages=MESSAGES)
    assert isinstance(answer, openai.types.chat.ChatCompletion)
    assert answer.usage is not None
    (event,) = events(bench)
    assert (event["model_id"], event["model_version"]) == ("gpt", VERSION)
    assert (event["capability"], event["unit_id"], event["error_type"]) == ("chat", "user-1", None)
    tokens = ("input_tokens", "output_tokens", "cached_input_tokens")
    assert tuple(event[name] for name in tokens) == (100, 3, 60)
    assert event["latency_ms"] > 0
    assert event["ttft_ms"] is None
    assert bench.requests[0] == {"model": "gpt", "messages": MESSAGES}

    bench.plain.chat.completions.create(model="gpt", messages=MESSAGES)
    assert len(events(bench)) == 1, "the client that was given is left alone"


async def test_an_async_completion_is_reported(bench: Bench) -> None:
    client = observed(bench.async_plain, bench.reporter, CHAT)
    await client.chat.completions.create(model="gpt", messages=MESSAGES)
    (event,) = events(bench)
    assert (event["input_tokens"], event["model_version"]) == (100, VERSION)


def words(chunks: Iterator[Any]) -> list[str]:
    return [chunk.choices[0].delta.content for chunk in chunks]


def test_a_stream_is_measured_to_its_end(bench: Bench) -> None:
    client = observed(bench.plain, bench.reporter, CHAT)
    stream = client.chat.completions.create(model="gpt", messages=MESSAGES, stream=True)
    assert isinstance(stream, openai.Stream)
    assert stream.response.status_code == 200
    assert events(bench) == []
    assert words(stream) == ["", "one", "two", "three"], "no chunk without choices shows up"
    (event,) = events(bench)
    assert (event["input_tokens"], event["output_tokens"]) == (100, 3)
    assert FIRST_AFTER_S * 1000 * 0.9 <= event["ttft_ms"] <= event["latency_ms"]
    assert bench.requests[0]["stream_options"] == {"include_usage": True}


async def test_an_async_stream_is_measured_to_its_end(bench: Bench) -> None:
    client = observed(bench.async_plain, bench.reporter, CHAT)
    stream = await client.chat.completions.create(model="gpt", messages=MESSAGES, stream=True)
    assert isinstance(stream, openai.AsyncStream)
    seen = [chunk.choices[0].delta.content async for chunk in stream]
    assert seen == ["", "one", "two", "three"]
    (event,) = events(bench)
    assert (event["input_tokens"], event["error_type"]) == (100, None)
    assert event["ttft_ms"] > 0


def test_who_asks_for_usage_gets_it(bench: Bench) -> None:
    client = observed(bench.plain, bench.reporter, CHAT)
    stream = client.chat.completions.create(
        model="gpt", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    )
    assert [len(chunk.choices) for chunk in stream] == [1, 1, 1, 1, 0]
    unasked = observed(bench.plain, bench.reporter, Observation("chat", stream_usage=False))
    list(unasked.chat.completions.create(model="gpt", messages=MESSAGES, stream=True))
    assert "stream_options" not in bench.requests[1]
    assert [e["input_tokens"] for e in events(bench)] == [100, 0]


def test_a_stream_left_half_way_still_was_a_call(bench: Bench) -> None:
    client = observed(bench.plain, bench.reporter, CHAT)
    with client.chat.completions.create(model="gpt", messages=MESSAGES, stream=True) as stream:
        next(stream)
    assert len(events(bench)) == 1
    dropped = client.chat.completions.create(model="gpt", messages=MESSAGES, stream=True)
    next(dropped)
    dropped.response.close()
    del dropped
    gc.collect()
    assert [e["error_type"] for e in events(bench)] == [None, None]


def test_errors_are_reported_and_go_on(bench: Bench) -> None:
    client = observed(bench.plain, bench.reporter, CHAT)
    with pytest.raises(openai.RateLimitError):
        client.chat.completions.create(model="status-429", messages=MESSAGES)
    with pytest.raises(openai.InternalServerError):
        client.chat.completions.create(model="status-500", messages=MESSAGES, stream=True)
    stream = client.chat.completions.create(model="breaks", messages=MESSAGES, stream=True)
    with pytest.raises(openai.APIError):
        list(stream)
    found = events(bench)
    assert [e["error_type"] for e in found] == [
        "openai.RateLimitError",
        "openai.InternalServerError",
        "openai.APIError",
    ]
    assert [e["model_version"] for e in found] == [UNVERSIONED, UNVERSIONED, VERSION]


async def test_async_errors_are_reported_and_go_on(bench: Bench) -> None:
    client = observed(bench.async_plain, bench.reporter, CHAT)
    with pytest.raises(openai.RateLimitError):
        await client.chat.completions.create(model="status-429", messages=MESSAGES)
    stream = await client.chat.completions.create(model="breaks", messages=MESSAGES, stream=True)
    with pytest.raises(openai.APIError):
        async for _ in stream:
            pass
    assert [e["error_type"] for e in events(bench)] == ["openai.RateLimitError", "openai.APIError"]


def test_parse_and_the_stream_helper_are_covered(bench: Bench) -> None:
    client = observed(bench.plain, bench.reporter, CHAT)
    parsed = client.chat.completions.parse(model="gpt", messages=MESSAGES, response_format=Word)
    assert parsed.choices[0].message.parsed == Word(word="hello")
    with client.chat.completions.stream(model="gpt", messages=MESSAGES) as stream:
        assert stream.get_final_completion().choices[0].message.content == "onetwothree"
    assert [e["input_tokens"] for e in events(bench)] == [100, 100]


async def test_the_async_stream_helper_is_covered(bench: Bench) -> None:
    client = observed(bench.async_plain, bench.reporter, CHAT)
    async with client.chat.completions.stream(model="gpt", messages=MESSAGES) as stream:
        final = await stream.get_final_completion()
    assert final.choices[0].message.content == "onetwothree"
    assert [e["input_tokens"] for e in events(bench)] == [100]


def test_a_serving_block_says_who_and_why(bench: Bench) -> None:
    choice = Choice("summarize", "small", "7", "sel-1", 0.9, "rank 1", "live")
    client = observed(bench.plain, bench.reporter, Observation("chat", models={"gpt": "small"}))
    with serving(choice=choice, unit_id="user-9"):
        client.chat.completions.create(model="gpt", messages=MESSAGES)
        client.chat.completions.create(model="other", messages=MESSAGES)
    assignment = Assignment("t-1", "a", "user-3", 0.5, "small", "7", "code")
    with serving(assignment=assignment):
        client.chat.completions.create(model="gpt", messages=MESSAGES)
    client.chat.completions.create(model="gpt", messages=MESSAGES, user="user-4")
    client.chat.completions.create(model="gpt", messages=MESSAGES)
    chosen, other, assigned, asked, nobody = events(bench)
    assert (chosen["selection_id"], chosen["propensity"], chosen["unit_id"]) == (
        "sel-1",
        0.9,
        "user-9",
    )
    assert (chosen["model_id"], chosen["model_version"], chosen["capability"]) == (
        "small",
        "7",
        "summarize",
    )
    assert (other["model_id"], other["selection_id"], other["capability"]) == (
        "other",
        None,
        "chat",
    )
    assert (assigned["ab_test_id"], assigned["arm"], assigned["unit_id"]) == ("t-1", "a", "user-3")
    assert asked["unit_id"] == "user-4"
    assert nobody["unit_id"] not in ("", "user-4")


def test_what_cannot_be_reported_does_not_stand_in_the_way(bench: Bench) -> None:
    client = observed(bench.plain, bench.reporter)
    answer = client.chat.completions.create(model="gpt", messages=MESSAGES)
    assert answer.choices
    assert bench.reporter.counts.dropped == {"invalid": 1}
    silly = observed(bench.plain, bench.reporter, CHAT)
    silly.chat.completions.create(model="silly", messages=MESSAGES)
    (event,) = events(bench)
    assert (event["input_tokens"], event["output_tokens"]) == (0, 0)


def test_raw_responses_are_left_alone(bench: Bench) -> None:
    client = observed(bench.plain, bench.reporter, CHAT)
    raw = client.chat.completions.with_raw_response.create(model="gpt", messages=MESSAGES)
    assert raw.parse().model == VERSION
    assert events(bench) == []


def test_only_openai_clients_are_taken(bench: Bench) -> None:
    with pytest.raises(InvalidValue, match="client"):
        observed("client", bench.reporter)  # type: ignore[type-var]
