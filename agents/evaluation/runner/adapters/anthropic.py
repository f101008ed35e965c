"""Anthropic's Messages protocol. https://docs.anthropic.com/en/api/messages-streaming"""

from collections.abc import Mapping
from typing import Any

import orjson

from agents.evaluation.runner.adapters.base import Adapter, HttpRequest, Question, Reading, text_of
from agents.evaluation.runner.failures import CallFailed, of_status

VERSION = "2023-06-01"
OUTPUT_TOKENS = 4096
"""The protocol demands a limit; a suite may set another."""
STATUS: Mapping[str, int] = {
    "overloaded_error": 529,
    "rate_limit_error": 429,
    "api_error": 500,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "invalid_request_error": 400,
}
"""The status that an error inside a stream would have had outside of it."""


class MessageReading(Reading):
    """message_start, content_block_delta (text_delta), message_delta, message_stop."""

    def event(self, value: Mapping[str, Any]) -> None:
        match value["type"]:
            case "content_block_delta":
                delta = value["delta"]
                if delta["type"] == "text_delta":
                    self.add(text_of(delta["text"]))
            case "message_start":
                self._usage(value["message"].get("usage") or {})
            case "message_delta":
                reason = value["delta"].get("stop_reason")
                self.finish_reason = self.finish_reason if reason is None else str(reason)
                self.output_tokens = (value.get("usage") or {}).get("output_tokens") or 0
            case "message_stop":
                self.ended = True
            case "error":
                self._error(value["error"])

    def whole(self, value: Mapping[str, Any]) -> None:
        if value.get("type") == "error":
            self._error(value["error"])
        for block in value["content"]:
            if block["type"] == "text":
                self.add(text_of(block["text"]))
        reason = value.get("stop_reason")
        self.finish_reason = None if reason is None else str(reason)
        self._usage(value.get("usage") or {})

    def _usage(self, usage: Mapping[str, Any]) -> None:
        """Its input_tokens leave out what was read from and written to the cache; ours do not."""
        read = usage.get("cache_read_input_tokens") or 0
        written = usage.get("cache_creation_input_tokens") or 0
        self.input_tokens = (usage.get("input_tokens") or 0) + read + written
        self.cached_input_tokens = read
        self.output_tokens = usage.get("output_tokens") or 0

    def _error(self, error: Mapping[str, Any]) -> None:
        kind = str(error.get("type") or "")
        raise of_status(STATUS.get(kind, 500), kind, str(error.get("message") or ""), None)


class AnthropicMessages(Adapter):
    """POST BASE_URL/messages"""

    style = "anthropic-messages"

    def request(self, question: Question) -> HttpRequest:
        system = [m.content for m in question.messages if m.role == "system"]
        turns = [
            {"role": m.role, "content": m.content} for m in question.messages if m.role != "system"
        ]
        if not turns:
            raise CallFailed("invalid_request", "this protocol needs a message that is not system")
        parameters = dict(question.parameters)
        limit = parameters.pop("max_output_tokens", None)
        if "stop" in parameters:
            stop = parameters.pop("stop")
            parameters["stop_sequences"] = [stop] if isinstance(stop, str) else stop
        parameters.pop("seed", None)  # the protocol has none, and refuses unknown fields
        body: dict[str, Any] = {
            "model": question.model_id,
            "max_tokens": OUTPUT_TOKENS if limit is None else limit,
            "messages": turns,
            "stream": True,
        }
        if system:
            body["system"] = "\n\n".join(system)
        return HttpRequest(f"{question.base_url}/messages", orjson.dumps({**body, **parameters}))

    def headers(self, key: str | None) -> Mapping[str, str]:
        version = {"anthropic-version": VERSION}
        return version if key is None else {**version, "x-api-key": key}

    def reading(self) -> Reading:
        return MessageReading()
