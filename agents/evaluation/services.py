"""What scorers may ask: a model that judges, and models that embed. The runner hands them in.

A scorer sees text for a question. What that text cost is booked beside it, on the case whose answer
is judged: `Booked` stands between the scorer and whoever asks the model.
"""

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from schemas.evaluations import EvaluationCase, Score
from schemas.suites import PromptMessage


class ServiceFailed(Exception):
    """The model or embedder gave no usable answer. The text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Question:
    """One call of a judge. `parameters`: a JSON object, as in EvaluationCase."""

    org_id: str
    model_id: str
    model_version: str | None
    messages: tuple[PromptMessage, ...]
    parameters: str = "{}"


@dataclass(frozen=True, slots=True)
class Spent:
    """What judges took. `cost_usd` None: not known, and so is every sum with it."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = 0.0

    def __add__(self, other: "Spent") -> "Spent":
        costs = (self.cost_usd, other.cost_usd)
        return Spent(
            self.calls + other.calls,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            None if None in costs else sum(cost for cost in costs if cost is not None),
        )


@dataclass(frozen=True, slots=True)
class Reply:
    """A judge's text, and what it took: nothing, when it was paid for by another case."""

    text: str
    spent: Spent = Spent()


@dataclass(frozen=True, slots=True)
class Scored:
    """One score for each of a case's scorers, in their order, and what their judges took."""

    scores: tuple[Score, ...]
    spent: Spent = Spent()


JUDGING = "judge"
"""The suite and capability that calls of a judge are booked under."""


def as_case(
    question: Question, judged: EvaluationCase, model_version: str, now: datetime
) -> EvaluationCase:
    """The question as a case that is executed like any other, to be answered once and then cached.

    It belongs to the answer that is judged: the run's, of one case, epoch and model. After a crash
    the same answer's judge is found among what was paid for it. A judge that is named with its
    version and without is two: what one was paid for costs the other nothing.
    """
    said = (f"{m.role}\n{m.content}" for m in question.messages)
    text = "\n\n".join([question.model_version or "", question.parameters, *said])
    digest = hashlib.sha256(text.encode(errors="replace")).hexdigest()
    of = (judged.case_id, str(judged.epoch), judged.model_id, judged.model_version)
    return EvaluationCase(
        run_id=judged.run_id,
        case_id="/".join((*of, JUDGING, digest)),
        epoch=0,
        org_id=question.org_id,
        model_id=question.model_id,
        model_version=model_version,
        capability=JUDGING,
        suite_id=JUDGING,
        suite_version="1",
        planned_at=now,
        messages=question.messages,
        scorers=(),
        parameters=question.parameters,
        use_cache=judged.use_cache,
    )


class Judges(Protocol):
    """Calls a registered model, to judge the answer to this case. Raises ServiceFailed."""

    async def __call__(self, question: Question, judged: EvaluationCase, /) -> Reply: ...


class Ask(Protocol):
    """Calls a registered model; returns its text. Raises ServiceFailed."""

    async def __call__(self, question: Question, /) -> str: ...


class Embed(Protocol):
    """One vector per text, in their order, all of one length. Raises ServiceFailed."""

    async def __call__(self, texts: Sequence[str], /) -> Sequence[Sequence[float]]: ...


@dataclass(slots=True)
class Booked:
    """Asks on behalf of one case, and adds up what that took (an Ask).

    A question that comes again, or while it is being asked, is asked and booked once: the runner
    would give what was paid for this case again, with its price. One that failed is asked again.
    """

    judges: Judges
    case: EvaluationCase
    spent: Spent = Spent()
    _said: dict[Question, str] = field(default_factory=dict)
    _turns: dict[Question, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))

    async def __call__(self, question: Question, /) -> str:
        """Raises ServiceFailed."""
        # Not one task for all that wait: each of them may give up at a time of its own.
        async with self._turns[question]:
            if question not in self._said:
                reply = await self.judges(question, self.case)
                self.spent += reply.spent
                self._said[question] = reply.text
        return self._said[question]


@dataclass(frozen=True, slots=True)
class Services:
    """`ask` None: nobody can be asked. `embedders`: by the name that suites use.

    `org_id`: on whose behalf; set for each case, as `ask` is.
    """

    ask: Ask | None = None
    embedders: Mapping[str, Embed] = field(default_factory=dict)
    org_id: str = ""
