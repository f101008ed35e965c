"""OpenAI's protocols, as vLLM, the llama.cpp server, Ollama and LiteLLM speak them too.

https://platform.openai.com/docs/api-reference/chat/streaming and .../completions
"""

from collections.abc import Mapping
from typing import Any

import orjson

from agents.evaluation.runner.adapters.base import Adapter, HttpRequest, Question, Reading, text_of
from agents.evaluation.runner.failures import CallFailed, of_status

STREAM: Mapping[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
"""Usage in a stream is only told when asked for."""


class ChatReading(Reading):
    """Chat chunks: choices[0].delta.content; whole: choices[0].message.content."""

    def event(self, value: Mapping[str, Any]) -> None:
        raise_error(value)
        choices = value.get("choices")
        if choices:
            choice = choices[0]
            delta = choice.get("delta")
            if delta:
                self.add(text_of(delta.get("content")) or text_of(delta.get("refusal")))
            reason = choice.get("finish_reason")
            if reason is not None:
                self.finish_reason = str(reason)
        self.usage(value)

    def whole(self, value: Mapping[str, Any]) -> None:
        raise_error(value)
        choice = value["choices"][0]
        message = choice["message"]
        self.add(text_of(message.get("content")) or text_of(message.get("refusal")))
        self.finish_reason = _reason(choice)
        self.usage(value)

    def usage(self, value: Mapping[str, Any]) -> None:
        """Token counts; gateways such as OpenRouter state the cost in them."""
        usage = value.get("usage")
        if not usage:
            return
        self.input_tokens = usage.get("prompt_tokens") or 0
        self.output_tokens = usage.get("completion_tokens") or 0
        details = usage.get("prompt_tokens_details") or {}
        self.cached_input_tokens = details.get("cached_tokens") or 0
        cost = usage.get("cost")
        if isinstance(cost, int | float) and 0 <= cost <= COST_USD_MAX:
            self.cost_usd = float(cost)


class CompletionReading(ChatReading):
    """Completion chunks and bodies: choices[0].text."""

    def event(self, value: Mapping[str, Any]) -> None:
        raise_error(value)
        if value.get("choices"):
            choice = value["choices"][0]
            self.add(text_of(choice.get("text")))
            self.finish_reason = _reason(choice) or self.finish_reason
        self.usage(value)

    def whole(self, value: Mapping[str, Any]) -> None:
        raise_error(value)
        choice = value["choices"][0]
        self.add(text_of(choice["text"]))
        self.finish_reason = _reason(choice)
        self.usage(value)


class OpenAiChat(Adapter):
    """POST BASE_URL/chat/completions"""

    style = "openai-chat"

    def request(self, question: Question) -> HttpRequest:
        messages = [{"role": m.role, "content": m.content} for m in question.messages]
        body = {
            "model": question.model_id,
            "messages": messages,
            **STREAM,
            **openai_names(question.parameters),
        }
        return HttpRequest(f"{question.base_url}/chat/completions", orjson.dumps(body))

    def headers(self, key: str | None) -> Mapping[str, str]:
        return {} if key is None else {"Authorization": f"Bearer {key}"}

    def reading(self) -> Reading:
        return ChatReading()


class OpenAiCompletions(OpenAiChat):
    """POST BASE_URL/completions: for base models. The messages' texts are joined by blank lines."""

    style = "openai-completions"

    def request(self, question: Question) -> HttpRequest:
        prompt = "\n\n".join(message.content for message in question.messages)
        body = {
            "model": question.model_id,
            "prompt": prompt,
            **STREAM,
            **openai_names(question.parameters),
        }
        return HttpRequest(f"{question.base_url}/completions", orjson.dumps(body))

    def reading(self) -> Reading:
        return CompletionReading()


COST_USD_MAX = 1_000_000.0


def openai_names(parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """Suites say max_output_tokens; the widest known name for it here is max_tokens."""
    if "max_output_tokens" not in parameters:
        return parameters
    own = {k: v for k, v in parameters.items() if k != "max_output_tokens"}
    return {"max_tokens": parameters["max_output_tokens"], **own}


def raise_error(value: Mapping[str, Any]) -> None:
    """An error inside an answer that began well."""
    error = value.get("error")
    if not error:
        return
    if not isinstance(error, dict):
        raise CallFailed("server_error", f"the endpoint ended its answer: {error}")
    code = f"{error.get('code') or ''} {error.get('type') or ''}".lower()
    status = error.get("code") if isinstance(error.get("code"), int) else 500
    raise of_status(int(status or 500), code, str(error.get("message") or ""), None)


def _reason(choice: Mapping[str, Any]) -> str | None:
    reason = choice.get("finish_reason")
    return None if reason is None else str(reason)
