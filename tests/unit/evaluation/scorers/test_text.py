"""Scorers of text against tables of answers, and against figures of the libraries they use."""

from typing import Any

import pytest
from pydantic import ValidationError

from agents.evaluation.scorers.base import Found
from agents.evaluation.scorers.registry import OURS, names, scorer
from agents.evaluation.scorers.text_measures import sentences, syllables
from tests.support.scorers import reason, said, value

CAT = "the cat is on the mat"


@pytest.mark.parametrize(
    ("answer", "options", "expected"),
    [
        ("Paris", {}, 1.0),
        (" Paris\n", {}, 1.0),
        ("paris", {}, 0.0),
        ("paris", {"ignore_case": True}, 1.0),
        ("It is Paris.", {}, 0.0),
        ("It is Paris.", {"within": "anywhere"}, 1.0),
        ("Let me think.\nParis", {"within": "last_line"}, 1.0),
        ("Paris\nof course", {"within": "first_line"}, 1.0),
        ("\n\n", {"within": "last_line"}, 0.0),
        ("Lutetia", {}, 1.0),
        ("", {}, 0.0),
    ],
)
def test_exact_match(answer: str, options: dict[str, Any], expected: float) -> None:
    assert value("exact_match", answer, options, answer=["Paris", "Lutetia"]) == expected


def test_scalars_are_compared_as_json_writes_them() -> None:
    assert value("exact_match", "true", answer=True) == 1.0
    assert value("exact_match", "12", answer=12) == 1.0


@pytest.mark.parametrize(
    ("answer", "options", "expected"),
    [
        ("The Eiffel Tower!", {}, 1.0),
        ("eiffel  tower", {}, 1.0),
        ("Ｅｉｆｆｅｌ tower", {}, 1.0),
        ("I mean the Eiffel tower, of course", {"within": "anywhere"}, 1.0),
        ("Eiffel towers", {"within": "anywhere"}, 0.0),
        ("tower", {}, 0.0),
    ],
)
def test_normalised_match(answer: str, options: dict[str, Any], expected: float) -> None:
    assert value("normalised_match", answer, options, answer="Eiffel Tower") == expected


def test_a_reference_that_normalises_to_nothing_gives_no_score() -> None:
    assert "nothing is left" in reason("normalised_match", "x", answer="the")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("the cat is on the mat", 1.0),
        ("cat mat", 2 * 2 / (2 + 4)),
        ("cat cat cat", 2 * 1 / (3 + 4)),
        ("dog", 0.0),
        ("", 0.0),
    ],
)
def test_f1(answer: str, expected: float) -> None:
    assert value("f1", answer, answer=CAT) == pytest.approx(expected)


