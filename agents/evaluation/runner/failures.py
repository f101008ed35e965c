"""Why a case has no answer: the vocabulary of error_type, and what each one leads to. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from agents.errors import AgentError

ErrorType = Literal[
    "timeout",
    "rate_limited",
    "overloaded",
    "server_error",
    "connection",
    "bad_response",
    "content_filter",
    "context_length",
    "authentication",
    "not_found",
    "model_deleted",
    "no_endpoint",
    "invalid_request",
    "answer_too_long",
    "cancelled",
]
TEXT_MAX = 500


@dataclass(frozen=True, slots=True)
class ErrorKind:
    """What follows from an error.

    executions: how often a case that ends in it is executed in all; 1: it is final at once.
    slows: the endpoint asks for less, so fewer calls are made at a time.
    breaks: it speaks for an endpoint that is down, and counts for its circuit breaker.
    """

    meaning: str
    executions: int = 1
    slows: bool = False
    breaks: bool = False


ERRORS: Mapping[ErrorType, ErrorKind] = {
    # A server that queues what it cannot take yet says nothing at all for too long.
    "timeout": ErrorKind("no answer, or no more of it, in time", 2, slows=True, breaks=True),
    "rate_limited": ErrorKind("429: more calls than the provider allows", 10, slows=True),
    "overloaded": ErrorKind("503, 529, or full: the endpoint has too much to do", 8, slows=True),
    "server_error": ErrorKind("another status from 500 up", 5, breaks=True),
    "connection": ErrorKind("refused, reset, or cut half-way", 8, breaks=True),
    "bad_response": ErrorKind("an answer that is not of the endpoint's protocol", 2),
    "content_filter": ErrorKind("the provider declined by its content policy"),
    "context_length": ErrorKind("the prompt is longer than the model takes"),
    "authentication": ErrorKind("no key, or one that the endpoint refuses (401, 403)"),
    "not_found": ErrorKind("no such model, in the registry or at the endpoint (404)"),
    "model_deleted": ErrorKind("the model was deleted from the registry during the run"),
    "no_endpoint": ErrorKind("the model has no endpoint, or one of an unknown api_style"),
    "invalid_request": ErrorKind("the endpoint refuses the request (another 4xx, or 501)"),
    "answer_too_long": ErrorKind("longer than is kept; nothing of it is scored"),
    "cancelled": ErrorKind("the run was cancelled before the case had an answer"),
}


class CallFailed(AgentError):
    """A call gave no answer. `text` says why, for people: one line, no secret in it."""

    def __init__(
        self, error_type: ErrorType, text: str, retry_after_s: float | None = None
    ) -> None:
        self.error_type: ErrorType = error_type
        self.text = " ".join(text.split())[:TEXT_MAX]
        self.retry_after_s = retry_after_s
        super().__init__(f"{error_type}: {self.text}")

    @property
    def kind(self) -> ErrorKind:
        return ERRORS[self.error_type]


def of_status(status: int, code: str, text: str, retry_after_s: float | None) -> CallFailed:
    """A provider's error. `code`: its own word for it, in lower case; `text`: its message."""
    said = f"{code} {text}".lower()
    kind: ErrorType
    if status == 429:
        # A quota that is used up does not come back by waiting.
        kind = "authentication" if "insufficient_quota" in said else "rate_limited"
    elif status in (503, 529) or (status >= 500 and CROWDED in said):
        kind = "overloaded"
    elif status == 501:
        kind = "invalid_request"
    elif status >= 500:
        kind = "server_error"
    elif status in (401, 403):
        kind = "authentication"
    elif status == 408:
        kind = "timeout"
    elif "content_filter" in said or "content management policy" in said:
        kind = "content_filter"
    elif status == 413 or any(words in said for words in TOO_LONG):
        kind = "context_length"
    elif status in (404, 410):
        kind = "not_found"
    elif 300 <= status < 400:
        kind = "invalid_request"
    else:
        kind = "invalid_request"
    return CallFailed(kind, f"HTTP {status}: {text or code or 'no reason given'}", retry_after_s)


CROWDED = "context size has been exceeded"
"""The llama.cpp server, where calls share one context that their sum has filled: all of them fail,
and fewer at a time fit. A single call that is too long gets another status and other words."""

TOO_LONG = (
    "context_length",
    "context length",
    "context size",
    "prompt is too long",
    "too many tokens",
)
"""How OpenAI, vLLM, the llama.cpp server and Anthropic say that a prompt does not fit."""
