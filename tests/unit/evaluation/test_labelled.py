"""Scores of a run held against people's labels."""

from dataclasses import replace
from pathlib import Path

import pytest

from agents.evaluation.agreement import Agreement
from agents.evaluation.intervals import Interval
from agents.evaluation.labelled import PeoplesLabel, labelled
from infra.errors import OperatorError
from infra.labels import read
from schemas.evaluations import CaseResult, Score
from tests.support.runs import Bench, result


def judged(case_id: str, value: float | None, model_id: str = "big", epoch: int = 0) -> CaseResult:
    bench = Bench()
    bench.started()
    score = Score("llm_judge", "llm_judge", "1", value)
    found = result(bench.cases[0], scores=(score,))
    return replace(found, case_id=case_id, model_id=model_id, epoch=epoch)


def test_a_judge_that_is_too_kind_is_found_out_and_corrected() -> None:
    template = judged("q", 0.0)
    scores = [0.5 + 0.5 * (i % 2) for i in range(200)]
    results = [
        replace(template, case_id=f"q{i}", scores=(replace(template.scores[0], value=score),))
        for i, score in enumerate(scores)
    ]
    # People are a quarter less kind, now and then more.
    labels = [
        PeoplesLabel(f"q{i}", scores[i] - (0.5 if i % 3 == 0 else 0.25)) for i in range(0, 200, 2)
    ]
    (found,) = labelled(results, labels, "llm_judge")
    assert (found.scored, found.labelled) == (200, 100)
    assert isinstance(found.agreement, Agreement)
    assert found.agreement.rate.value == 0.0
    assert isinstance(found.mean, Interval)
    assert found.mean.upper < sum(scores) / 200


def test_the_label_that_names_the_answer_best_counts_and_what_has_no_score_does_not() -> None:
    results = [
        judged("q1", 1.0, "big"),
        judged("q1", 1.0, "small"),
        judged("q2", None, "small"),
        judged("q1", 1.0, "small", 1),
    ]
    labels = [PeoplesLabel("q1", 0.0), PeoplesLabel("q1", 1.0, "small"), PeoplesLabel("q2", 1.0)]
    big, small = labelled(results, labels, "llm_judge")
    assert isinstance(big.agreement, Agreement)
    assert isinstance(small.agreement, Agreement)
    assert (big.labelled, big.agreement.rate.value) == (1, 0.0)
    assert (small.scored, small.labelled, small.agreement.rate.value) == (2, 2, 1.0)
    assert labelled(results, labels, "f1") == ()


def test_labels_come_from_a_file_and_a_wrong_row_is_named(tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_text("case_id,value,model_id,epoch\nq1,0.5,big,1\nq2,1,,\n")
    assert read(file) == [PeoplesLabel("q1", 0.5, "big", 1), PeoplesLabel("q2", 1.0)]
    for rows in ("q1,good,,", "q1,,,", "q1,nan,,", ",1,,", "q1,1,,x"):
        file.write_text(f"case_id,value,model_id,epoch\n{rows}\n")
        with pytest.raises(OperatorError, match="row 2: a label has a case_id and a value"):
            read(file)
    with pytest.raises(OperatorError, match="cannot be read"):
        read(tmp_path / "none.csv")
