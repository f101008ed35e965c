"""What the endpoint answers, as data: rules, answers, latencies and faults. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, TypeAdapter, ValidationError

from infra.errors import OperatorError

Probability = Annotated[float, Field(ge=0, le=1)]
FaultKind = Literal[
    "rate_limit",
    "overloaded",
    "server_error",
    "authentication",
    "not_found",
    "invalid_request",
    "context_length",
    "content_filter",
    "never",
    "drip",
    "refuse",
    "cut",
    "broken_json",
    "wrong_encoding",
    "redirect",
    "gzip_bomb",
    "huge",
]
"""never: takes the request and is silent. drip: pieces `seconds` apart. refuse: closes without an
answer. cut: closes half-way. broken_json, wrong_encoding: of the body. gzip_bomb: `size` bytes of
one letter, compressed. huge: an answer of `size` bytes. The others: the provider's own error."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds to the whole answer: the median, and the log-normal spread around it.

    `first_share`: the part of it that passes before the first token.
    """

    median_ms: float = 0.0
    sigma: float = 0.0
    first_share: Probability = 0.4


@dataclass(frozen=True, slots=True)
class Answer:
    """What a rule answers: a `text`, or by the script's table.

    `accuracy`: how often the table's answer is given; else one of `wrong`, or another row's answer
    when there is none. A prompt that is not in the table gets `text`.
    """

    text: str = "ok"
    by_table: bool = False
    accuracy: Probability = 1.0
    wrong: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fault:
    """Something goes wrong, with a probability. `times`: only in the first calls of a request."""

    kind: FaultKind
    probability: Probability = 1.0
    times: int | None = None
    seconds: float = 1.0
    size: int = 1_000_000


@dataclass(frozen=True, slots=True)
class Rule:
    """Applies to calls whose model and last user message match these patterns (searched)."""

    model: str = ""
    prompt: str = ""
    answer: Answer = Answer()
    latency: Latency = Latency()
    faults: tuple[Fault, ...] = ()
    pieces: Annotated[int, Field(ge=1, le=1000)] = 4


@dataclass(frozen=True, slots=True)
class Script:
    """The first rule that matches answers. `capacity`: more calls at once are turned away (429).

    `table`: right answers by the last user message. `keys`: accepted API keys; none: any or none.
    """

    seed: int = 1
    rules: tuple[Rule, ...] = (Rule(),)
    table: Mapping[str, str] = field(default_factory=dict)
    capacity: int | None = None
    keys: tuple[str, ...] = ()

    def rule(self, model: str, prompt: str) -> Rule | None:
        """The rule for a call; None when none matches."""
        for rule in self.rules:
            if _pattern(rule.model).search(model) and _pattern(rule.prompt).search(prompt):
                return rule
        return None


@cache
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.DOTALL)


def from_mapping(value: Mapping[str, Any]) -> Script:
    """A script from plain data. Raises OperatorError with the field that is wrong."""
    try:
        script = TypeAdapter(Script).validate_python(value)
        for rule in script.rules:
            _pattern(rule.model), _pattern(rule.prompt)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise OperatorError(f"The script's field {where} is wrong: {first['msg']}.") from error
    except re.error as error:
        raise OperatorError(
            f"A rule's pattern {error.pattern!r} is no regular expression: {error}."
        ) from error
    return script


def read(path: Path) -> Script:
    """A script from a YAML or JSON file. Raises OperatorError."""
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise OperatorError(f"{path} cannot be read as a script: {error}") from error
    if not isinstance(value, Mapping):
        raise OperatorError(f"{path} holds no script: a mapping with rules is expected.")
    return from_mapping(value)
