"""`rheostat evaluate`: which suite and model are meant, and what the exit code says."""

import io
import math
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from rich.console import Console, RenderableType
from typer.testing import CliRunner

from agents.evaluation.aggregate import Slice, Summary
from agents.evaluation.intervals import MeanResult, NoInterval
from agents.evaluation.lookup import NotFound
from agents.evaluation.report import ModelReport, Report
from infra import cli
from infra.errors import OperatorError
from infra.evaluation_gate import Gate, gate, require
from infra.evaluation_session import verdict
from infra.evaluation_show import line, mean, progress, runs_table, show
from infra.evaluations import find_model, find_suite
from infra.suites import org_of
from schemas.evaluations import EvaluationRun
from schemas.records import RegistryFact
from schemas.suites import ScorerUse
from sinks.run_results import ErrorExample, ModelTotals
from streams.registry_view import RegistrySnapshot
from streams.statistics.estimates import NoEstimate
from tests.support.runs import SUITE, T0, Bench, model, result, snapshot

NO_LATENCY = (None, None, None, None, None)


def completed() -> EvaluationRun:
    bench = Bench()
    bench.started()
    bench.round(results=[result(c) for c in bench.cases])
    return bench.run()


def report(found: MeanResult, run: EvaluationRun | None = None) -> Report:
    summary = Summary("big", "1", Slice(), "score", 6, 0, 6, found)
    return Report(
        run or completed(), 12, (ModelReport("big", "1", 0.0, 0, None, (summary,)),), (), ()
    )


@pytest.mark.parametrize(
    ("value", "threshold", "code"),
    [(0.5, None, 0), (0.5, 0.5, 0), (0.49, 0.5, 2), (None, 0.5, 2), (None, None, 0)],
)
def test_the_exit_code_follows_from_the_threshold(
    value: float | None, threshold: float | None, code: int
) -> None:
    found: MeanResult = NoEstimate("nothing") if value is None else NoInterval(value, "one case")
    assert verdict(report(found), gate(threshold, None, False)) == code


