"""`rheostat evaluate`: which suite and model are meant, and what the exit code says."""

import io
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from agents.evaluation.aggregate import Slice, Summary
from agents.evaluation.intervals import MeanResult, NoInterval
from agents.evaluation.lookup import NotFound
from agents.evaluation.report import ModelReport, Report
from infra import cli
from infra.errors import OperatorError
from infra.evaluation_session import verdict
from infra.evaluation_show import line, mean, runs_table
from infra.evaluations import find_model, find_suite
from schemas.evaluations import EvaluationRun
from schemas.records import RegistryFact
from streams.registry_view import RegistrySnapshot
from streams.statistics.estimates import NoEstimate
from tests.support.runs import SUITE, T0, Bench, model, result, snapshot


def completed() -> EvaluationRun:
    bench = Bench()
    bench.started()
    bench.round(results=[result(c) for c in bench.cases])
    return bench.run()


def report(found: MeanResult, run: EvaluationRun | None = None) -> Report:
    summary = Summary("big", "1", Slice(), "score", 6, 0, 6, found)
    return Report(run or completed(), 12, (ModelReport("big", "1", 0.0, None, (summary,)),), (), ())


@pytest.mark.parametrize(
    ("value", "threshold", "code"),
    [(0.5, None, 0), (0.5, 0.5, 0), (0.49, 0.5, 2), (None, 0.5, 2), (None, None, 0)],
)
def test_the_exit_code_follows_from_the_threshold(
    value: float | None, threshold: float | None, code: int
) -> None:
    found: MeanResult = NoEstimate("nothing") if value is None else NoInterval(value, "one case")
    assert verdict(report(found), "score", threshold) == code


def test_a_metric_that_no_model_has_is_below_every_threshold(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert verdict(report(NoInterval(1.0, "")), "bleu", 0.1) == 2
    assert "big has no value of bleu; it has score: set --metric" in capsys.readouterr().err


def test_a_run_that_did_not_complete_never_passes(capsys: pytest.CaptureFixture[str]) -> None:
    run = replace(completed(), state="failed", reason="stopped by its budget of $1")
    assert verdict(report(NoInterval(1.0, ""), run), "score", 0.1) == 1
    assert "stopped by its budget" in capsys.readouterr().err


def test_the_version_that_was_registered_last_is_meant_unless_one_is_named() -> None:
    newer = replace(SUITE, suite_version="0.9")
    facts = snapshot(SUITE, model("big"))
    later = RegistryFact(1, "me", T0 + timedelta(days=1), "c", newer)
    facts = facts.with_fact(newer.key, later)
    assert find_suite(facts, "sums", None).suite_version == "0.9"
    assert find_suite(facts, "sums@1", None).suite_version == "1"
    with pytest.raises(NotFound, match="acme has no suite nope; there are: sums"):
        find_suite(facts, "nope", None)
    with pytest.raises(OperatorError, match="acme has no model huge; it has big"):
        find_model(facts, "acme", "huge")
    with pytest.raises(OperatorError, match="rheostat suites load"):
        find_suite(RegistrySnapshot(), "sums", None)


def test_two_organisations_with_the_same_suite_have_to_be_told_apart() -> None:
    both = snapshot(SUITE, replace(SUITE, org_id="brisk"))
    with pytest.raises(OperatorError, match="acme, brisk all have a suite sums"):
        find_suite(both, "sums", None)
    assert find_suite(both, "sums", "brisk").org_id == "brisk"


def test_what_is_not_known_is_not_shown_as_zero() -> None:
    assert mean(NoEstimate("nothing")) == "-"
    assert mean(NoInterval(0.5, "one case")) == "0.500 (?)"
    assert line(completed()).startswith("completed  12/12 cases")


def test_an_empty_file_is_no_dataset(tmp_path: Path) -> None:
    file = tmp_path / "empty.jsonl"
    file.write_text("")
    found = CliRunner().invoke(cli.app, ["datasets", "import", str(file), "--org", "acme"])
    assert f"{file} holds no case." in str(found.exception)


def test_a_list_of_runs_cuts_nothing_at_80_columns() -> None:
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(runs_table([replace(completed(), run_id="3f6c0a1b-0000", requested_by="k" * 30)]))
    text = console.export_text()
    assert "3f6c0a1b " in text
    assert "completed" in text
    assert "…" not in text


def test_a_model_of_another_version_is_told_which_there_are() -> None:
    with pytest.raises(OperatorError, match="no model big@9; it has big@1"):
        find_model(snapshot(model("big"), model("small")), "acme", "big@9")
