"""A run's models ranked by a pairwise judge, over the API, from results in the real ClickHouse."""

import time
from dataclasses import replace

import pytest

from schemas.topics import Topic
from tests.support.api import Api
from tests.support.events import case_result, encode, score
from tests.support.runs import Bench
from tests.support.servers import ClickHouseServer
from tests.support.tables import Tables

pytestmark = pytest.mark.integration
WON = {"big": 30, "small": 10}
"""Of 40 cases each."""


@pytest.fixture(scope="module")
def api(clickhouse: ClickHouseServer) -> Api:
    tables = Tables.new(clickhouse.url)
    results = [
        case_result(
            run_id="r1",
            case_id=f"c{i}",
            model_id=model,
            occurred_at=int(time.time() * 1000),
            scores=[
                score(
                    metric="llm_judge",
                    scorer="llm_judge",
                    value=float(i < won),
                    label="win" if i < won else "loss",
                )
            ],
        )
        for model, won in WON.items()
        for i in range(40)
    ]
    tables.store(Topic.CASE_RESULTS, encode("CaseResult", results))
    bench = Bench()
    bench.started()
    made = tables.serve(Api())
    made.runs.put(replace(bench.run(), run_id="r1"))
    return made


def test_results_rank_the_models_and_the_reference(api: Api) -> None:
    answer = api.client("viewer").get("/evaluations/r1/results/")
    assert answer.status_code == 200, answer.text
    (ranking,) = answer.json()["rankings"]
    assert (ranking["metric"], ranking["reference"]) == ("llm_judge", "baseline_answer")
    shown = [(m["model_id"], m["rank"], m["wins"], m["losses"]) for m in ranking["models"]]
    assert shown == [("big", 1, 30, 10), ("baseline_answer", 2, 40, 40), ("small", 3, 10, 30)]
    assert ranking["models"][1]["elo"] == pytest.approx(1000)
    assert "by way of it" in ranking["basis"]
    assert api.client("viewer", "globex").get("/evaluations/r1/results/").status_code == 404
