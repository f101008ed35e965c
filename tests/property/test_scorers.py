"""What holds of scorers whatever the answer: range, symmetry, identity, and no surprises."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.evaluation.scorers.base import Absent, AskingScorer, Found
from agents.evaluation.scorers.matches import token_f1
from agents.evaluation.scorers.normalise import normalise
from agents.evaluation.scorers.registry import OURS, scorer
from agents.evaluation.scorers.similarity import cosine
from tests.support.scorers import said

OPTIONS: dict[str, dict[str, Any]] = {
    "classification": {"labels": ["spam", "ham", "eggs"]},
    "json_schema": {"schema": {"type": ["object", "array"]}},
    "length": {"minimum": 2},
    "readability": {"maximum": 90},
    "regex": {"pattern": r"(\w+)\W+(\w+)", "group": 1},
}
PURE = sorted(
    name for name in OURS if name != "code_execution" and not isinstance(scorer(name), AskingScorer)
)
PIECES = st.sampled_from(
    [
        *"{}\n .ж\udc80\x00",
        "spam",
        "ham",
        "A",
        "(B)",
        "the answer is",
        "1,234.5",
        "-3",
        "3/4",
        "%",
        "\\boxed{",
        "```json\n",
    ]
)
ANSWERS = st.text() | st.lists(PIECES, max_size=12).map("".join)
WORDS = st.lists(st.sampled_from("abc"), max_size=8)


@pytest.mark.parametrize("name", PURE)
@settings(max_examples=60, deadline=None)
@given(answer=ANSWERS, reference=ANSWERS | st.lists(ANSWERS, min_size=1, max_size=3))
def test_a_score_is_a_share_or_an_absence_with_its_reason(
    name: str, answer: str, reference: str | list[str]
) -> None:
    found = said(name, answer, OPTIONS.get(name), answer=reference, choices=["spam", "ham"])
    if isinstance(found, Found):
        assert 0 <= found.value <= 1
    else:
        assert found.reason
        assert "failed:" not in found.reason


@pytest.mark.parametrize("name", ["exact_match", "normalised_match", "f1", "chrf", "rouge"])
@settings(max_examples=40, deadline=None)
@given(text=st.text(st.sampled_from("abcdef ghij"), min_size=6))
def test_the_right_answer_itself_scores_1(name: str, text: str) -> None:
    found = said(name, text, answer=text)
    assert isinstance(found, Absent) or found.value == pytest.approx(1.0)


@given(WORDS, WORDS)
def test_f1_is_symmetric(one: list[str], other: list[str]) -> None:
    assert token_f1(one, other) == token_f1(other, one)


@given(*[st.lists(st.floats(-1e3, 1e3), min_size=3, max_size=3)] * 2)
def test_cosine_is_symmetric_and_bounded(one: list[float], other: list[float]) -> None:
    found = cosine(one, other)
    assert found == cosine(other, one)
    assert found is None or -1 - 1e-9 <= found <= 1 + 1e-9


@given(st.text())
def test_what_is_normalised_stays_so(text: str) -> None:
    once = normalise(text)
    assert once == " ".join(once.split())


@given(
    answer=st.text(st.sampled_from("ab 12."), max_size=20), references=st.lists(WORDS, min_size=2)
)
def test_more_right_answers_never_score_less(answer: str, references: list[list[str]]) -> None:
    texts = [" ".join(words) for words in references]
    for name in ("exact_match", "f1"):
        all_of_them, first = said(name, answer, answer=texts), said(name, answer, answer=texts[:1])
        assert isinstance(all_of_them, Found)
        assert isinstance(first, Found)
        assert all_of_them.value >= first.value
