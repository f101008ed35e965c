"""Two organisations share planner and runner: the small run does not wait for the large one."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from agents.evaluation.planner.release import Limits
from agents.evaluation.requests import Requester
from infra.scripted_endpoint.script import Answer, Latency, Rule, Script
from infra.scripted_endpoint.serve import serving
from infra.settings import Settings
from schemas.evaluations import EvaluationRun
from schemas.models import Endpoint
from tests.support.datasets import DRAFT, questions
from tests.support.engine import Engine, engine
from tests.support.lanes import Lanes
from tests.support.runs import SUITE, model, spec
from tests.support.servers import ClickHouseServer, Kafka, wait_until

pytestmark = pytest.mark.integration
LARGE, SMALL = "acme", "zeta"
"""Of two organisations with as many cases under way the first by its name would be served."""
SCRIPT = Script(
    rules=(Rule(answer=Answer(by_table=True), latency=Latency(median_ms=20)),),
    table={f"Answer: question {i}": str(i) for i in range(20)},
)


@pytest.fixture
def ready(kafka: Kafka, settings: Settings, clickhouse: ClickHouseServer) -> Iterator[Engine]:
    """An engine with the same dataset and suite in both organisations."""
    with engine(Lanes.create(kafka, settings, clickhouse), settings) as found:
        for org_id in (LARGE, SMALL):
            found.dataset(replace(DRAFT, org_id=org_id), questions(20))
            found.create(replace(SUITE, org_id=org_id))
        yield found


@pytest.mark.parametrize(
    "limits",
    [Limits(), Limits(run_outstanding=40, outstanding=40)],
    ids=["as deployed", "no room for more than one run"],
)
def test_a_small_run_is_finished_while_a_large_one_of_others_has_most_of_its_cases(
    ready: Engine, limits: Limits
) -> None:
    with serving(SCRIPT) as endpoint, ready.planner(limits=limits), ready.runner():
        at = Endpoint(endpoint.base_url, "openai-chat")
        for org_id in (LARGE, SMALL):
            ready.create(replace(model("big"), org_id=org_id, endpoint=at))
        large = begin(ready, LARGE, epochs=400)
        wait_until(lambda: now(ready, large).finished > 0)
        small = ready.wait_over(begin(ready, SMALL, epochs=1).run_id)
        left = now(ready, large)
        assert (small.state, small.finished, small.passed) == ("completed", 20, 20)
        assert (left.state, left.planned) == ("running", 8000)
        assert 0 < left.finished < left.planned // 4
        ready.evaluations.control(large.run_id, "cancel", Requester("tests", LARGE))
        ready.wait_over(large.run_id)


def begin(ready: Engine, org_id: str, epochs: int) -> EvaluationRun:
    asked = spec("big", epochs=epochs, use_cache=False)
    return ready.evaluations.begin(asked, Requester("tests", org_id))


def now(ready: Engine, run: EvaluationRun) -> EvaluationRun:
    found = ready.runs.get(run.run_id)
    assert found is not None
    return found
