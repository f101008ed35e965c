"""The planner and scores: answers that are scored again, and judges within the budget."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from agents.evaluation.judges import BYTES_PER_TOKEN
from agents.evaluation.planner.plan import RunImpossible, check
from agents.evaluation.planner.supply import Asked, Stored
from schemas.evaluations import Score
from schemas.suites import PromptMessage, ScorerUse
from tests.support.runs import (
    CASES,
    DATASET,
    PRICE,
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
from tests.support.scorer_package import forget, install

JUDGE = ScorerUse("llm_judge", options='{"model": "judge", "max_output_tokens": 50}')


def test_stored_answers_are_scored_again_and_nobody_is_called() -> None:
    answers = {c.case_id: {Asked(0, "big", "1"): Stored(f"old {c.case_id}")} for c in CASES[:5]}
    bench = Bench(supply=Shelf(answers=answers))
    bench.started(ask("start", spec=spec("big", rescore_of="r0")))
    assert [c.stored_output for c in bench.cases] == [f"old q{i}" for i in range(5)]
    assert [(r.case_id, r.error_type) for r in bench.results] == [("q5", "no_stored_output")]


def test_only_what_was_said_under_the_same_options_and_of_the_same_cases_is_kept() -> None:
    uses = (ScorerUse("exact_match", threshold=1.0), ScorerUse("f1", options='{"tokens": "words"}'))
    before = replace(SUITE, scorers=(uses[0], replace(uses[1], options="{}"), ScorerUse("length")))
    after = replace(SUITE, suite_version="2", scorers=(*uses, ScorerUse("regex")))
    scores = tuple(Score(name, name, "1", 0.5) for name in ("exact_match", "f1", "length"))
    stored = Stored("yes", SUITE.suite_id, SUITE.suite_version, scores)
    answers = {c.case_id: {Asked(0, "big", "1"): stored} for c in CASES}
    asked = spec("big", suite_version="2", rescore_of="r0")
    for changes, kept in (
        ({}, scores[:1]),
        ({"dataset_version": "0"}, ()),
        ({"suite_version": "deleted"}, ()),
    ):
        there = snapshot(DATASET, after, replace(before, **changes), model("big"))  # type: ignore[arg-type]
        bench = Bench(registry=there, supply=Shelf(answers=answers))
        bench.started(ask("start", spec=asked))
        assert {c.stored_scores for c in bench.cases} == {kept}


def test_a_budget_holds_what_judges_can_cost_and_what_they_did() -> None:
    suite = replace(SUITE, scorers=(JUDGE,))
    judge = model("judge", prices=(replace(PRICE, input_usd_per_mtok=100.0),))
    bench = Bench(registry=snapshot(DATASET, suite, model("big"), judge))
    bench.started(ask("start", spec=spec("big", budget_usd=100.0)))
    alone = Bench(registry=snapshot(DATASET, SUITE, model("big")))
    alone.started(ask("start", spec=spec("big", budget_usd=100.0)))
    more = [
        one.bound_nanos - other.bound_nanos
        for one, other in zip(bench.run().outstanding, alone.run().outstanding, strict=True)
    ]
    # The answer as the judge is sent it, at 100 USD a million tokens, besides the rubric.
    assert min(more) > 100 * BYTES_PER_TOKEN * 100_000
    budget_usd = 2.5 * bench.run().outstanding[0].bound_nanos / 1e9
    bench = Bench(registry=bench.registry)
    bench.started(ask("start", spec=spec("big", budget_usd=budget_usd)))
    assert len(bench.cases) == 2
    # Judges that took nearly all of it leave no room for another case.
    dear = [result(c, judge_calls=1, judge_cost_usd=budget_usd * 0.45) for c in bench.cases]
    bench.round(results=dear)
    run = bench.run()
    assert run.state == "failed"
    assert "stopped by its budget" in (run.reason or "")
    assert run.cost_nanos > 0.9 * budget_usd * 1e9
    assert run.models[0].cost_nanos == run.cost_nanos <= budget_usd * 1e9


def test_a_judge_that_is_not_known_of_or_costs_nothing_else_bounds_nothing() -> None:
    suite = replace(SUITE, scorers=(JUDGE,))
    there = (DATASET, suite, model("big"))
    limited = spec("big", budget_usd=1.0)
    check("acme", limited, snapshot(*there), T0)
    check("acme", spec("big"), snapshot(*there, model("judge", prices=())), T0)
    with pytest.raises(RunImpossible, match="the judge judge 1 has no price now"):
        check("acme", limited, snapshot(*there, model("judge", prices=())), T0)
    scored = replace(limited, rescore_of="r0")
    with pytest.raises(RunImpossible, match="the judge judge 1 has no price now"):
        check("acme", scored, snapshot(*there, model("judge", prices=())), T0)


def test_a_case_that_no_message_can_hold_has_a_result_that_says_so() -> None:
    """It must not end the rounds of all the other runs."""
    large = replace(CASES[0], fields=json.dumps({"question": "世" * 30_000}))
    suite = replace(SUITE, prompt=(PromptMessage("user", "{question}" * 50),))
    shelf = Shelf({DATASET.dataset_id: (DATASET, (large, *CASES[1:]))})
    bench = Bench(registry=snapshot(DATASET, suite, model("big")), supply=shelf)
    bench.started(ask("start", spec=spec("big")))
    (refused,) = bench.results
    assert (refused.case_id, refused.error_type) == ("q0", "invalid_prompt")
    assert "the prompt takes 4," in (refused.error_text or "")
    assert len(bench.cases) == 5
    stored = Stored("é" * 2_000_000)
    shelf = Shelf(answers={CASES[0].case_id: {Asked(0, "big", "1"): stored}})
    bench = Bench(supply=shelf)
    bench.started(ask("start", spec=spec("big", rescore_of="r0")))
    texts = {r.case_id: r.error_text or "" for r in bench.results}
    assert "the answer takes 4,000,0" in texts["q0"]
    assert not bench.cases


@pytest.fixture
def custom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    install(tmp_path, monkeypatch)
    yield
    forget()


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ("{}", "`calls` failed with KeyError: 'question'"),
        ('{"without_fields": false, "prompt": 1}', "`calls` failed with TypeError: model_id"),
    ],
)
def test_a_scorer_that_cannot_say_what_it_asks_fails_its_own_run(
    custom: None, options: str, why: str
) -> None:
    suite = replace(SUITE, suite_id="odd", scorers=(ScorerUse("asking", options=options),))
    bench = Bench(registry=snapshot(DATASET, SUITE, suite, model("big")))
    odd = spec("big", suite_id="odd")
    with pytest.raises(RunImpossible, match="the scorer asking does not say what it may ask"):
        check("acme", replace(odd, budget_usd=1.0), bench.registry, T0)
    bench.started(ask("start", "odd", spec=odd), ask("start", spec=spec("big")))
    assert bench.run("odd").state == "failed"
    assert why in (bench.run("odd").reason or "")
    assert len(bench.cases) == 6
    assert bench.run().state == "running"


def test_a_scorer_that_breaks_in_a_running_run_fails_that_run(custom: None) -> None:
    bench = Bench(registry=snapshot(DATASET, SUITE, model("big")))
    bench.started(ask("start", spec=spec("big")))
    suite = replace(SUITE, scorers=(ScorerUse("asking"),))
    bench.registry = snapshot(DATASET, suite, model("big"))
    bench.round()
    assert bench.run().state == "failed"
    assert "KeyError" in (bench.run().reason or "")


def test_nothing_bounds_a_case_whose_scorer_cannot_say_what_it_asks(custom: None) -> None:
    options = json.dumps({"field": "absent", "without_fields": False})
    suite = replace(SUITE, scorers=(ScorerUse("asking", options=options),))
    bench = Bench(registry=snapshot(DATASET, suite, model("big")))
    bench.started(
        ask("start", spec=spec("big")), ask("start", "limited", spec=spec("big", budget_usd=9.0))
    )
    assert (bench.run().state, len(bench.cases)) == ("running", 6)
    assert bench.run("limited").state == "failed"
    assert "`calls` of a scorer" in (bench.run("limited").reason or "")
