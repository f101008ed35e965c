"""Adapters: what they write, what they read, and what they make of nonsense."""

from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from agents.evaluation.runner.adapters import adapters
from agents.evaluation.runner.adapters.base import ANSWER_CHARS_MAX, Question
from agents.evaluation.runner.failures import ERRORS, CallFailed
from infra.scripted_endpoint.bodies import pieces, whole
from infra.scripted_endpoint.play import Call, Play
from schemas.suites import PromptMessage

STYLES = ("openai-chat", "openai-completions", "anthropic-messages")
MESSAGES = (PromptMessage("system", "Be brief."), PromptMessage("user", "Why?"))
PLAY = Play("because", 0, 0, 3, 12, 7)


def request(style: str, **parameters: Any) -> tuple[str, dict[str, Any]]:
    made = adapters()[style].request(Question("http://m/v1", "small", MESSAGES, parameters))
    return made.url, orjson.loads(made.body)


def read(style: str, *events: Mapping[str, Any] | bytes) -> Any:
    reading = adapters()[style].reading()
    for event in events:
        reading.data(event if isinstance(event, bytes) else orjson.dumps(event))
    return reading.answer()


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_is_read_from_a_stream_and_in_one_piece(style: str, stream: bool) -> None:
    call, reading = Call(style, "small", "Why?", stream), adapters()[style].reading()
    if stream:
        for event in b"".join(pieces(call, PLAY)).split(b"\n\n"):
            data = event.rpartition(b"data: ")[2]
            if data:
                reading.data(data)
    else:
        reading.body(whole(call, PLAY))
    answer = reading.answer()
    assert (answer.text, answer.input_tokens, answer.output_tokens) == ("because", 12, 7)
    assert answer.finish_reason in ("stop", "end_turn")


def test_requests_are_in_each_protocols_words() -> None:
    url, chat = request("openai-chat", max_output_tokens=5, temperature=0)
    assert url == "http://m/v1/chat/completions"
    assert chat["messages"][0] == {"role": "system", "content": "Be brief."}
    assert (chat["max_tokens"], chat["temperature"], chat["stream"]) == (5, 0, True)
    assert chat["stream_options"] == {"include_usage": True}
    url, base = request("openai-completions")
    assert (url, base["prompt"]) == ("http://m/v1/completions", "Be brief.\n\nWhy?")
    url, message = request("anthropic-messages", max_output_tokens=5, stop=["x"], seed=1)
    assert url == "http://m/v1/messages"
    assert (message["system"], message["max_tokens"]) == ("Be brief.", 5)
    assert message["messages"] == [{"role": "user", "content": "Why?"}]
    assert (message["stop_sequences"], "seed" in message) == (["x"], False)


def test_a_suites_own_fields_win() -> None:
    assert request("openai-chat", stream=False)[1]["stream"] is False


def test_keys_go_where_each_protocol_wants_them() -> None:
    found = adapters()
    assert found["openai-chat"].headers("k") == {"Authorization": "Bearer k"}
    assert found["openai-chat"].headers(None) == {}
    assert found["anthropic-messages"].headers("k")["x-api-key"] == "k"


def test_cached_tokens_are_part_of_the_input() -> None:
    usage = {"input_tokens": 3, "cache_read_input_tokens": 90, "cache_creation_input_tokens": 7}
    start = {"type": "message_start", "message": {"usage": usage}}
    answer = read("anthropic-messages", start, {"type": "message_stop"})
    assert (answer.input_tokens, answer.cached_input_tokens) == (100, 90)


def test_a_stated_cost_is_kept() -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "cost": 0.25}
    assert read("openai-chat", {"choices": [], "usage": usage}, b"[DONE]").cost_usd == 0.25


@pytest.mark.parametrize(
    ("event", "error_type"),
    [
        (b"{half", "bad_response"),
        (b'"text"', "bad_response"),
        (b'{"choices": [{"delta": {"content": 5}}]}', "bad_response"),
        (b'{"choices": {"0": 1}}', "bad_response"),
        (b'{"choices": [{"delta": {"content": "\\ud800"}}]}', "bad_response"),
        (b'{"choices": [{"delta": {"content": "\xfc"}}]}', "bad_response"),
        (b'{"error": {"message": "boom", "type": "server_error"}}', "server_error"),
        (b'{"error": {"message": "slow down", "code": 429}}', "rate_limited"),
    ],
)
def test_nonsense_in_a_stream_has_a_type(event: bytes, error_type: str) -> None:
    with pytest.raises(CallFailed) as caught:
        read("openai-chat", event)
    assert caught.value.error_type == error_type