def test_a_metric_that_no_model_has_is_below_every_threshold(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert verdict(report(NoInterval(1.0, "")), gate(0.1, "bleu", False)) == 2
    assert "big has no value of bleu; it has score: set --metric" in capsys.readouterr().err


def test_a_metric_that_the_suite_does_not_measure_is_told_before_anything_is_paid() -> None:
    uses = (ScorerUse("f1"), ScorerUse("regex", weight=0.0, metric="polite"))
    suite = replace(SUITE, scorers=uses)
    require(suite, Gate("score", 0.5))
    require(suite, Gate("polite", 0.5))
    text = "sums 1 does not measure polit; it measures score, f1, polite. Nothing was started: set "
    with pytest.raises(OperatorError, match=re.escape(f"{text}--metric. Did you mean polite?")):
        require(suite, Gate("polit", 0.5))
    with pytest.raises(OperatorError, match="does not measure pass_rate"):
        require(suite, Gate("pass_rate", 0.5))
    require(replace(suite, pass_threshold=0.5), Gate("pass_rate", 0.5))
    require(replace(suite, scorers=(replace(uses[0], threshold=0.5),)), Gate("pass_rate", 0.5))
    weightless = replace(suite, scorers=uses[1:], pass_threshold=0.5)
    for metric in ("score", "pass_rate", "regex"):
        with pytest.raises(OperatorError, match="it measures polite"):
            require(weightless, Gate(metric, 0.5))


def test_a_threshold_in_percent_is_told_before_anything_is_paid() -> None:
    suite = replace(SUITE, scorers=(*SUITE.scorers, ScorerUse("length", weight=0.0)))
    for metric in ("score", "pass_rate", "exact_match"):
        require(suite, Gate(metric, 1.0))
        with pytest.raises(OperatorError, match=f"{metric} of sums 1 lies between 0 and 1"):
            require(suite, Gate(metric, 80))
    require(suite, Gate("length", 80))
    words = replace(SUITE, scorers=(ScorerUse("length"),))
    require(words, Gate("score", 80))


@pytest.mark.parametrize(
    ("threshold", "metric", "detach", "says"),
    [
        (None, "f1", False, "give both"),
        (0.5, None, True, "--detach leaves before"),
        (math.nan, None, False, "--threshold nan"),
    ],
)
def test_a_gate_that_nothing_could_be_held_against_is_refused(
    threshold: float | None, metric: str | None, detach: bool, says: str
) -> None:
    with pytest.raises(OperatorError, match=says):
        gate(threshold, metric, detach)


def test_a_run_that_did_not_complete_never_passes(capsys: pytest.CaptureFixture[str]) -> None:
    run = replace(completed(), state="failed", reason="stopped by its budget of $1")
    assert verdict(report(NoInterval(1.0, ""), run), gate(0.1, None, False)) == 1
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
    with pytest.raises(OperatorError, match="Did you mean big"):
        find_model(facts, "acme", "bigg")
    with pytest.raises(OperatorError, match="rheostat suites load"):
        find_suite(RegistrySnapshot(), "sums", None)


def test_two_organisations_with_the_same_suite_have_to_be_told_apart() -> None:
    both = snapshot(SUITE, replace(SUITE, org_id="brisk"))
    with pytest.raises(OperatorError, match="acme, brisk all have a suite sums"):
        find_suite(both, "sums", None)
    assert find_suite(both, "sums", "brisk").org_id == "brisk"
    with pytest.raises(OperatorError, match="no organisation brisc; it knows acme, brisk"):
        find_suite(both, "sums", "brisc")


def test_an_organisation_is_a_name_and_only_what_makes_something_may_name_a_new_one() -> None:
    known = snapshot(SUITE)
    assert org_of(known, None) == org_of(known, "acme") == "acme"
    assert org_of(known, "brisk", new=True) == "brisk"
    assert org_of(RegistrySnapshot(), "brisk") == "brisk"
    with pytest.raises(OperatorError, match="knows no organisation brisk; it knows acme"):
        org_of(known, "brisk")
    for wrong in ("", "a/b"):
        with pytest.raises(OperatorError, match=f"--org '{wrong}' is no name"):
            org_of(known, wrong, new=True)


def test_a_request_id_that_is_empty_by_mistake_starts_nothing() -> None:
    words = ["evaluate", "sums", "--model", "big", "--request-id", ""]
    found = CliRunner().invoke(cli.app, words)
    assert "--request-id is empty" in str(found.exception)


def test_what_is_not_known_is_not_shown_as_zero() -> None:
    assert mean(NoEstimate("nothing")) == "-"
    assert mean(NoInterval(0.5, "one case")) == "0.500 (?)"
    assert line(completed()).startswith("completed  12/12 cases")


def unpriced(*known_nanos: int) -> EvaluationRun:
    """A run of models that cost so much as far as it is known, each with 6 results without."""
    run = completed()
    models = (replace(run.models[0], cost_nanos=n, unpriced=6) for n in known_nanos)
    return replace(run, cost_nanos=sum(known_nanos), models=tuple(models))


def test_a_cost_that_nobody_knows_is_not_shown_as_zero_either() -> None:
    assert line(completed()).endswith("12/12 cases, $0.0004")
    assert line(unpriced(0)).endswith("12/12 cases, cost unknown (6 results without a price)")
    some = line(unpriced(0, 4_000_000))
    assert some.endswith("12/12 cases, cost at least $0.0040 (12 results without a price)")
    table = printed(runs_table([unpriced(0), unpriced(4_000_000)]))
    assert "unknown" in table
    assert "at least $0.0040" in table
    bar = printed(progress(unpriced(0, 4_000_000)))
    assert "unknown (6 results without a price)" in bar
    assert "at least $0.0040 (6 results without a price)" in bar


def test_a_report_says_which_costs_are_not_known() -> None:
    totals = ModelTotals("big", "1", 6, 6, 0, 1, 1, *NO_LATENCY, 4, 0.002, 2, {})
    whole = replace(totals, judge_unpriced=0)
    found = (
        ModelReport("big", "1", 0.004, 6, totals, ()),
        ModelReport("small", "1", None, 1, replace(totals, judge_cost_usd=None), ()),
        ModelReport("tiny", "1", 0.5, 0, whole, ()),
    )
    text = shown(Report(completed(), 12, found, (), ()))
    for told in (
        "cost of big 1: at least $0.0040 (6 results without a price)",
        "big 1: 4 calls of judges, at least $0.0020 (2 results without a price) of its cost",
        "cost of small 1: unknown (1 result without a price)",
        "small 1: 4 calls of judges, unknown (2 results without a price) of its cost",
        "tiny 1: 4 calls of judges, $0.0020 of its cost",
    ):
        assert told in text
    assert "cost of tiny" not in text
    assert "$0.0000" not in text


def test_a_report_says_why_cases_failed() -> None:
    errors = {"rate_limit": 1, "timeout": 1200, "cancelled": 2}
    totals = ModelTotals("big", "1", 6, 6, 0, 1, 1, *NO_LATENCY, 0, None, 0, errors)
    examples = (
        ErrorExample("big", "1", "rate_limit", "q7", "429: [slow]\n  down" + "x" * 500),
        ErrorExample("big", "1", "timeout", "q5", "no byte for 60 s"),
    )
    model = ModelReport("big", "1", 0.0, 0, totals, (), (), examples)
    text = shown(Report(completed(), 12, (model,), (), ()))
    told = [line for line in text.splitlines() if line.startswith("  ")]
    assert "errors of big 1:" in text
    assert told[-3:-1] == [
        "  timeout 1,200  such as q5: no byte for 60 s",
        "  cancelled 2",
    ]
    assert told[-1].startswith("  rate_limit 1  such as q7: 429: [slow] downxxx")
    assert told[-1].endswith("x…")


def printed(what: RenderableType, width: int = 80) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(what)
    return console.export_text()


def shown(found: Report) -> str:
    console = Console(width=80, record=True, file=io.StringIO())
    show(found, console)
    return console.export_text()


def test_an_empty_file_is_no_dataset(tmp_path: Path) -> None:
    file = tmp_path / "empty.jsonl"
    file.write_text("")
    found = CliRunner().invoke(cli.app, ["datasets", "import", str(file), "--org", "acme"])
    assert f"{file} holds no case." in str(found.exception)


def test_a_list_of_runs_cuts_nothing_at_80_columns() -> None:
    text = printed(
        runs_table([replace(completed(), run_id="3f6c0a1b-0000", requested_by="k" * 30)])
    )
    assert "3f6c0a1b " in text
    assert "completed" in text
    assert "…" not in text


def test_a_model_of_another_version_is_told_which_there_are() -> None:
    with pytest.raises(OperatorError, match="no model big@9; it has big@1"):
        find_model(snapshot(model("big"), model("small")), "acme", "big@9")