def test_f1_takes_the_best_of_several_and_counts_characters_where_asked() -> None:
    assert value("f1", "b", answer=["a b c", "b"]) == 1.0
    assert value("f1", "北京市", {"tokens": "characters"}, answer="北京") == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("answer", "options", "expected"),
    [
        ("id-42", {"pattern": r"id-\d+"}, 1.0),
        ("no", {"pattern": r"id-\d+"}, 0.0),
        ("no", {"pattern": r"id-\d+", "expect": "no match"}, 1.0),
        ("ID-42", {"pattern": r"id-\d+", "ignore_case": True}, 1.0),
        ("x id-42", {"pattern": r"id-\d+", "whole": True}, 0.0),
        ("a\nid-1", {"pattern": "^id", "multiline": True}, 1.0),
        ("so 7, no 8", {"pattern": r"(\d)", "group": 1}, 1.0),
        ("so 7, no 8", {"pattern": r"(\d)", "group": 1, "pick": "first"}, 0.0),
        ("none", {"pattern": r"(?P<n>\d)", "group": "n"}, 0.0),
    ],
)
def test_regex(answer: str, options: dict[str, Any], expected: float) -> None:
    assert value("regex", answer, options, answer="8") == expected


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"pattern": "("}, "no regular expression"),
        ({}, "either pattern or pattern_field"),
        ({"pattern": "a", "pattern_field": "b"}, "either pattern or pattern_field"),
        ({"pattern": "a", "group": 1}, "no group 1"),
        ({"pattern": "(a)", "group": 1, "expect": "no match"}, "must be 'match'"),
    ],
)
def test_regex_options(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        scorer("regex").options.model_validate(options)


def test_a_pattern_of_the_case() -> None:
    assert value("regex", "abc", {"pattern_field": "p"}, p="b.") == 1.0
    assert "no regular expression" in reason("regex", "abc", {"pattern_field": "p"}, p="(")


def test_bleu_and_chrf_are_those_of_sacrebleu() -> None:
    # sacrebleu 2.6.0: sentence_bleu and sentence_chrf of the same texts.
    hypothesis, two = "the cat sat on the mat", [CAT, "a cat sat on a mat"]
    assert value("bleu", hypothesis, answer=two) == pytest.approx(0.537284965911771)
    assert value("bleu", hypothesis, answer=CAT) == pytest.approx(0.3799178428257963)
    assert value("bleu", "Das ist ein Test.", answer="Dies ist ein Test.") == pytest.approx(
        0.6687403049764218
    )
    assert value("chrf", hypothesis, answer=CAT) == pytest.approx(0.645779420625287)
    assert value("chrf", hypothesis, {"word_order": 2}, answer=CAT) == pytest.approx(
        0.6636067072084818
    )


def test_rouge_is_that_of_rouge_score() -> None:
    # rouge-score 0.1.2, RougeScorer.score of the same texts.
    hypothesis = "the cat sat on the mat"
    for variant, expected in (("rouge1", 5 / 6), ("rouge2", 0.6), ("rougeL", 5 / 6)):
        found = value("rouge", hypothesis, {"variant": variant}, answer=CAT)
        assert found == pytest.approx(expected)
    reference, lines = "one two three\nfour five", "four five\none three"
    assert value("rouge", lines, answer=reference) == pytest.approx(0.4444444444444445)
    assert value("rouge", lines, {"variant": "rougeLsum"}, answer=reference) == pytest.approx(
        0.888888888888889
    )
    recall = {"variant": "rouge1", "measure": "recall"}
    assert value("rouge", lines, recall, answer=reference) == pytest.approx(0.8)


def test_rouge_of_other_scripts_is_asked_for() -> None:
    assert "set tokens to unicode" in reason("rouge", "кот", answer="кот")
    assert value("rouge", "Кот спит", {"tokens": "unicode"}, answer="кот спит") == 1.0


@pytest.mark.parametrize("name", ["bleu", "chrf", "rouge"])
def test_what_is_too_long_to_compare_says_so(name: str) -> None:
    assert "too long" in reason(
        name, "word " * 200_000, answer="w " * 200
    ) or "longer than" in reason(name, "word " * 200_000, answer="w " * 200)


@pytest.mark.parametrize("name", ["bleu", "chrf", "rouge"])
def test_an_empty_answer_scores_0_and_an_empty_reference_not_at_all(name: str) -> None:
    assert value(name, "", answer=CAT) == 0.0
    assert reason(name, "x", answer="  ")


@pytest.mark.parametrize(
    ("unit", "expected"), [("words", 7), ("characters", 40), ("sentences", 2), ("lines", 2)]
)
def test_length(unit: str, expected: int) -> None:
    text = "It's 3.5 metres long.\n\nIsn't that fine?!"
    assert value("length", text, {"unit": unit}) == expected


def test_bounds_make_a_measure_a_verdict() -> None:
    within = {"minimum": 2, "maximum": 3}
    assert said("length", "one", within) == Found(0.0, "below", "1 words, below 2")
    assert value("length", "one two three", within) == 1.0
    assert said("length", "a b c d", within) == Found(0.0, "above", "4 words, above 3")
    with pytest.raises(ValidationError, match="minimum is above maximum"):
        scorer("length").options.model_validate({"minimum": 3, "maximum": 2})


def test_readability_by_hand() -> None:
    # 6 words, 1 sentence, 6 syllables.
    text, grade = "The cat sat on the mat.", {"formula": "flesch_kincaid_grade"}
    assert value("readability", text) == pytest.approx(206.835 - 1.015 * 6 - 84.6)
    assert value("readability", text, grade) == pytest.approx(0.39 * 6 + 11.8 - 15.59)
    assert "no words" in reason("readability", "42!")
    assert "English" in reason("readability", "Кошка сидела на коврике.")


@pytest.mark.parametrize(
    ("words", "count"),
    [
        ("the cat make makes walked jumped queen fire", 1),
        ("people table little boxes wanted nation special science create quiet being", 2),
        ("area idea audio family beautiful radio India museum created", 3),
        ("usually", 4),
    ],
)
def test_syllables(words: str, count: int) -> None:
    assert {word: syllables(word) for word in words.split()} == dict.fromkeys(words.split(), count)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("One. Two! Three?", 3),
        ("No end", 1),
        ("3.5 is one", 1),
        ("Title\n\nText.", 2),
        ("", 0),
        ("...", 0),
    ],
)
def test_sentences(text: str, count: int) -> None:
    assert sentences(text) == count


def test_every_scorer_is_named_as_it_is_known() -> None:
    assert {name: scorer(name).name for name in OURS} == {name: name for name in OURS}
    assert set(OURS) <= set(names())
