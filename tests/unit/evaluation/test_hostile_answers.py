"""Answers, patterns and schemas that would stop a runner if it scored them itself."""

import asyncio
import time
from typing import Any

from agents.evaluation.scorers.registry import names
from agents.evaluation.scoring import Limits, Scoring
from tests.support.cases import case, use

BOMB = '{"a":' * 100_000
OPTIONS: dict[str, dict[str, Any]] = {
    "classification": {"labels": ["spam", "ham"]},
    "json_schema": {"schema": {"type": "object"}},
    "llm_judge": {"model": "judge"},
    "regex": {"pattern": "spam"},
}


async def test_a_regular_expression_that_never_returns_is_stopped() -> None:
    asked = case(use("regex", pattern="(a+)+$"), use("exact_match"), answer="x")
    async with Scoring(limits=Limits(workers=1)) as scoring:
        waiting = asyncio.create_task(scoring.score(asked, "a" * 40 + "!"))
        longest_s, last = 0.0, time.monotonic()
        while not waiting.done():
            await asyncio.sleep(0.01)
            longest_s, last = max(longest_s, time.monotonic() - last), time.monotonic()
        regex, exact = (await waiting).scores
        assert regex.value is None
        assert "longer than 5 s" in (regex.explanation or "")
        assert exact.value == 0.0
        # The loop was never held for as long as the scorer ran.
        assert longest_s < 4
        (again,) = (await scoring.score(case(use("regex", pattern="^a+$")), "aaa")).scores
        assert again.value == 1.0


ANSWERS = {
    "1 MB": "spam " * 200_000,
    "no Unicode": "\udc80\x00\uffff " * 10_000,
    "nested": BOMB,
    "numbers": "9," * 200_000,
    "fences": "```json\n" * 50_000,
    "empty": "",
}


async def test_every_scorer_has_a_word_on_every_answer() -> None:
    uses = [use(name, **OPTIONS.get(name, {})) for name in names()]
    asked = case(
        *uses,
        answer="ham",
        choices=["ham", "spam"],
        test="assert True",
        prompt="",
        entry_point=None,
    )
    # One pool for all: loading rouge-score takes seconds.
    async with Scoring(limits=Limits(workers=1)) as scoring:
        for kind, answer in ANSWERS.items():
            scores = (await scoring.score(asked, answer)).scores
            assert [s.scorer for s in scores] == list(names())
            for score in scores:
                assert score.value is not None or score.explanation, (kind, score)
                assert "failed:" not in (score.explanation or ""), (kind, score)
                (score.label or "").encode()
                (score.explanation or "").encode()
