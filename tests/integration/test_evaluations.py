"""Runs through every real part: planner, runner, scorers, data lane and ClickHouse."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from agents.evaluation.outcome import PASS_RATE
from agents.evaluation.planner import advance
from agents.evaluation.planner.release import Limits
from agents.evaluation.report import report
from agents.evaluation.requests import NoSuchRun, Requester, RunRefused
from infra.scripted_endpoint.script import Answer, Fault, Latency, Rule, Script
from infra.scripted_endpoint.serve import serving
from infra.settings import Settings
from schemas.evaluations import EvaluationRun, RunModel, RunSpec
from schemas.models import Endpoint
from sinks.clickhouse import ClickHouse
from sinks.migrate import ROWS_DAYS
from sinks.run_results import CaseQuestion, cases
from tests.support.datasets import DRAFT, questions
from tests.support.engine import Engine, engine
from tests.support.lanes import Lanes
from tests.support.runs import SUITE, model, spec
from tests.support.servers import ClickHouseServer, Kafka, wait_until

pytestmark = pytest.mark.integration


@pytest.fixture
def lanes(kafka: Kafka, settings: Settings, clickhouse: ClickHouseServer) -> Lanes:
    return Lanes.create(kafka, settings, clickhouse)


@pytest.fixture
def ready(lanes: Lanes, settings: Settings) -> Iterator[Engine]:
    """An engine with a dataset of 20 cases and a suite of it."""
    with engine(lanes, settings) as found:
        found.dataset(DRAFT, questions(20))
        found.create(SUITE)
        yield found


def answering(*rules: Rule) -> Script:
    table = {f"Answer: question {i}": str(i) for i in range(2000)}
    return Script(rules=rules or (Rule(answer=Answer(by_table=True)),), table=table)


def register(found: Engine, base_url: str, *names: str) -> None:
    endpoint = Endpoint(base_url, "openai-chat")
    found.create(*(model(name, endpoint=endpoint) for name in names))


def test_a_run_ends_with_one_result_for_each_case_and_exact_counts(ready: Engine) -> None:
    rules = (
        Rule(model="big", answer=Answer(by_table=True)),
        Rule(model="small", answer=Answer("no idea")),
    )
    with serving(answering(*rules)) as endpoint, ready.planner(), ready.runner():
        at = Endpoint(endpoint.base_url, "openai-chat")
        ready.create(model("big", endpoint=at), model("small", endpoint=at, prices=()))
        run = ready.begin(spec("big", "small", epochs=2), "first")
        assert ready.begin(spec("big", "small", epochs=2), "first").run_id == run.run_id
        with pytest.raises(RunRefused, match="another run"):
            ready.begin(spec("big"), "first")
        done = ready.wait_over(run.run_id)
        assert (done.state, done.planned, done.finished) == ("completed", 80, 80)
        assert [(m.finished, m.passed, m.errors) for m in done.models] == [
            (40, 40, 0),
            (40, 0, 0),
        ]
        assert done.cost_nanos > 0
        where = f"run_id = '{run.run_id}'"
        wait_until(lambda: ready.lanes.count("case_results", where=where) >= 80)
        rows = "uniqExact(case_id, epoch, model_id)"
        assert ready.lanes.count("case_results", rows, where) == 80
        assert ready.lanes.count("case_results", where=where) == 80
        wait_until(lambda: ready.lanes.panes("quality") >= 80)
        (row,) = ready.lanes.rows(
            "SELECT sum(n), sum(total) FROM {db}.metric_panes WHERE metric = 'quality' "
            "AND source = 'evaluation' AND model_id = 'big'"
        )
        assert row == (40, 40.0)
        (cost,) = ready.lanes.rows(
            "SELECT sum(total_nanos) FROM {db}.metric_panes WHERE metric = 'cost_usd' "
            "AND source = 'evaluation'"
        )
        assert cost == (done.cost_nanos,)
        (row,) = ready.lanes.rows(
            "SELECT state, planned, finished, passed, failed, cost_nanos, suite_id, models.passed, "
            "models.unpriced FROM {db}.evaluation_runs FINAL"
        )
        assert row == ("completed", 80, 80, 40, 0, done.cost_nanos, "sums", [40, 0], [0, 40])
        _check_report(ready, done)


def test_a_cancelled_run_ends_within_seconds_and_another_organisation_sees_none_of_it(
    ready: Engine,
) -> None:
    slow = Rule(answer=Answer(by_table=True), latency=Latency(median_ms=30_000))
    with serving(answering(slow)) as endpoint, ready.planner(), ready.runner():
        register(ready, endpoint.base_url, "big", "small")
        run = ready.begin(spec())
        ready.wait_state(run.run_id, "running")
        other = Requester("them", "other")
        with pytest.raises(NoSuchRun):
            ready.evaluations.control(run.run_id, "cancel", other)
        asked = ready.evaluations.control(run.run_id, "cancel", Requester("me", "acme"))
        assert asked.state in ("cancelling", "cancelled")
        done = ready.wait_over(run.run_id, 20)
        assert done.state == "cancelled"
        assert done.outstanding == ()
        assert done.errors == done.finished


def test_planners_that_die_leave_no_case_out_and_ask_none_twice(ready: Engine) -> None:
    paced = Rule(answer=Answer(by_table=True), latency=Latency(median_ms=20))
    with serving(answering(paced)) as endpoint, ready.runner():
        register(ready, endpoint.base_url, "big", "small")
        with ready.planner(limits=Limits(run_outstanding=8)):
            run = ready.begin(spec(epochs=4))
            wait_until(lambda: ready.evaluations.find(run.run_id, "acme").finished > 10)
        for _ in range(2):
            before = ready.evaluations.find(run.run_id, "acme").finished
            with ready.planner(limits=Limits(run_outstanding=8)):
                wait_until(
                    lambda seen=before: (
                        ready.evaluations.find(run.run_id, "acme").finished  # type: ignore[misc]
                        > seen
                    )
                )
        with ready.planner():
            done = ready.wait_over(run.run_id)
        assert (done.state, done.finished, done.passed) == ("completed", 160, 160)
        wait_until(lambda: ready.lanes.count("case_results") >= 160)
        assert ready.lanes.count("case_results") == 160


def test_a_run_is_paused_and_goes_on(ready: Engine) -> None:
    paced = Rule(answer=Answer(by_table=True), latency=Latency(median_ms=50))
    limits = Limits(run_outstanding=4)
    with serving(answering(paced)) as endpoint, ready.planner(limits=limits), ready.runner():
        register(ready, endpoint.base_url, "big", "small")
        me = Requester("me", "acme")
        run = ready.begin(spec(epochs=2))
        wait_until(lambda: ready.evaluations.find(run.run_id, "acme").finished > 4)
        paused = ready.evaluations.control(run.run_id, "pause", me)
        assert paused.state == "paused"
        with pytest.raises(RunRefused, match="is paused, and retry is for"):
            ready.evaluations.control(run.run_id, "retry", me)
        ready.evaluations.control(run.run_id, "resume", me)
        done = ready.wait_over(run.run_id)
        assert (done.state, done.finished, done.passed) == ("completed", 80, 80)


def test_what_failed_is_asked_again_and_answers_are_scored_again(ready: Engine) -> None:
    failing = (
        Rule(prompt="question 1$", faults=(Fault("invalid_request"),)),
        Rule(answer=Answer(by_table=True)),
    )
    with serving(answering(*failing)) as endpoint, ready.planner(), ready.runner():
        register(ready, endpoint.base_url, "big")
        me = Requester("me", "acme")
        run = ready.begin(spec("big"))
        done = ready.wait_over(run.run_id)
        assert (done.state, done.errors, done.passed) == ("completed", 1, 19)
        _check_errors(ready, done)
        ready.evaluations.control(run.run_id, "retry", me)
        done = ready.wait_over(run.run_id)
        assert (done.state, done.errors, done.finished) == ("completed", 1, 20)
        calls = sum(endpoint.endpoint.calls.values())
        where = f"run_id = '{run.run_id}'"
        wait_until(lambda: ready.lanes.count("case_results", where=where) == 21)
        # The same answers under a suite that asks for something else.
        strict = replace(SUITE, suite_version="2", pass_threshold=2.0)
        ready.create(strict)
        again = ready.begin(RunSpec("sums", "2", (RunModel("big", "1"),), rescore_of=run.run_id))
        done = ready.wait_over(again.run_id)
        assert (done.state, done.finished, done.passed, done.errors) == ("completed", 20, 0, 1)
        assert done.cost_nanos == 0
        wait_until(lambda: ready.lanes.count("case_results") == 41)
        kinds = ready.lanes.rows(
            "SELECT error_type, count() FROM {db}.case_results WHERE run_id = "
            f"'{again.run_id}' AND error_type IS NOT NULL GROUP BY error_type"
        )
        assert kinds == [("no_stored_output", 1)]
        assert sum(endpoint.endpoint.calls.values()) == calls


def test_a_run_that_ended_long_ago_is_forgotten_and_clickhouse_remembers(
    ready: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(answering()) as endpoint, ready.runner():
        register(ready, endpoint.base_url, "big")
        with ready.planner():
            run = ready.wait_over(ready.begin(spec("big", cases_max=2), "once").run_id)
            monkeypatch.setattr(advance, "KEPT_DAYS", 0)
            wait_until(lambda: ready.runs.get(run.run_id) is None)
            monkeypatch.setattr(advance, "KEPT_DAYS", ROWS_DAYS)
        with ready.planner(), pytest.raises(NoSuchRun):
            ready.evaluations.find(run.run_id, "acme")
        sql = "SELECT state, finished FROM {db}.evaluation_runs FINAL"
        wait_until(lambda: ready.lanes.rows(sql) == [("completed", 2)])


def _check_errors(ready: Engine, run: EvaluationRun) -> None:
    """Of a model that refused one case."""
    clickhouse = ClickHouse(ready.lanes.clickhouse.url, ready.lanes.database)
    wait_until(lambda: report(clickhouse, run, SUITE).stored == 20)
    (big,) = report(clickhouse, run, SUITE).models
    assert big.totals is not None
    assert big.totals.errors == {"invalid_request": 1}
    (example,) = big.error_examples
    assert (example.error_type, example.case_id) == ("invalid_request", "q1")
    (row,) = cases(clickhouse, CaseQuestion("acme", run.run_id, failed=True))
    assert example.text == row.error_text != ""


def _check_report(ready: Engine, run: EvaluationRun) -> None:
    """Of a model that is always right and one that never is, in two epochs."""
    clickhouse = ClickHouse(ready.lanes.clickhouse.url, ready.lanes.database)
    found = report(clickhouse, run, SUITE)
    assert found.stored == 80
    big, small = found.models
    assert big.totals is not None
    assert (big.totals.results, big.totals.calls, big.totals.errors) == (40, 40, {})
    assert (big.totals.latency_p95_ms or 0) > 0
    assert big.cost_usd == pytest.approx(run.cost_nanos / 1e9)
    assert (big.unpriced, small.cost_usd, small.unpriced) == (0, None, 40)
    means = {
        (s.model_id, s.slice.kind, s.slice.name): s.mean
        for s in found.models[0].summaries + found.models[1].summaries
        if s.metric == PASS_RATE
    }
    assert means["big", "all", ""].value == 1.0  # type: ignore[union-attr]
    assert means["small", "split", "dev"].value == 0.0  # type: ignore[union-attr]
    (compared,) = found.comparisons
    assert (compared.model, compared.baseline) == (("small", "1"), ("big", "1"))
    assert (compared.cases, compared.only_baseline, compared.only_model) == (20, 20, 0)
    assert {case.model_id for case in found.worst} == {"small"}
    assert found.worst[0].output == "no idea"
    slowest = cases(clickhouse, CaseQuestion("acme", run.run_id, order="slowest", limit=3))
    assert len(slowest) == 3
    assert not cases(clickhouse, CaseQuestion("other", run.run_id))
    assert not cases(clickhouse, CaseQuestion("acme", run.run_id, failed=True))
    assert len(cases(clickhouse, CaseQuestion("acme", run.run_id, case_id="q1"))) == 4
    clickhouse.close()
