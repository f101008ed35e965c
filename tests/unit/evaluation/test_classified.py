"""Accuracy, macro F1 and confusion of a run, by model and metric, and how they are shown."""

from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from agents.evaluation.classified import classified
from agents.evaluation.report import ModelReport
from infra.evaluation_labels import MATRIX_LABELS_MAX, labels
from schemas.evaluations import CaseResult, Score
from tests.support.runs import Bench, result


def answers(model_id: str, metric: str, *found: str | None) -> list[CaseResult]:
    bench = Bench()
    bench.started()
    blank = result(bench.cases[0])
    scores = [Score(metric, "classification", "1", 0.0, label) for label in found]
    other = Score("length", "length", "1", 3.0, "cat → cat")
    return [replace(blank, model_id=model_id, scores=(score, other)) for score in scores]


def shown(model: ModelReport) -> str:
    out = StringIO()
    for each in labels(model):
        Console(file=out, width=200).print(each)
    return out.getvalue()


def test_each_model_and_metric_has_its_own_confusion() -> None:
    found = classified(
        [
            *answers("big", "animal", "cat → cat", "cat → dog", "dog → dog", "dog → ?"),
            *answers("big", "tone", "calm → calm"),
            *answers("small", "animal", "cat → cat", None),
            *answers("none", "animal", None),
        ]
    )
    assert sorted(model for model, _ in found) == ["big", "small"]
    animal, tone = found["big", "1"]
    assert (animal.metric, animal.answers, animal.accuracy) == ("animal", 4, 0.5)
    assert animal.macro_f1 == pytest.approx((2 / 3 + 0.5) / 2)
    assert (animal.labels, animal.counts) == (("cat", "dog"), ((1, 1), (0, 1)))
    assert animal.unknown == (0, 1)
    assert (tone.metric, tone.accuracy) == ("tone", 1.0)
    assert found["small", "1"][0].answers == 1


def test_a_terminal_shows_rates_and_the_matrix() -> None:
    found = classified(answers("big", "animal", "cat → cat", "cat → dog", "[b] → [b]"))
    text = shown(ModelReport("big", "1", 0.0, 0, None, (), found["big", "1"]))
    assert "big 1, animal: accuracy 0.667, macro F1 0.833, 3 answers" in text
    (cat,) = [line for line in text.splitlines() if line.startswith("cat")]
    assert cat.split() == ["cat", "0", "1", "1", "0", "1.000", "0.500", "0.667"]
    assert not any(line.startswith("dog") for line in text.splitlines()), "never right: no row"
    assert "[b]" in text


def test_a_matrix_that_is_too_wide_is_told_by_its_largest_entries() -> None:
    many = [f"l{i} → l{i}" for i in range(MATRIX_LABELS_MAX + 1)]
    found = classified(answers("big", "animal", *many, "l1 → l2", "l1 → l2", "l3 → l4"))
    text = shown(ModelReport("big", "1", 0.0, 0, None, (), found["big", "1"]))
    assert "most often: l1 → l2 2, l3 → l4 1." in text
