"""Mistakes of a suite are told before it runs; stored scores of old versions are found."""

from dataclasses import replace

import pytest

from agents.evaluation.scorers.check import mistakes, outdated, version
from schemas.evaluations import Score
from schemas.suites import ScorerUse
from tests.support.cases import use


def test_a_suite_without_mistakes_has_none() -> None:
    uses = [use("f1"), use("length", weight=0.0), use("llm_judge", model="j")]
    assert mistakes(uses, {"question", "answer"}) == []


@pytest.mark.parametrize(
    ("uses", "field", "text"),
    [
        ([use("f1"), use("f1", tokens="characters")], "metric", "a second score named f1"),
        ([replace(use("f1"), metric="Not A Name")], "metric", "cannot name a metric"),
        ([replace(use("f1"), metric="pass_rate")], "metric", "cannot name a metric"),
        ([use("nobody")], "scorer", "there is no scorer 'nobody'"),
        ([use("f1", colour=1)], "options", "the options of f1 are wrong: colour"),
        ([use("f1"), use("length")], "weight", "give it weight 0, or bounds"),
        (
            [use("f1", reference="target")],
            "options",
            "f1: the dataset has no field 'target' (it has answer)",
        ),
        ([use("regex", pattern="(.)", group=1, reference="x")], "options", "no field 'x'"),
        ([ScorerUse("f1", options="[]")], "options", "the options of f1 are wrong"),
    ],
)
def test_mistakes(uses: list[ScorerUse], field: str, text: str) -> None:
    (found,) = mistakes(uses, {"answer"})
    assert found.path == ("scorers", len(uses) - 1, field)
    assert text in found.text


def test_a_measure_alone_may_have_weight() -> None:
    assert mistakes([use("length")], set()) == []


def test_scores_of_another_version_are_out_of_date() -> None:
    uses = [use("f1"), replace(use("f1", tokens="characters"), metric="f1_characters"), use("bleu")]
    scores = [Score("f1", "f1", "1", 0.5), Score("f1_characters", "f1", "0", 0.5)]
    assert outdated(scores, uses) == (uses[1], uses[2])
    assert (
        outdated([Score(u.metric or u.scorer, u.scorer, version(u), 0.5) for u in uses], uses) == ()
    )


def test_a_score_without_a_value_may_be_tried_again() -> None:
    scores = [Score("f1", "f1", "1", None, None, "no field")]
    assert outdated(scores, [use("f1")]) == ()
    assert outdated(scores, [use("f1")], retry_absent=True) == (use("f1"),)


def test_a_scorer_that_cannot_be_used_gives_the_version_it_had() -> None:
    assert outdated([Score("nobody", "nobody", "", None)], [use("nobody")]) == ()
