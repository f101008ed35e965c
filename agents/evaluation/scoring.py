"""Scores answers: the one door between whoever has an answer and the scorers.

async with Scoring(services) as scoring:
    scored = await scoring.score(case, output)
    result = outcome(scored.scores, case.scorers, case.pass_threshold)
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace
from types import TracebackType
from typing import Any

from agents.evaluation.outcome import Outcome, outcome
from agents.evaluation.pool import Limits, Pool, ScoringUnavailable
from agents.evaluation.scorers.base import Absent, AskingScorer, Found
from agents.evaluation.scorers.check import outdated
from agents.evaluation.scorers.run import as_score, checked, failed, judge, loaded, prepared
from agents.evaluation.services import Booked, Judges, Scored, Services, Spent
from schemas.evaluations import EvaluationCase, Score
from schemas.suites import ScorerUse

__all__ = ["Limits", "Outcome", "Scoring", "ScoringUnavailable", "outcome"]

SHORT = 10_000
"""Characters of an answer up to which light scorers run in the event loop (under 1 ms)."""


class Scoring:
    """Scores any number of answers at the same time; an async context manager.

    Heavy scorers, and all scorers of long answers, run in a pool of worker processes; scorers that
    ask a model wait in the event loop. `judges`: who answers them; None: nobody. `pending_max`:
    answers that are scored at the same time; further callers of `score` wait, which is the
    back-pressure. Raises ScoringUnavailable on entry when no worker starts.
    """

    def __init__(
        self,
        services: Services = Services(),  # noqa: B008 - frozen
        limits: Limits = Limits(),  # noqa: B008 - frozen
        pending_max: int = 1_000,
        pass_env: tuple[str, ...] = (),
        judges: Judges | None = None,
    ) -> None:
        self._services = services
        self._judges = judges
        self._pool = Pool(limits, pass_env)
        self._slots = asyncio.Semaphore(pending_max)

    @property
    def workers_replaced(self) -> int:
        """Workers that died or were stopped since the start."""
        return self._pool.replaced

    def asking(self, judges: Judges) -> "Scoring":
        """One that asks these, with the same workers and places. It is entered with this one."""
        other = copy(self)
        other._judges = judges
        return other

    async def __aenter__(self) -> "Scoring":
        await self._pool.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        await self._pool.__aexit__(kind, error, tb)

    async def score(self, case: EvaluationCase, output: str) -> Scored:
        """One score for each of the case's scorers, in their order, and what that took.

        Stored scores of today's scorers stay as they are. Never raises for what an answer, a case
        or a scorer is like: such a score has no value and says why.
        """
        async with self._slots:
            stored = case.stored_scores
            uses = outdated(stored, case.scorers, retry_absent=True) if stored else case.scorers
            fields = parse_fields(case.fields)
            booked = None if self._judges is None else Booked(self._judges, case)
            services = replace(self._services, org_id=case.org_id, ask=booked)
            found = await asyncio.gather(*(self._one(u, services, fields, output) for u in uses))
            spent = Spent() if booked is None else booked.spent
            return Scored(_merged(case.scorers, stored, found), spent)

    async def _one(
        self, use: ScorerUse, services: Services, fields: Mapping[str, Any] | Absent, output: str
    ) -> Score:
        ready = prepared(use.scorer, use.options)
        if isinstance(ready, Absent):
            return as_score(use, "", ready)
        scorer, options = ready
        if isinstance(fields, Absent):
            return as_score(use, scorer.version, fields)
        limit_s = scorer.time_limit_s(options)
        said: Found | Absent
        if isinstance(scorer, AskingScorer):
            try:
                async with asyncio.timeout(limit_s):
                    said = checked(
                        scorer.name, await scorer.score(output, fields, options, services)
                    )
            except TimeoutError:
                said = Absent(f"{scorer.name} had no answer within {limit_s:g} s")
            except Exception as error:  # as for scorers in workers: `judge`
                said = failed(scorer.name, error)
        elif scorer.heavy or len(output) > SHORT:
            job = {
                "scorer": use.scorer,
                "options": use.options,
                "answer": output,
                "fields": dict(fields),
            }
            said = await self._pool.run(job, limit_s)
        else:
            ready_to = loaded(scorer)
            said = (
                ready_to if isinstance(ready_to, Absent) else judge(scorer, options, output, fields)
            )
        return as_score(use, scorer.version, said)


def _merged(
    uses: Sequence[ScorerUse], stored: Sequence[Score], fresh: Sequence[Score]
) -> tuple[Score, ...]:
    """One for each use: the fresh one if there is one."""
    if not stored:
        return tuple(fresh)
    by_use = {(score.metric, score.scorer): score for score in (*stored, *fresh)}
    return tuple(by_use[use.metric or use.scorer, use.scorer] for use in uses)


def parse_fields(text: str) -> Mapping[str, Any] | Absent:
    """A case's fields, or that they are no JSON object."""
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:
        return Absent(f"the case's fields are no JSON: {error}")
    return fields if isinstance(fields, dict) else Absent("the case's fields are no JSON object")
