"""The planner's rounds: what requests and results make of runs."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from agents.evaluation.planner.places import PlaceSet, place_at
from agents.evaluation.planner.plan import RunImpossible, check
from agents.evaluation.planner.release import Limits
from agents.evaluation.planner.supply import Problem
from agents.evaluation.prices import bound_nanos, cost_nanos
from schemas.evaluations import EvaluationRun
from schemas.models import Endpoint
from schemas.suites import GenerationParameters, PromptMessage
from tests.support.runs import (
    DATASET,
    REGISTRY,
    SUITE,
    T0,
    Bench,
    Shelf,
    ask,
    model,
    result,
    snapshot,
    spec,
)


def finished(bench: Bench) -> EvaluationRun:
    """The run after every case at hand has its result, round after round."""
    for _ in range(100):
        bench.round(results=[result(c) for c in bench.unanswered()])
        if bench.run().state == "completed":
            return bench.run()
    raise AssertionError(bench.run())


def test_a_run_goes_from_queued_to_completed_and_asks_every_case_of_every_model_once() -> None:
    bench = Bench()
    bench.round(ask("start", spec=spec(epochs=2)))
    assert bench.run().state == "planning"
    bench.round()
    run = bench.run()
    assert (run.state, run.planned, run.cases, run.epochs) == ("running", 24, 6, 2)
    asked = [(c.epoch, c.case_id, c.model_id) for c in bench.cases]
    assert asked[:4] == [(0, "q0", "big"), (0, "q0", "small"), (0, "q1", "small"), (0, "q1", "big")]
    assert [epoch for epoch, _, _ in asked] == [0] * 12 + [1] * 12
    assert len(set(asked)) == 24
    assert bench.cases[0].messages == (PromptMessage("user", "Answer: question 0"),)
    done = finished(bench)
    assert (done.state, done.finished, done.passed, done.errors) == ("completed", 24, 24, 0)
    assert done.outstanding == ()
    assert [m.finished for m in done.models] == [12, 12]
    # 10 tokens at 1 and 10 at 2 dollars a million.
    assert done.cost_nanos == 24 * 30_000


def test_places_take_every_case_epoch_and_model_once_and_models_take_turns() -> None:
    found = [place_at(n, cases=5, models=3) for n in range(5 * 2 * 3)]
    assert len(set(found)) == 30
    assert [p.model for p in found[:6]] == [0, 1, 2, 1, 2, 0]
    assert [p.epoch for p in found] == [0] * 15 + [1] * 15


def test_a_set_of_places_comes_back_from_its_bytes() -> None:
    found = PlaceSet().having(3).having(70_000)
    assert PlaceSet.from_bytes(found.to_bytes()) == found
    assert (len(found), found.lowest(), 3 in found, 4 in found) == (2, 3, True, False)
    assert PlaceSet.from_bytes(PlaceSet().to_bytes()) == PlaceSet()


def test_a_second_result_of_a_place_and_one_that_nobody_asked_for_count_nothing() -> None:
    bench = Bench()
    bench.started()
    first = result(bench.cases[0])
    bench.round(results=[first, first])
    before = bench.run()
    assert before.finished == 1
    others = [
        replace(first, passed=False),
        result(bench.cases[1], epoch=7),
        result(bench.cases[1], org_id="evil"),
        result(bench.cases[1], model_version="2"),
    ]
    assert not bench.round(results=others).runs
    assert bench.run() == before


def test_a_window_bounds_what_is_outstanding_of_a_run_and_in_total() -> None:
    bench = Bench(limits=Limits(run_outstanding=3, outstanding=4))
    bench.started(ask("start"), ask("start", "r2"))
    assert sorted(len(r.outstanding) for r in bench.runs.values()) == [2, 2]
    bench = Bench(limits=Limits(run_outstanding=3))
    bench.started()
    assert len(bench.run().outstanding) == 3
    bench.round(results=[result(bench.cases[1])])
    assert len(bench.run().outstanding) == 3
    assert [each.place for each in bench.run().outstanding] == [0, 2, 3]


def test_organisations_share_by_their_weights_and_priority_goes_first_within_one() -> None:
    theirs = (
        replace(model("big"), org_id="brisk"),
        replace(DATASET, org_id="brisk"),
        replace(SUITE, org_id="brisk"),
    )
    registry = snapshot(model("big"), DATASET, SUITE, *theirs)
    limits = Limits(outstanding=6, weights={"brisk": 2.0})
    bench = Bench(registry=registry, limits=limits)
    starts = [
        ask("start", "low", spec=spec("big", priority=1)),
        ask("start", "high", spec=spec("big", priority=9)),
        ask("start", "other", org_id="brisk", spec=spec("big", priority=0)),
    ]
    bench.started(*starts)
    outstanding = {r.run_id: len(r.outstanding) for r in bench.runs.values()}
    assert outstanding == {"low": 0, "high": 2, "other": 4}


def test_a_paused_run_holds_no_place_that_others_could_have() -> None:
    theirs = (
        replace(model("big"), org_id="brisk"),
        replace(DATASET, org_id="brisk"),
        replace(SUITE, org_id="brisk"),
    )
    registry = snapshot(model("big"), DATASET, SUITE, *theirs)
    bench = Bench(registry=registry, limits=Limits(outstanding=4))
    bench.started(ask("start", spec=spec("big")))
    bench.round(ask("pause"))
    assert len(bench.run().outstanding) == 4
    bench.started(ask("start", "other", org_id="brisk", spec=spec("big")))
    assert len(bench.run("other").outstanding) == 4
    bench.round(ask("resume"))
    bench.round()
    bench.round(results=[result(c) for c in bench.cases if c.org_id == "brisk"])
    assert len(bench.run().outstanding) + len(bench.run("other").outstanding) == 4


def test_a_budget_stops_a_run_before_it_is_exceeded() -> None:
    prompt = len("Answer: question 0") + 16
    bound = prompt * 1000 + 100 * 2000
    assert bound_nanos(model("big"), ["Answer: question 0"], 100, T0) == bound
    bench = Bench()
    # Room for two bounds and a half.
    bench.started(ask("start", spec=spec("big", budget_usd=bound * 2.5 / 1e9)))
    assert len(bench.cases) == 2
    cheap = result(bench.cases[0])
    bench.round(results=[cheap])
    assert len(bench.cases) == 3, "what the first did not cost is there for another"
    dear = replace(cheap, output_tokens=100, input_tokens=prompt)
    left = [replace(dear, case_id=c.case_id) for c in bench.cases[1:]]
    bench.round(results=left)
    run = bench.run()
    assert run.state == "failed"
    assert "budget" in (run.reason or "")
    assert run.cost_nanos <= bound * 2.5
    assert run.finished == 3
    # More money, and it goes on with what was never asked.
    bench.started(ask("retry", budget_usd=1.0))
    assert bench.run().state == "running"
    assert [c.case_id for c in bench.cases[3:]] == ["q3", "q4", "q5"]


def test_cancelling_waits_for_runners_and_not_for_ever() -> None:
    bench = Bench()
    bench.started()
    bench.round(ask("cancel"))
    assert bench.run().state == "cancelling"
    dropped = [result(c, error_type="cancelled", passed=None) for c in bench.cases]
    bench.round(results=dropped[:5])
    assert bench.run().state == "cancelling"
    bench.round(after_s=16)
    assert bench.run().state == "cancelled"
    assert "7 cases" in (bench.run().reason or "")
    bench.round(results=dropped[5:])
    assert (bench.run().finished, bench.run().errors) == (12, 12)
    assert bench.run().state == "cancelled"


def test_a_run_that_was_cancelled_before_it_was_planned_is_over_at_once() -> None:
    bench = Bench()
    bench.round(ask("start"), ask("cancel"))
    assert bench.run().state == "cancelled"
    assert not bench.cases


def test_a_paused_run_releases_nothing_and_counts_what_comes() -> None:
    bench = Bench(limits=Limits(run_outstanding=2))
    bench.started()
    bench.round(ask("pause"))
    bench.round(results=[result(c) for c in bench.cases])
    assert (bench.run().state, bench.run().finished, len(bench.cases)) == ("paused", 2, 2)
    bench.started(ask("resume"))
    assert (bench.run().state, len(bench.cases)) == ("running", 4)


def test_a_retry_asks_again_what_failed_and_nothing_else() -> None:
    bench = Bench()
    bench.started()
    bad = {3, 8}
    bench.round(
        results=[
            result(c, error_type="timeout", passed=False) if i in bad else result(c)
            for i, c in enumerate(bench.cases)
        ]
    )
    first = bench.run()
    assert (first.state, first.errors, first.passed) == ("completed", 2, 10)
    before = list(bench.cases)
    bench.started(ask("retry", command_id="again"))
    assert bench.run().finished == 10
    again = bench.cases[12:]
    assert [(c.case_id, c.model_id) for c in again] == [
        (before[i].case_id, before[i].model_id) for i in sorted(bad)
    ]
    bench.round(results=[result(c) for c in again])
    done = bench.run()
    assert (done.state, done.finished, done.passed, done.errors) == ("completed", 12, 12, 0)
    assert [(m.finished, m.errors) for m in done.models] == [(6, 0), (6, 0)]
    bench.round(ask("retry", command_id="again"), ask("retry"))
    assert bench.run().state == "completed"
    assert len(bench.cases) == 14


def test_a_repeated_request_does_nothing() -> None:
    bench = Bench()
    start = ask("start", command_id="once")
    bench.started(start)
    before = bench.run()
    bench.round(start)
    assert bench.run() == before
    bench.started(ask("pause", command_id="p"), ask("resume"))
    bench.round(ask("pause", command_id="p"))
    assert bench.run().state == "running"
    bench.round(ask("cancel", org_id="evil"), ask("cancel", "unknown"))
    assert bench.run().state == "running"
    assert list(bench.runs) == ["r1"]


def test_cases_of_a_deleted_model_end_and_the_others_go_on() -> None:
    bench = Bench(limits=Limits(run_outstanding=4))
    bench.started()
    bench.registry = snapshot(DATASET, SUITE, model("big"))
    for _ in range(20):
        mine = [result(c) for c in bench.unanswered()]
        theirs, bench.results = bench.results, []
        assert all(r.error_type == "model_deleted" for r in theirs)
        bench.round(results=[*mine, *theirs])
    run = bench.run()
    assert (run.state, run.finished) == ("completed", 12)
    assert run.models[0].errors == 0
    assert run.models[1].errors == 4


def test_a_run_fails_when_its_suite_is_deleted() -> None:
    bench = Bench(limits=Limits(run_outstanding=4))
    bench.started()
    bench.registry = snapshot(DATASET, model("big"), model("small"))
    bench.round()
    assert (bench.run().state, bench.run().reason) == ("failed", "there is no suite sums 1")


def test_a_run_waits_for_its_dataset_and_then_fails_with_the_reason() -> None:
    bench = Bench(supply=Shelf(missing=Problem("3 of 6 cases are there", passing=False)))
    bench.started()
    assert bench.run().state == "planning"
    assert bench.run().reason == "waits for its cases: 3 of 6 cases are there"
    bench.round(after_s=61)
    assert (bench.run().state, bench.run().reason) == ("failed", "3 of 6 cases are there")
    bench.supply.missing = None
    bench.round(ask("retry"))
    bench.round()
    assert bench.run().state == "running"


def test_a_run_waits_out_an_outage_of_clickhouse() -> None:
    bench = Bench(supply=Shelf(missing=Problem("no answer", passing=True)))
    bench.started()
    bench.round(after_s=3600)
    assert bench.run().state == "planning"
    bench.supply.missing = None
    bench.round()
    assert bench.run().state == "running"
    assert bench.run().reason is None


def test_a_case_without_a_field_of_the_template_has_a_result_that_says_so() -> None:
    suite = replace(SUITE, prompt=(PromptMessage("user", "{nothing}"),))
    bench = Bench()
    bench.started()
    bench = Bench(registry=snapshot(DATASET, SUITE, model("big")))
    bench.round(ask("start", spec=spec("big")))
    bench.round(limits=Limits(round_cases=0))
    bench.registry = snapshot(DATASET, suite, model("big"))
    bench.round()
    assert not bench.cases
    assert {r.error_type for r in bench.results} == {"invalid_prompt"}
    assert "nothing" in (bench.results[0].error_text or "")
    bench.round(results=bench.results)
    assert (bench.run().state, bench.run().errors) == ("completed", 6)


def test_a_run_is_forgotten_a_month_after_its_end_and_not_before() -> None:
    bench = Bench()
    bench.started()
    bench.round(results=[result(c) for c in bench.cases])
    assert bench.run().state == "completed"
    assert not bench.round(after_s=29 * 86_400).forgotten
    bench.started(ask("start", "r2"))
    # Whoever asks for it once more has it once more.
    assert not bench.round(ask("retry"), after_s=2 * 86_400).forgotten
    (forgotten,) = bench.round(after_s=1).forgotten
    assert forgotten.run_id == "r1"
    assert list(bench.runs) == ["r2"], "a run that goes on stays, however old it is"
    bench.round(results=[result(c) for c in bench.cases[:12]])
    assert list(bench.runs) == ["r2"]


def test_each_epoch_has_a_seed_of_its_own() -> None:
    suite = replace(SUITE, parameters=GenerationParameters(seed=7, extra='{"top_k": 3}'))
    bench = Bench(registry=snapshot(DATASET, suite, model("big")))
    bench.started(ask("start", spec=spec("big", epochs=2)))
    parameters = [json.loads(c.parameters) for c in bench.cases]
    assert parameters[0] == {"seed": 7, "top_k": 3}
    assert parameters[6] == {"seed": 8, "top_k": 3}


def test_a_rate_and_the_time_that_is_left_follow_from_results() -> None:
    bench = Bench(limits=Limits(run_outstanding=1))
    bench.started()
    assert bench.run().eta_s is None
    for case in bench.cases[:]:
        bench.round(results=[result(case)], after_s=2)
    for _ in range(3):
        bench.round(results=[result(bench.cases[-1])], after_s=2)
    run = bench.run()
    assert run.rate_per_s == pytest.approx(0.5, rel=0.1)
    assert run.eta_s == pytest.approx(8 / 0.5, rel=0.1)
    assert replace(run, state="paused").eta_s is None, "nobody knows when it goes on"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"suite_id": "none"}, "there is no suite none 1"),
        ({"split": "train"}, "no split train; it has dev, test"),
        ({"split": ""}, "no split ''; it has dev, test"),
        ({"models": (*spec("big").models, *spec("big").models)}, "named twice"),
        ({"models": spec("unknown").models}, "no model unknown 1"),
        ({"budget_usd": 1.0, "models": spec("free").models}, "no price"),
        ({"models": spec("nowhere").models}, "no endpoint"),
        ({"models": spec("old").models}, "retired"),
        ({"models": spec("odd").models}, "no adapter speaks the api_style 'grpc' of odd 1; there"),
    ],
)
def test_what_cannot_run_is_refused_with_the_reason(changes: dict[str, object], says: str) -> None:
    registry = snapshot(
        DATASET,
        SUITE,
        model("big"),
        model("free", prices=()),
        model("nowhere", endpoint=None),
        model("odd", endpoint=Endpoint("http://127.0.0.1:1/v1", "grpc")),
        model("old", retires_at=T0 - timedelta(days=1)),
    )
    with pytest.raises(RunImpossible, match=says):
        check("acme", spec("big", **changes), registry, T0)


def test_a_dataset_without_a_case_is_refused() -> None:
    """None can be registered; one from elsewhere would not be run."""
    empty = replace(DATASET, cases=0)
    with pytest.raises(RunImpossible, match="has no case"):
        check("acme", spec("big"), snapshot(empty, SUITE, model("big")), T0)


def test_a_template_with_a_variable_that_cases_lack_is_refused() -> None:
    suite = replace(SUITE, prompt=(PromptMessage("user", "{context} {question}"),))
    with pytest.raises(RunImpossible, match="names context, which not every case"):
        check("acme", spec("big"), snapshot(DATASET, suite, model("big")), T0)


def test_a_result_without_a_cost_is_priced_by_its_tokens() -> None:
    bench = Bench()
    bench.started()
    one = result(bench.cases[0], input_tokens=1000, cached_input_tokens=400, output_tokens=10)
    priced = model("big", prices=(replace(model("big").prices[0], cached_input_usd_per_mtok=0.5),))
    assert cost_nanos(one, priced) == 600 * 1000 + 400 * 500 + 10 * 2000
    assert cost_nanos(replace(one, cost_usd=0.25), priced) == 250_000_000
    assert cost_nanos(one, model("big", prices=())) is None
    assert REGISTRY.models
