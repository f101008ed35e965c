"""What judges took is booked once, however often one question comes."""

import asyncio
from dataclasses import replace

from agents.evaluation.scoring import Scoring
from agents.evaluation.services import Question, Reply, ServiceFailed, Spent
from schemas.evaluations import EvaluationCase
from tests.support.cases import case, use


async def test_a_question_that_comes_twice_is_asked_and_booked_once() -> None:
    asked: list[Question] = []

    async def ask(question: Question, judged: EvaluationCase) -> Reply:
        asked.append(question)
        await asyncio.sleep(0)
        return Reply("VERDICT: TIE\nGRADE: 4", Spent(1, 9, 3, 0.25))

    judge = Scoring(judges=ask)
    # An answer like its opponent's: both orders are one question.
    pair = case(use("llm_judge", model="judge", mode="pairwise"), baseline_answer="x")
    scored = await judge.score(pair, "x")
    assert (len(asked), scored.spent) == (1, Spent(1, 9, 3, 0.25))
    assert scored.scores[0].label == "tie"
    # Two that ask the same at the same time.
    grade = use("llm_judge", model="judge")
    twice = case(grade, replace(grade, metric="again"))
    scored = await judge.score(twice, "x")
    assert (len(asked), scored.spent) == (2, Spent(1, 9, 3, 0.25))
    assert [s.value for s in scored.scores] == [0.75, 0.75]
    await judge.score(twice, "x")
    assert len(asked) == 3, "another answer is another's to pay for"


async def test_a_question_that_failed_is_asked_again() -> None:
    said = iter((ServiceFailed("HTTP 503"), Reply("GRADE: 4", Spent(1, 9, 3, 0.25))))

    async def ask(question: Question, judged: EvaluationCase) -> Reply:
        found = next(said)
        if isinstance(found, ServiceFailed):
            raise found
        return found

    grade = use("llm_judge", model="judge")
    twice = case(grade, replace(grade, metric="again"))
    scored = await Scoring(judges=ask).score(twice, "x")
    assert [s.value for s in scored.scores] == [None, 0.75]
    assert scored.spent == Spent(1, 9, 3, 0.25)
