"""What an adapter does: writes requests of one protocol, and reads its answers. Pure."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from agents.evaluation.runner.failures import CallFailed, of_status
from schemas.suites import PromptMessage

ANSWER_CHARS_MAX = 2_000_000
"""Of a kept answer: with scores it stays below the largest message of case-results."""
TOKENS_MAX = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Question:
    """A request before it has a protocol. `parameters`: fields of the body, which win."""

    base_url: str
    model_id: str
    messages: Sequence[PromptMessage]
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A POST without its key."""

    url: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model answered. `cost_usd`: as the endpoint states it; None: it does not."""

    text: str
    finish_reason: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    cost_usd: float | None = None


@dataclass(slots=True)
class Reading(ABC):
    """An answer while it comes. Every method raises CallFailed for what is not the protocol."""

    parts: list[str] = field(default_factory=list)
    size: int = 0
    finish_reason: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    cost_usd: float | None = None
    ended: bool = False

    @abstractmethod
    def event(self, value: Mapping[str, Any]) -> None:
        """One event of a stream."""

    @abstractmethod
    def whole(self, value: Mapping[str, Any]) -> None:
        """A body that came in one piece."""

    def data(self, data: bytes) -> None:
        """One event's bytes."""
        if data == b"[DONE]":
            self.ended = True
        else:
            guarded(self.event, parse(data))

    def body(self, data: bytes) -> None:
        """All bytes of a body that is no stream."""
        guarded(self.whole, parse(data))
        self.ended = True

    def add(self, text: str | None) -> None:
        """A piece of the answer's text."""
        if text:
            self.parts.append(text)
            self.size += len(text)
            if self.size > ANSWER_CHARS_MAX:
                raise CallFailed(
                    "answer_too_long",
                    f"the answer has over {ANSWER_CHARS_MAX:,} characters; lower its token limit",
                )

    def answer(self) -> Answer:
        """The whole answer. Raises CallFailed when it did not come to its end."""
        if not self.ended and self.finish_reason is None:
            raise CallFailed("connection", "the answer was cut before its end")
        if self.finish_reason in FILTERED and not self.parts:
            raise CallFailed("content_filter", f"no answer: {self.finish_reason}")
        return Answer(
            "".join(self.parts),
            self.finish_reason,
            tokens(self.input_tokens),
            tokens(self.output_tokens),
            tokens(self.cached_input_tokens),
            self.cost_usd,
        )


FILTERED = ("content_filter", "refusal")


class Adapter(ABC):
    """One protocol. Stateless: one object serves every call."""

    style: str

    @abstractmethod
    def request(self, question: Question) -> HttpRequest:
        """The request that asks it. Raises CallFailed when the protocol cannot say it."""

    @abstractmethod
    def headers(self, key: str | None) -> Mapping[str, str]:
        """What authenticates a call; `key` None: the endpoint asks for none."""

    @abstractmethod
    def reading(self) -> Reading:
        """For the answer to one request."""

    def failure(self, status: int, body: bytes, retry_after_s: float | None) -> CallFailed:
        """What an error of the provider means. The body may be anything."""
        code, text = "", ""
        try:
            value = orjson.loads(body)
            error = value.get("error", value) if isinstance(value, dict) else value
            if isinstance(error, dict):
                code = f"{error.get('code') or ''} {error.get('type') or ''}"
                text = str(error.get("message") or error.get("detail") or "")
            elif error:
                text = str(error)
        except ValueError:
            text = body[:TEXT_SHOWN].decode("utf-8", "replace")
        return of_status(status, code.lower(), text, retry_after_s)


TEXT_SHOWN = 200


def parse(data: bytes) -> Mapping[str, Any]:
    """A JSON object. Raises CallFailed(bad_response)."""
    try:
        value = orjson.loads(data)
    except ValueError as error:
        shown = data[:TEXT_SHOWN].decode("utf-8", "replace")
        raise CallFailed("bad_response", f"no valid JSON ({error}): {shown!r}") from error
    if not isinstance(value, dict):
        raise CallFailed("bad_response", f"a JSON object was expected: {str(value)[:TEXT_SHOWN]!r}")
    return value


def guarded(read: Any, value: Mapping[str, Any]) -> None:
    """Reads a value that may have any shape; raises CallFailed(bad_response) for a wrong one."""
    try:
        read(value)
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        shown = str(value)[:TEXT_SHOWN]
        text = f"not as its protocol says ({error!r}): {shown}"
        raise CallFailed("bad_response", text) from error


def tokens(count: Any) -> int:
    """A number of tokens as the data lane takes it; 0 for what is none."""
    counts = isinstance(count, int | float) and 0 <= count <= TOKENS_MAX
    return int(count) if counts else 0


def text_of(value: Any) -> str | None:
    """A text, or None where there is none. Raises TypeError for anything else."""
    if value is None or isinstance(value, str):
        return value
    raise TypeError(f"text expected, found {type(value).__name__}")
