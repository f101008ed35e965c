"""Answers in the providers' protocols: whole, as pieces of a stream, and as errors. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from infra.scripted_endpoint.play import Call, Play
from infra.scripted_endpoint.script import FaultKind

ERRORS: Mapping[FaultKind, tuple[int, str, str]] = {
    "rate_limit": (429, "rate_limit_exceeded", "Rate limit reached"),
    "overloaded": (503, "overloaded_error", "The server is overloaded"),
    "server_error": (500, "server_error", "The server had an error"),
    "authentication": (401, "invalid_api_key", "Incorrect API key provided"),
    "not_found": (404, "model_not_found", "The model does not exist"),
    "invalid_request": (400, "invalid_request_error", "A parameter is wrong"),
    "context_length": (
        400,
        "context_length_exceeded",
        "prompt is too long: this model's maximum context length is 4096 tokens",
    ),
    "content_filter": (
        400,
        "content_filter",
        "The response was filtered due to the content management policy",
    ),
}
"""Status, code and message of the faults that are a provider's error."""


def error(kind: FaultKind, style: str) -> tuple[int, bytes]:
    """The status and body of a provider's error."""
    status, code, message = ERRORS[kind]
    if style == "anthropic-messages":
        value: dict[str, Any] = {"type": "error", "error": {"type": code, "message": message}}
    else:
        value = {"error": {"message": message, "type": code, "code": code}}
    return status, orjson.dumps(value)


def whole(call: Call, play: Play) -> bytes:
    """The body of an answer that is not streamed."""
    if call.style == "anthropic-messages":
        content = [{"type": "text", "text": play.text}]
        usage = {"input_tokens": play.input_tokens, "output_tokens": play.output_tokens}
        return orjson.dumps(
            {**_message(call), "content": content, "stop_reason": "end_turn", "usage": usage}
        )
    part: dict[str, Any] = {"index": 0, "finish_reason": "stop"}
    if call.style == "openai-chat":
        part["message"] = {"role": "assistant", "content": play.text}
    else:
        part["text"] = play.text
    return orjson.dumps({**_head(call, ""), "choices": [part], "usage": _usage(play)})


def pieces(call: Call, play: Play) -> Iterator[bytes]:
    """The events of a stream, in order. The first carries no text; the last one ends it."""
    if call.style == "anthropic-messages":
        yield from _anthropic(call, play)
        return
    head = _head(call, ".chunk")
    chat = call.style == "openai-chat"
    if chat:
        yield _data({**head, "choices": [_choice({"delta": {"role": "assistant"}})]})
    for text in _split(play):
        part = {"delta": {"content": text}} if chat else {"text": text}
        yield _data({**head, "choices": [_choice(part)]})
    yield _data({**head, "choices": [_choice({"delta": {}} if chat else {"text": ""}, "stop")]})
    if call.usage:
        yield _data({**head, "choices": [], "usage": _usage(play)})
    yield b"data: [DONE]\n\n"


def _split(play: Play) -> list[str]:
    size = max(1, -(-len(play.text) // play.pieces))
    return [play.text[i : i + size] for i in range(0, len(play.text), size)]


def _anthropic(call: Call, play: Play) -> Iterator[bytes]:
    usage = {"input_tokens": play.input_tokens, "output_tokens": 1}
    message = {**_message(call), "content": [], "stop_reason": None, "usage": usage}
    yield _event("message_start", {"message": message})
    block = {"type": "text", "text": ""}
    yield _event("content_block_start", {"index": 0, "content_block": block})
    for text in _split(play):
        delta = {"type": "text_delta", "text": text}
        yield _event("content_block_delta", {"index": 0, "delta": delta})
    yield _event("content_block_stop", {"index": 0})
    done = {"delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": play.output_tokens}}
    yield _event("message_delta", done)
    yield _event("message_stop", {})


def _head(call: Call, suffix: str) -> dict[str, Any]:
    kind = "chat.completion" if call.style == "openai-chat" else "text_completion"
    return {"id": "scripted", "object": f"{kind}{suffix}", "created": 0, "model": call.model}


def _message(call: Call) -> dict[str, Any]:
    return {"id": "scripted", "type": "message", "role": "assistant", "model": call.model}


def _usage(play: Play) -> dict[str, int]:
    total = play.input_tokens + play.output_tokens
    return {
        "prompt_tokens": play.input_tokens,
        "completion_tokens": play.output_tokens,
        "total_tokens": total,
    }


def _choice(part: Mapping[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {"index": 0, **part, "finish_reason": finish}


def _data(value: Mapping[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(value) + b"\n\n"


def _event(name: str, value: Mapping[str, Any]) -> bytes:
    body = orjson.dumps({"type": name, **value})
    return b"event: " + name.encode() + b"\ndata: " + body + b"\n\n"
