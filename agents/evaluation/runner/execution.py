"""One case from its message to what becomes of it: a result, or the case again, later."""

import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

from agents.evaluation.results import blank
from agents.evaluation.runner.answering import Answered, Answering, Attempt
from agents.evaluation.runner.backoff import Backoff
from agents.evaluation.runner.failures import CallFailed
from agents.evaluation.services import Scored
from schemas.evaluations import UNASKED, CaseResult, EvaluationCase, Score
from schemas.suites import ScorerUse

LATER = Backoff(10.0, 120.0, certain=0.5)
"""Before a case is executed again: in all some 8 minutes for an endpoint that is down."""


class Judged(Protocol):
    """What all scores of an answer come to."""

    @property
    def score(self) -> float | None: ...
    @property
    def passed(self) -> bool | None: ...


ScoreAnswer = Callable[[EvaluationCase, str], Awaitable[Scored]]
Conclude = Callable[[Sequence[Score], Sequence[ScorerUse], float | None], Judged]


@dataclass(frozen=True, slots=True)
class Finished:
    """The case has its result."""

    result: CaseResult


@dataclass(frozen=True, slots=True)
class Deferred:
    """The case is executed again; `calls` were made for it so far."""

    case: EvaluationCase
    calls: int


Ending = Finished | Deferred


@dataclass(slots=True)
class Execution:
    """Executes cases. `score` and `conclude`: how answers are judged."""

    answering: Answering
    score: ScoreAnswer
    conclude: Conclude
    rng: random.Random

    async def execute(self, attempt: Attempt) -> Ending:
        """One execution."""
        case = attempt.case
        if case.stored_output is not None:
            attempt.running = True
            return await self._judged(case, case.stored_output, None, 0)
        try:
            answered = await self.answering.answer(attempt)
        except CallFailed as failed:
            if case.attempt + 1 < failed.kind.executions:
                return self._later(attempt, failed)
            return Finished(unanswered(case, failed, attempt.calls))
        return await self._judged(case, answered.called.answer.text, answered, answered.calls)

    def _later(self, attempt: Attempt, failed: CallFailed) -> Deferred:
        case = attempt.case
        wait_s = max(LATER.wait_s(case.attempt + 1, self.rng), failed.retry_after_s or 0.0)
        due = datetime.now(UTC) + timedelta(seconds=wait_s)
        return Deferred(replace(case, attempt=case.attempt + 1, not_before=due), attempt.calls)

    async def _judged(
        self, case: EvaluationCase, text: str, answered: Answered | None, calls: int
    ) -> Finished:
        scored = await self.score(case, text)
        scores, spent = scored.scores, scored.spent
        judged = self.conclude(scores, case.scorers, case.pass_threshold)
        result = replace(
            blank(case, datetime.now(UTC)),
            output=text,
            scores=scores,
            score=judged.score,
            passed=judged.passed,
            attempts=calls,
            cost_usd=0.0,
            judge_calls=spent.calls,
            judge_input_tokens=spent.input_tokens,
            judge_output_tokens=spent.output_tokens,
            judge_cost_usd=spent.cost_usd,
        )
        if answered is None:
            return Finished(result)
        called, cached = answered.called, answered.cached
        answer = called.answer
        return Finished(
            replace(
                result,
                cached=cached,
                latency_ms=None if cached else called.latency_ms,
                ttft_ms=None if cached else called.ttft_ms,
                input_tokens=answer.input_tokens,
                output_tokens=answer.output_tokens,
                cached_input_tokens=answer.cached_input_tokens,
                cost_usd=0.0 if cached else answer.cost_usd,
                finish_reason=answer.finish_reason,
            )
        )


def unanswered(case: EvaluationCase, failed: CallFailed, calls: int) -> CaseResult:
    """The result of a case that ends in an error. It did not pass, unless nobody asked."""
    asked = failed.error_type not in UNASKED
    return replace(
        blank(case, datetime.now(UTC)),
        error_type=failed.error_type,
        error_text=failed.text,
        passed=False if asked else None,
        attempts=calls,
        cost_usd=0.0 if calls == 0 else None,
    )