def test_an_overloaded_anthropic_stream_is_overloaded() -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    with pytest.raises(CallFailed) as caught:
        read("anthropic-messages", error)
    assert caught.value.error_type == "overloaded"


def test_a_stream_without_its_end_was_cut() -> None:
    with pytest.raises(CallFailed, match="cut before its end"):
        read("openai-chat", {"choices": [{"delta": {"content": "half"}}]})


def test_an_answer_that_is_too_long_is_not_kept() -> None:
    text = "x" * (ANSWER_CHARS_MAX + 1)
    with pytest.raises(CallFailed) as caught:
        read("openai-chat", {"choices": [{"delta": {"content": text}}]})
    assert caught.value.error_type == "answer_too_long"


def test_silly_token_counts_are_no_counts() -> None:
    usage = {"prompt_tokens": -5, "completion_tokens": "many"}
    answer = read("openai-chat", {"choices": [], "usage": usage}, b"[DONE]")
    assert (answer.input_tokens, answer.output_tokens) == (0, 0)


@pytest.mark.parametrize(
    ("status", "body", "error_type"),
    [
        (429, b'{"error": {"message": "slow down"}}', "rate_limited"),
        (429, b'{"error": {"code": "insufficient_quota", "message": "x"}}', "authentication"),
        (503, b"<html>", "overloaded"),
        (529, b"", "overloaded"),
        (500, b"\xff\xfe", "server_error"),
        (401, b"{}", "authentication"),
        (404, b'{"detail": "no model"}', "not_found"),
        (400, b'{"error": {"code": "content_filter"}}', "content_filter"),
        (400, b'{"error": {"message": "prompt is too long: 9 tokens"}}', "context_length"),
        (413, b"", "context_length"),
        (422, b'{"error": "unknown field"}', "invalid_request"),
        (408, b"[1, 2]", "timeout"),
    ],
)
def test_a_providers_error_has_a_type(status: int, body: bytes, error_type: str) -> None:
    failed = adapters()["openai-chat"].failure(status, body, None)
    assert failed.error_type == error_type
    assert failed.text.startswith(f"HTTP {status}")


def test_a_context_that_calls_share_and_have_filled_is_overload_not_a_broken_server() -> None:
    full = (
        b'{"error":{"code":500,"message":"Context size has been exceeded.","type":"server_error"}}'
    )
    with pytest.raises(CallFailed) as caught:
        read("openai-completions", {"choices": [{"text": "half"}]}, full)
    assert caught.value.error_type == "overloaded"
    assert caught.value.kind.slows
    assert adapters()["openai-chat"].failure(500, full, None).error_type == "overloaded"


def test_words_of_the_llama_cpp_server_have_their_types() -> None:
    def failure(status: int, body: bytes) -> str:
        return adapters()["openai-chat"].failure(status, body, None).error_type

    long = (
        b"request (3007 tokens) exceeds the available context size (2048 tokens), try increasing it"
    )
    body = b'{"error":{"code":400,"message":"%s","type":"exceed_context_size_error"}}' % long
    assert failure(400, body) == "context_length"
    loading = b'{"error":{"message":"Loading model","type":"unavailable_error","code":503}}'
    assert failure(503, loading) == "overloaded"
    parts = b'{"error":{"message":"This server does not support embeddings.","code":501}}'
    assert failure(501, parts) == "invalid_request"


def test_an_answer_of_the_llama_cpp_server_is_read() -> None:
    head = {"id": "chatcmpl-x", "model": "gemma", "object": "chat.completion.chunk"}
    first = {"finish_reason": None, "index": 0, "delta": {"role": "assistant", "content": None}}
    piece = {"finish_reason": None, "index": 0, "delta": {"content": "Paris"}}
    last = {"finish_reason": "length", "index": 0, "delta": {}}
    usage = {"completion_tokens": 5, "prompt_tokens": 29, "total_tokens": 34}
    counts = {**usage, "prompt_tokens_details": {"cached_tokens": 7}}
    end = {**head, "choices": [], "usage": counts, "timings": {"prompt_ms": 12.5, "cache_n": 7}}
    events = [{**head, "choices": [choice]} for choice in (first, piece, last)]
    answer = read("openai-chat", *events, end, b"[DONE]")
    assert (answer.text, answer.finish_reason) == ("Paris", "length")
    assert (answer.input_tokens, answer.output_tokens, answer.cached_input_tokens) == (29, 5, 7)


def test_the_vocabulary_is_finite_in_every_way() -> None:
    assert all(1 <= kind.executions <= 10 and kind.meaning for kind in ERRORS.values())
