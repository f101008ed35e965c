"""What a scorer is: a name, a version, validated options, and a function of one answer.

A scorer says `Found` (a value, perhaps a label and an explanation) or `Absent` (why there is no
value). It never says 0 for something that it could not judge.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from agents.evaluation.services import Services

Fields = Mapping[str, Any]
"""The fields of the dataset's case: JSON values by name."""
TEXT_MAX = 2_000
"""Characters of a label or an explanation that are kept."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a scorer says of an answer. `value` is finite."""

    value: float
    label: str | None = None
    explanation: str | None = None


@dataclass(frozen=True, slots=True)
class Absent:
    """Why there is no value, in words that say what to do about it where something can be done."""

    reason: str


class Options(BaseModel):
    """Base of every scorer's options: unknown names are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ReferenceOptions(Options):
    """Options of scorers that compare with what the case says is right."""

    reference: str = Field(
        "answer", description="the case's field with the right answer, or several"
    )


O = TypeVar("O", bound=Options)  # noqa: E741 - O stands for options


@dataclass(frozen=True, slots=True)
class Scorer(Generic[O]):
    """A scorer that needs nothing but the answer and the case.

    `version` changes whenever the same answer may get another value; stored scores of another
    version are then out of date. `score` is a pure function, or one that bounds what it does
    itself. `heavy`: it always runs in a worker process; others do so for long answers only.
    `time_limit_s`: after it the worker is killed and the score absent. `load`: what may take long
    once (imports, tables) and does not count as scoring. `is_share`: whether values lie in [0, 1]
    under these options, so that they may be averaged with others.
    """

    name: str
    version: str
    options: type[O]
    score: Callable[[str, Fields, O], Found | Absent]
    heavy: bool = True
    time_limit_s: Callable[[O], float] = lambda _: 10.0
    load: Callable[[], object] = lambda: None
    is_share: Callable[[O], bool] = lambda _: True


@dataclass(frozen=True, slots=True)
class Call:
    """A judge's call before there is an answer to judge: so that a budget knows what it can cost.

    `prompt`: without the answer. `characters_max`: no longer answer is judged. Raises TypeError
    for a field of another type: the planner computes with what other people's scorers say.
    """

    model_id: str
    model_version: str | None
    prompt: str
    output_tokens_max: int
    characters_max: int

    def __post_init__(self) -> None:
        texts = (self.model_id, self.model_version or "", self.prompt)
        numbers = (self.output_tokens_max, self.characters_max)
        if not all(isinstance(each, str) for each in texts):
            raise TypeError("model_id, model_version and prompt of a Call are text")
        if not all(isinstance(each, int) for each in numbers):
            raise TypeError("output_tokens_max and characters_max of a Call are whole numbers")

    @property
    def judge(self) -> tuple[str, str | None]:
        return self.model_id, self.model_version


@dataclass(frozen=True, slots=True)
class AskingScorer(Generic[O]):
    """A scorer that asks a model or an embedder. It runs in the event loop and only waits there.

    `calls`: all that it may ask registered models about one answer. It is also called without any
    field ({}), to learn which models it asks. Other fields as in Scorer.
    """

    name: str
    version: str
    options: type[O]
    score: Callable[[str, Fields, O, Services], Awaitable[Found | Absent]]
    calls: Callable[[Fields, O], Sequence[Call]] = lambda _, __: ()
    time_limit_s: Callable[[O], float] = lambda _: 300.0
    is_share: Callable[[O], bool] = lambda _: True


AnyScorer = Scorer[Any] | AskingScorer[Any]


def references(fields: Fields, name: str) -> tuple[str, ...] | Absent:
    """The right answers of a case: its field `name`, with text, a number or a list of them."""
    if name not in fields:
        known = ", ".join(sorted(fields)) or "none at all"
        return Absent(f"the case has no field {name!r}; it has {known}. Set the option for it")
    value = fields[name]
    values = value if isinstance(value, list) else [value]
    if not values:
        return Absent(f"the field {name!r} of the case is an empty list")
    if any(isinstance(v, dict | list) or v is None for v in values):
        return Absent(f"the field {name!r} of the case holds something other than text")
    return tuple(as_text(v) for v in values)


def as_text(value: object) -> str:
    """A JSON scalar as a reader would write it: true, not True."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def shorten(text: str, limit: int = 120) -> str:
    """For explanations: one line of `limit` characters at most."""
    line = " ".join(text[: 4 * limit].split())
    return line if len(line) <= limit and len(text) <= 4 * limit else line[: limit - 1] + "…"
