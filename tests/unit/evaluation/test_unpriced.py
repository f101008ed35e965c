"""Results without a price: counted, never taken for free, and never within a budget."""

from dataclasses import replace

import pytest

from agents.evaluation.plain import plain_run
from agents.evaluation.planner.plan import RunImpossible, check_budget
from agents.evaluation.prices import judge_nanos, known_usd
from schemas.evaluations import EvaluationRun
from tests.support.runs import DATASET, SUITE, T0, Bench, ask, model, result, snapshot, spec

UNPRICED = snapshot(DATASET, SUITE, model("big"), model("small", prices=()))


def test_what_nobody_knows_the_cost_of_is_counted_beside_what_is_known() -> None:
    bench = Bench(registry=UNPRICED)
    bench.started()
    bench.round(results=[result(c) for c in bench.cases])
    run = bench.run()
    assert (run.state, run.unpriced, run.cost_nanos) == ("completed", 6, 6 * 30_000)
    assert [(m.model_id, m.unpriced) for m in run.models] == [("big", 0), ("small", 6)]
    told = plain_run(run)
    assert (told["cost_usd"], told["unpriced"]) == (6 * 30_000 / 1e9, 6)
    assert [(m["cost_usd"], m["unpriced"]) for m in told["models"]] == [
        (6 * 30_000 / 1e9, 0),
        (None, 6),
    ]


def test_an_endpoint_s_own_figure_needs_no_price_and_an_unknown_judge_has_none() -> None:
    bench = Bench(registry=UNPRICED)
    bench.started(ask("start", spec=spec("small")))
    own = [result(c, cost_usd=0.5) for c in bench.cases]
    judged = replace(own[1], judge_calls=1, judge_cost_usd=None)
    bench.round(results=[own[0], judged])
    assert (bench.run().unpriced, bench.run().cost_nanos) == (1, 1_000_000_000)
    # Results of before judges had a cost say nothing of one, and asked none.
    assert judge_nanos(replace(own[0], judge_calls=0, judge_cost_usd=None)) == 0


@pytest.mark.parametrize(
    ("cost_nanos", "unpriced", "usd"),
    [(0, 0, 0.0), (5, 0, 5e-9), (0, 3, None), (5, 3, 5e-9)],
)
def test_missing_is_not_zero(cost_nanos: int, unpriced: int, usd: float | None) -> None:
    assert known_usd(cost_nanos, unpriced) == usd


def without_price() -> EvaluationRun:
    bench = Bench(registry=UNPRICED)
    bench.started(ask("start", spec=spec("small")))
    bench.round(results=[result(bench.cases[0])])
    return bench.run()


def test_a_budget_given_later_is_refused_where_it_could_not_be_kept() -> None:
    priced = snapshot(DATASET, SUITE, model("small"))
    fresh = replace(without_price(), models=())
    check_budget(fresh, 1.0, priced, T0)
    with pytest.raises(RunImpossible, match="small 1 has no price now"):
        check_budget(fresh, 1.0, UNPRICED, T0)
    with pytest.raises(RunImpossible, match="nobody knows what 1 of its results cost"):
        check_budget(without_price(), 1.0, priced, T0)


def test_a_result_of_unknown_cost_ends_a_run_with_a_budget() -> None:
    bound = (len("Answer: question 0") + 16) * 1000 + 100 * 2000
    bench = Bench(registry=snapshot(DATASET, SUITE, model("small")))
    bench.started(ask("start", spec=spec("small", budget_usd=bound * 1.5 / 1e9)))
    bench.round(results=[result(bench.cases[0], judge_calls=1, judge_cost_usd=None)])
    assert bench.run().state == "failed"
    assert "nobody knows what 1 of its results cost" in (bench.run().reason or "")
