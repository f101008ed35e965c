"""A suite's templates and a case's fields become the messages that a model is sent. Pure.

A template is text with `{name}` where the value of a field belongs; `{{` and `}}` are braces. There
is nothing else: no attributes, no indices, no formats, and what a value holds is never read as a
template. Texts are put in as they are, other values as JSON.
"""

import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from agents.errors import AgentError
from schemas.suites import PromptMessage, Suite

PROMPT_CHARS_MAX = 2_000_000
"""Of all messages together: a short template can repeat a long field."""
_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,127}")


class TemplateError(AgentError):
    """A prompt that cannot be made."""


class TemplateInvalid(TemplateError):
    """The template itself is wrong, whatever the case. `at`: the character, from 0."""

    def __init__(self, at: int, text: str) -> None:
        self.at = at
        super().__init__(f"{text}, at character {at + 1}; write {{{{ and }}}} for braces")


class MissingVariable(TemplateError):
    """A template names a field that the case has not. `fields`: those it has."""

    def __init__(self, variable: str, fields: tuple[str, ...]) -> None:
        self.variable = variable
        self.fields = fields
        there = ", ".join(fields) or "none"
        super().__init__(f"the case has no field {variable!r}; it has: {there}")


class PromptTooLong(TemplateError):
    """More than PROMPT_CHARS_MAX."""


class _Part(NamedTuple):
    """Text as it stands, or the name of a variable."""

    text: str
    is_variable: bool


def render(suite: Suite, case_fields: Mapping[str, Any]) -> tuple[PromptMessage, ...]:
    """System messages, the few-shot turns, then the other messages, all with the case's fields.

    Raises MissingVariable (also for a field that is null), TemplateInvalid, PromptTooLong.
    """
    left = PROMPT_CHARS_MAX
    messages = []
    for message in templates(suite):
        content = _filled(message.content, case_fields, left)
        left -= len(content)
        messages.append(PromptMessage(message.role, content))
    return tuple(messages)


def templates(suite: Suite) -> Iterator[PromptMessage]:
    """The suite's messages in the order in which they are sent."""
    leading = 0
    while leading < len(suite.prompt) and suite.prompt[leading].role == "system":
        leading += 1
    yield from suite.prompt[:leading]
    yield from suite.examples
    yield from suite.prompt[leading:]


def variables(template: str) -> tuple[str, ...]:
    """The names of a template's variables, each once, in their order. Raises TemplateInvalid."""
    return tuple(dict.fromkeys(part.text for part in _parsed(template) if part.is_variable))


def _filled(template: str, fields: Mapping[str, Any], chars_max: int) -> str:
    pieces, length = [], 0
    for part in _parsed(template):
        piece = _value(part.text, fields) if part.is_variable else part.text
        length += len(piece)
        if length > chars_max:
            raise PromptTooLong(
                f"the prompt of this case is longer than {PROMPT_CHARS_MAX:,} characters: shorten "
                "the case, or repeat its fields less often"
            )
        pieces.append(piece)
    return "".join(pieces)


def _value(name: str, fields: Mapping[str, Any]) -> str:
    value = fields.get(name)
    if value is None:
        raise MissingVariable(name, tuple(f for f, v in fields.items() if v is not None))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


@lru_cache(maxsize=1024)
def _parsed(template: str) -> tuple[_Part, ...]:
    parts, end = [], 0
    for token in _TOKEN.finditer(template):
        if token.start() > end:
            parts.append(_Part(template[end : token.start()], False))
        end = token.end()
        parts.append(_part(token))
    if end < len(template):
        parts.append(_Part(template[end:], False))
    return tuple(parts)


def _part(token: re.Match[str]) -> _Part:
    text, name = token[0], token[1]
    if text in ("{{", "}}"):
        return _Part(text[0], False)
    if name is None:
        raise TemplateInvalid(token.start(), f"a {text} without its counterpart")
    if _NAME.fullmatch(name) is None:
        shown = repr(name if len(name) <= 40 else name[:40] + "…")
        raise TemplateInvalid(token.start(), f"{shown} is no name of a variable")
    return _Part(name, True)
