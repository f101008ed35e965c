"""The door to the scorers: order, absences, workers that hang or die, custom scorers."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from agents.evaluation.scorers import registry
from agents.evaluation.scoring import Limits, Scoring
from agents.evaluation.services import Question, Reply, Spent, as_case
from schemas.evaluations import EvaluationCase, Score
from tests.support.cases import case, use
from tests.support.scorer_package import forget, install


@pytest.fixture
def custom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("RHEOSTAT_SECRET", "do not pass on")
    install(tmp_path, monkeypatch)
    yield
    forget()


@pytest_asyncio.fixture
async def scoring(custom: None) -> AsyncIterator[Scoring]:
    async with Scoring(limits=Limits(workers=1)) as found:
        yield found


async def test_scores_come_in_the_order_of_their_uses(scoring: Scoring) -> None:
    asked = case(use("f1"), use("acting"), use("exact_match"), answer=["Paris"])
    scores = (await scoring.score(asked, "paris")).scores
    assert [(s.scorer, s.metric, s.scorer_version, s.value) for s in scores] == [
        ("f1", "f1", "1", 1.0),
        ("acting", "acting", "3", 5.0),
        ("exact_match", "exact_match", "1", 0.0),
    ]
    assert len(scores[1].explanation or "") == 2_000


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("exit", "the scoring worker ended with 7 while it judged this answer"),
        ("raise", "the scorer acting failed: ValueError: odd answer"),
        ("nan", "acting computed nan"),
        ("memory", "the scorer acting failed: MemoryError"),
    ],
)
async def test_a_scorer_that_fails_costs_its_own_score(
    scoring: Scoring, answer: str, reason: str
) -> None:
    asked = case(use("acting"), use("exact_match"), answer=answer)
    failed, other = (await scoring.score(asked, answer)).scores
    assert failed.value is None
    assert reason in (failed.explanation or "")
    assert other.value == 1.0
    (again,) = (await scoring.score(case(use("acting")), "abc")).scores
    assert again.value == 3.0


async def test_a_scorer_that_hangs_is_stopped_and_the_loop_goes_on(scoring: Scoring) -> None:
    waiting = asyncio.create_task(scoring.score(case(use("acting", seconds=600)), "x"))
    turns = 0
    while not waiting.done():
        await asyncio.sleep(0.02)
        turns += 1
    (score,) = (await waiting).scores
    assert score.value is None
    assert "longer than 1 s" in (score.explanation or "")
    assert turns > 10
    assert scoring.workers_replaced == 1


async def test_what_a_scorer_prints_is_no_result(scoring: Scoring) -> None:
    (score,) = (await scoring.score(case(use("acting")), "print")).scores
    assert score.value == 5.0


async def test_workers_do_not_inherit_secrets(scoring: Scoring) -> None:
    (score,) = (await scoring.score(case(use("acting")), "environment")).scores
    assert "PATH" in (score.explanation or "")
    assert "SECRET" not in (score.explanation or "")


async def test_a_cancelled_score_leaves_no_answer_for_the_next(scoring: Scoring) -> None:
    waiting = asyncio.create_task(scoring.score(case(use("acting", seconds=0.5)), "12345"))
    await asyncio.sleep(0.2)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    (score,) = (await scoring.score(case(use("acting")), "x")).scores
    assert score.value == 1.0


async def test_more_jobs_than_workers_all_get_their_own_answers(scoring: Scoring) -> None:
    answers = ["x" * n for n in range(1, 40)]
    found = await asyncio.gather(*(scoring.score(case(use("acting")), a) for a in answers))
    assert [each.scores[0].value for each in found] == [float(len(a)) for a in answers]


async def test_answers_that_are_long_or_no_unicode_are_scored(scoring: Scoring) -> None:
    asked = case(use("exact_match"), use("f1"), answer="Paris")
    exact, f1 = (await scoring.score(asked, "Paris \udc80 " * 100_000)).scores
    assert exact.value == 0.0
    assert f1.value is not None
    assert 0 < f1.value < 0.01
    assert (exact.explanation or "").encode()


@pytest.mark.parametrize(
    ("scorer", "options", "reason"),
    [
        ("nobody", {}, "there is no scorer 'nobody'; known are "),
        ("f1", {"tokens": "letters"}, "the options of f1 are wrong: tokens: Input should be"),
        ("f1", {"colour": 1}, "colour: Extra inputs are not permitted"),
        ("f1", {"reference": "target"}, "the case has no field 'target'; it has answer"),
        ("misnamed", {}, "calls itself 'another'"),
        ("no_scorer", {}, "is a int, not a Scorer"),
        ("absent_module", {}, "does not load: ModuleNotFoundError"),
    ],
)
async def test_a_use_that_cannot_work_says_why(
    scoring: Scoring, scorer: str, options: dict[str, Any], reason: str
) -> None:
    (score,) = (await scoring.score(case(use(scorer, **options), answer="x"), "x")).scores
    assert score.value is None
    assert reason in (score.explanation or "")


async def test_fields_that_are_no_object_are_an_absence(scoring: Scoring) -> None:
    for fields in ("{", "[1]", "[" * 100_000):
        (score,) = (await scoring.score(replace(case(use("f1")), fields=fields), "x")).scores
        assert score.value is None
        assert "the case's fields are no JSON" in (score.explanation or "")


def test_custom_scorers_are_listed_beside_ours(custom: None) -> None:
    assert {"acting", "exact_match"} <= set(registry.names())


async def test_judges_are_asked_through_what_is_handed_in(scoring: Scoring) -> None:
    asked: list[Question] = []

    async def ask(question: Question, judged: EvaluationCase) -> Reply:
        asked.append(question)
        return Reply("GRADE: 4", Spent(1, 100, 20, 0.25))

    judged = case(use("llm_judge", model="judge"), use("acting"), question="?")
    scored = await scoring.asking(ask).score(judged, "x")
    judge, acting = scored.scores
    assert scored.spent == Spent(1, 100, 20, 0.25)
    assert (judge.value, judge.label, acting.value) == (0.75, "4", 1.0)
    nobody = await scoring.score(judged, "x")
    absent, _ = nobody.scores
    assert nobody.spent == Spent()
    assert absent.value is None
    assert "no model can be asked" in (absent.explanation or "")
    made = as_case(asked[0], judged, "7", judged.planned_at)
    assert (made.org_id, made.model_id, made.model_version) == ("acme", "judge", "7")
    assert made.messages == asked[0].messages
    assert made == as_case(asked[0], judged, "7", judged.planned_at)
    assert made.run_id == judged.run_id
    named = replace(asked[0], model_version="7")
    assert as_case(named, judged, "7", judged.planned_at).case_id != made.case_id
    other = replace(judged, epoch=1)
    assert as_case(asked[0], other, "7", judged.planned_at).case_id != made.case_id


async def test_both_questions_about_a_pair_are_booked_and_an_unknown_cost_stays_unknown(
    scoring: Scoring,
) -> None:
    costs = iter((0.25, None))

    async def ask(question: Question, judged: EvaluationCase) -> Reply:
        return Reply("VERDICT: TIE", Spent(1, 9, 3, next(costs)))

    pair = use("llm_judge", model="judge", mode="pairwise")
    judged = case(pair, use("acting"), baseline_answer="other")
    scored = await scoring.asking(ask).score(judged, "x")
    assert scored.spent == Spent(2, 18, 6, None)
    assert scored.scores[0].label == "tie"


async def test_stored_scores_of_todays_scorers_are_not_found_out_again(scoring: Scoring) -> None:
    asked: list[Question] = []

    async def ask(question: Question, judged: EvaluationCase) -> Reply:
        asked.append(question)
        return Reply("GRADE: 5")

    stored = (
        Score("llm_judge", "llm_judge", "1", 0.5, "3"),
        Score("acting", "acting", "2", 7.0),
        Score("f1", "f1", "1", None, None, "it failed"),
    )
    judged = case(use("acting"), use("llm_judge", model="judge"), use("f1"), answer="x")
    scored = await scoring.asking(ask).score(replace(judged, stored_scores=stored), "x")
    assert not asked
    assert scored.spent == Spent()
    assert [(s.metric, s.scorer_version, s.value) for s in scored.scores] == [
        ("acting", "3", 1.0),
        ("llm_judge", "1", 0.5),
        ("f1", "1", 1.0),
    ]


async def test_a_judge_that_breaks_costs_its_own_score(scoring: Scoring) -> None:
    async def ask(question: Question, judged: EvaluationCase) -> Reply:
        raise RuntimeError("our bug")

    judged = case(use("llm_judge", model="judge"), use("acting"))
    judge, acting = (await scoring.asking(ask).score(judged, "x")).scores
    assert judge.explanation == "the scorer llm_judge failed: RuntimeError: our bug"
    assert acting.value == 1.0
