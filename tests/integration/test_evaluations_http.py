"""A run's whole life over HTTP: a served API, planner, runner, broker and ClickHouse."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from agents.evaluation.planner.release import Limits
from api.app import PREFIX
from infra.api_server import serve, services
from infra.keys import KeyOptions, create
from infra.scripted_endpoint import standard
from infra.scripted_endpoint.script import Answer, Fault, Latency, Rule, Script
from infra.scripted_endpoint.serve import serving
from infra.settings import Settings
from schemas.models import Endpoint
from sinks.clickhouse import ClickHouse
from streams.telemetry import Health
from tests.support.engine import Engine, engine
from tests.support.lanes import Lanes
from tests.support.runs import model
from tests.support.servers import ClickHouseServer, Kafka, free_port, wait_until

pytestmark = pytest.mark.integration
PACED = Latency(60)
RIGHT = Answer(by_table=True)
SCRIPT = Script(
    rules=(
        # One case in about sixty ends in an error that is final, the first time.
        Rule(prompt="(?i)refund", faults=(Fault("invalid_request", times=1),), answer=RIGHT),
        Rule(model="slow", latency=Latency(60_000)),
        Rule(answer=RIGHT, latency=PACED),
    ),
    table=standard.table(),
)
BODY = {"suite_id": "classification", "models": [{"model_id": "big"}], "budget_usd": 1}


@pytest.fixture
def ready(kafka: Kafka, settings: Settings, clickhouse: ClickHouseServer) -> Iterator[Engine]:
    lanes = Lanes.create(kafka, settings, clickhouse)
    limits = Limits(run_outstanding=4)
    with engine(lanes, settings) as found, found.planner(limits=limits), found.runner():
        yield found


@pytest.fixture
def client(ready: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    """Of an API that listens."""
    own = partial(ClickHouse, database=ready.lanes.database)
    monkeypatch.setattr("infra.api_server.ClickHouse", own)
    url = SecretStr(ready.lanes.clickhouse.url)
    settings = ready.settings.model_copy(update={"clickhouse_url": url})
    key = create(settings, KeyOptions("acme", "editor", "ci", None, None)).token
    port, stop = free_port(), threading.Event()
    with services(settings) as held:
        thread = threading.Thread(target=serve, args=(held, "127.0.0.1", port, Health(), stop))
        thread.start()
        headers = {"X-API-Key": key}
        with httpx.Client(
            base_url=f"http://127.0.0.1:{port}{PREFIX}", headers=headers, timeout=60
        ) as found:
            wait_until(lambda: _answers(found), 30)
            yield found
        stop.set()
        thread.join(30)
    assert not thread.is_alive()


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/me/").status_code == 200
    except httpx.TransportError:
        return False


def test_a_run_is_started_followed_steered_and_read(ready: Engine, client: httpx.Client) -> None:
    loaded = done(client.post("/suites/load/"))["items"]
    assert {each["outcome"] for each in loaded} == {"created"}
    again = done(client.post("/suites/load/"))["items"]
    assert [each["outcome"] for each in again] == ["unchanged"] * 12
    with serving(SCRIPT) as endpoint:
        at = Endpoint(endpoint.base_url, "openai-chat")
        ready.create(model("big", endpoint=at), model("slow", endpoint=at))
        once = {"Idempotency-Key": "nightly"}
        wait_until(lambda: client.post("/evaluations/", json=BODY, headers=once).is_success)
        started = client.post("/evaluations/", json=BODY, headers=once)
        assert started.status_code == 200, "the run that there is"
        run = f"/evaluations/{started.json()['run_id']}/"
        with following(client, run) as told:
            wait_until(lambda: progress(client, run)["finished"] > 3, 60)
            assert done(client.post(f"{run}pause/"))["state"] == "paused"
            wait_until(lambda: "paused" in [data["state"] for _, data in told], 30)
            held = client.delete("/suites/classification/versions/1/")
            assert held.status_code == 422
            assert "is paused and needs it" in held.json()["detail"]
            assert client.post(f"{run}retry/").status_code == 409
            assert done(client.post(f"{run}resume/"))["state"] in ("queued", "planning", "running")
            wait_until(lambda: progress(client, run)["state"] == "completed", 90)
        states = [data["state"] for _, data in told]
        assert states[-1] == "completed"
        assert [event for event, _ in told] == ["progress"] * (len(told) - 1) + ["end"]
        finished = [data["finished"] for _, data in told]
        assert finished == sorted(finished)
        assert finished[-1] == 60

        failed = progress(client, run)["errors"]
        assert failed > 0
        assert client.post(f"{run}cancel/").status_code == 409
        assert done(client.post(f"{run}retry/"))["errors"] == 0
        wait_until(lambda: progress(client, run)["state"] == "completed", 60)
        over = progress(client, run)
        assert (over["finished"], over["passed"], over["errors"]) == (60, 60, 0)
        assert over["cost_usd"] > 0
        wait_until(lambda: done(client.get(f"{run}results/"))["stored"] == 60, 30)
        wait_until(lambda: not done(client.get(f"{run}cases/?failed=true"))["items"], 30)
        report = done(client.get(f"{run}results/"))
        assert report["models"][0]["classified"][0]["accuracy"] == 1.0
        assert report["models"][0]["totals"]["calls"] >= 60
        page = done(client.get(f"{run}cases/?limit=40"))
        rest = done(client.get(f"{run}cases/?limit=40&cursor={page['next_cursor']}"))
        assert len({case["case_id"] for case in page["items"] + rest["items"]}) == 60
        assert all(case["output"] for case in page["items"])

        slow = {**BODY, "models": [{"model_id": "slow"}]}
        wait_until(lambda: client.post("/evaluations/", json=slow).is_success)
        other = done(client.get("/evaluations/?model_id=slow"))["items"][0]
        run = f"/evaluations/{other['run_id']}/"
        wait_until(lambda: endpoint.endpoint.at_once > 0, 30)
        with following(client, run) as told:
            assert done(client.post(f"{run}cancel/"))["state"] in ("cancelling", "cancelled")
            wait_until(lambda: progress(client, run)["state"] == "cancelled", 20)
        assert told[-1][0] == "end"
        assert told[-1][1]["state"] == "cancelled"
    assert client.delete("/suites/classification/versions/1/").status_code == 204
    assert done(client.post("/suites/load/"))["items"][-1]["outcome"] == "created"


def done(answer: httpx.Response) -> Any:
    assert answer.is_success, answer.text
    return answer.json()


def progress(client: httpx.Client, run: str) -> Any:
    return done(client.get(f"{run}progress/"))


@contextmanager
def following(client: httpx.Client, run: str) -> Iterator[list[tuple[str, Any]]]:
    """Every event of the run from now to its end; at the end of the block it has to be there."""
    told: list[tuple[str, Any]] = []
    open_ = threading.Event()

    def follow() -> None:
        headers = {"Accept": "text/event-stream"}
        with client.stream("GET", f"{run}progress/", headers=headers) as answer:
            name = ""
            for line in answer.iter_lines():
                open_.set()
                kind, _, value = line.partition(": ")
                if kind == "event":
                    name = value
                elif kind == "data":
                    told.append((name, json.loads(value)))

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    assert open_.wait(20)
    yield told
    thread.join(20)
    assert not thread.is_alive(), "the stream ends with the run"
