"""Judges and what they cost, and answers that are scored again, through every real part."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from agents.evaluation.report import report
from agents.evaluation.requests import RunRefused
from infra.scripted_endpoint.script import Answer, Rule, Script
from infra.scripted_endpoint.serve import serving
from infra.settings import Settings
from schemas.evaluations import CaseResult, RunModel, RunSpec
from schemas.models import Endpoint
from schemas.suites import ScorerUse
from sinks.clickhouse import ClickHouse
from sinks.run_results import CaseQuestion, cases
from tests.support.datasets import DRAFT, questions
from tests.support.engine import Engine, engine
from tests.support.lanes import Lanes
from tests.support.runs import SUITE, model
from tests.support.servers import ClickHouseServer, Kafka, wait_until

pytestmark = pytest.mark.integration
JUDGED = replace(
    SUITE,
    scorers=(
        ScorerUse("exact_match", threshold=1.0),
        ScorerUse("llm_judge", options='{"model": "judge", "max_output_tokens": 50}'),
    ),
)
SCRIPT = Script(
    rules=(
        Rule(model="judge", answer=Answer("Fine. GRADE: 4")),
        Rule(answer=Answer(by_table=True)),
    ),
    table={f"Answer: question {i}": str(i) for i in range(20)},
)


@pytest.fixture
def ready(kafka: Kafka, settings: Settings, clickhouse: ClickHouseServer) -> Iterator[Engine]:
    """An engine with a dataset of 20 cases and a suite that a judge grades."""
    lanes = Lanes.create(kafka, settings, clickhouse)
    with engine(lanes, settings) as found:
        found.dataset(DRAFT, questions(20))
        found.create(JUDGED)
        with found.planner(), found.runner():
            yield found


def test_judges_are_paid_for_by_the_run_and_not_asked_again_for_another_scorer(
    ready: Engine,
) -> None:
    asked = RunSpec("sums", "1", (RunModel("big", "1"),), budget_usd=1.0)
    with serving(SCRIPT) as endpoint:
        at = Endpoint(endpoint.base_url, "openai-chat")
        ready.create(model("big", endpoint=at), model("judge", endpoint=at))
        run = ready.wait_over(ready.begin(asked).run_id)
        assert (run.state, run.finished, run.passed) == ("completed", 20, 20)
        assert sum(endpoint.endpoint.calls.values()) == 40
        found = stored(ready, run.run_id, 20)
        assert {(r.judge_calls, r.rescored) for r in found} == {(1, False)}
        assert all(r.judge_input_tokens > 0 < r.judge_output_tokens for r in found)
        judges = sum(round((r.judge_cost_usd or 0) * 1e9) for r in found)
        own = sum(1000 * r.input_tokens + 2000 * r.output_tokens for r in found)
        assert judges > own > 0
        assert run.cost_nanos == run.models[0].cost_nanos == own + judges
        totals = report(clickhouse(ready), run, JUDGED).models[0].totals
        assert totals is not None
        assert totals.judge_calls == 20
        assert totals.judge_cost_usd == pytest.approx(judges / 1e9)
        assert totals.judge_unpriced == 0
        # The model's metric is what it costs itself.
        wait_until(lambda: ready.lanes.panes("llm_judge") >= 20)
        assert ready.lanes.count("metric_panes", "sum(total_nanos)", "metric = 'cost_usd'") == own
        before = panes(ready)

        more = replace(
            JUDGED, suite_version="2", scorers=(*JUDGED.scorers, ScorerUse("f1", weight=0.0))
        )
        ready.create(more)
        asked = replace(asked, suite_version="2", rescore_of=run.run_id)
        again = ready.wait_over(ready.begin(asked).run_id)
        assert (again.state, again.passed, again.cost_nanos) == ("completed", 20, 0)
        assert sum(endpoint.endpoint.calls.values()) == 40
        scored = stored(ready, again.run_id, 20)
        assert {r.rescored for r in scored} == {True}
        assert {(r.judge_calls, r.judge_cost_usd, r.cost_usd) for r in scored} == {(0, 0.0, 0.0)}
        names = [(s.metric, s.value) for s in scored[0].scores]
        assert names == [("exact_match", 1.0), ("llm_judge", 0.75), ("f1", 1.0)]

        # Another run counts on; the one that scored again left no trace among the metrics.
        third = replace(asked, suite_version="1", rescore_of=None, use_cache=False, cases_max=1)
        ready.wait_over(ready.begin(third).run_id)
        wait_until(lambda: ready.lanes.panes("llm_judge") >= 21)
        one_more = {metric: n + 1 for metric, n in before.items()}
        wait_until(lambda: panes(ready) == one_more, 30, f"{panes(ready)} for {one_more}")


def test_what_a_judge_without_a_price_took_is_not_known(ready: Engine) -> None:
    asked = RunSpec("sums", "1", (RunModel("big", "1"),), cases_max=3)
    with serving(SCRIPT) as endpoint:
        at = Endpoint(endpoint.base_url, "openai-chat")
        ready.create(model("big", endpoint=at), model("judge", endpoint=at, prices=()))
        with pytest.raises(RunRefused, match="the judge judge 1 has no price now"):
            ready.begin(replace(asked, budget_usd=1.0))
        run = ready.wait_over(ready.begin(asked).run_id)
        found = stored(ready, run.run_id, 3)
        own = sum(1000 * r.input_tokens + 2000 * r.output_tokens for r in found)
        assert (run.unpriced, run.cost_nanos) == (3, own)
        totals = report(clickhouse(ready), run, JUDGED).models[0].totals
        assert totals is not None
        assert (totals.judge_calls, totals.judge_cost_usd, totals.judge_unpriced) == (3, None, 3)


def stored(ready: Engine, run_id: str, count: int) -> list[CaseResult]:
    """The run's results once ClickHouse has them."""
    question = CaseQuestion("acme", run_id, limit=1000)
    wait_until(lambda: len(cases(clickhouse(ready), question)) >= count)
    return cases(clickhouse(ready), question)


def clickhouse(ready: Engine) -> ClickHouse:
    return ClickHouse(ready.lanes.clickhouse.url, ready.lanes.database)


def panes(ready: Engine) -> dict[str, int]:
    """How many values each metric has."""
    sql = "SELECT metric, sum(n) FROM {db}.metric_panes GROUP BY metric HAVING sum(n) > 0"
    return {str(metric): int(n) for metric, n in ready.lanes.rows(sql)}
