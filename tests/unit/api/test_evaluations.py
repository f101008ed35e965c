"""Evaluations in the API: started once, followed, steered, and nobody else's."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from fastapi.testclient import TestClient

from api.routes.evaluations import progress_events
from schemas.evaluations import EvaluationRun, ModelProgress
from schemas.suites import ScorerUse
from tests.support.api import Api, EmptyClickHouse
from tests.support.commands import NOW
from tests.support.runs import DATASET, SUITE, model, spec
from tests.support.scorer_package import forget, install

BODY: Mapping[str, Any] = {"suite_id": "sums", "models": [{"model_id": "small"}]}
RUN = EvaluationRun(
    "r1",
    "acme",
    "running",
    spec("small"),
    "me",
    NOW,
    NOW,
    (ModelProgress("small", "1", 6, 4, 3, 2, 1, 1_500_000_000),),
    planned=6,
    released=4,
    finished=3,
    passed=2,
    errors=1,
    cost_nanos=1_500_000_000,
)


@pytest.fixture
def api() -> Api:
    found = Api(DATASET, SUITE, model("small"), model("big"), clickhouse=EmptyClickHouse)
    found.runs.put(RUN)
    return found


@pytest.fixture
def client(api: Api) -> TestClient:
    return api.client("editor")


def test_a_run_is_started_once_under_its_key(api: Api, client: TestClient) -> None:
    key = {"Idempotency-Key": "nightly-7"}
    made = client.post("/evaluations/", json=BODY, headers=key)
    assert made.status_code == 201, made.text
    run = made.json()
    assert (run["state"], run["spec"]["suite_version"]) == ("queued", "1")
    assert run["spec"]["models"] == [{"model_id": "small", "model_version": "1", "arm": None}]
    again = client.post("/evaluations/", json=BODY, headers=key)
    assert (again.status_code, again.json()["run_id"]) == (200, run["run_id"])
    other = client.post("/evaluations/", json={**BODY, "epochs": 3}, headers=key)
    assert other.status_code == 422
    assert "use a new one" in other.json()["detail"]
    assert client.get(f"/evaluations/{run['run_id']}/").json() == run
    assert len(api.runs.kept) == 2


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"suite_id": "nope"}, "suite_id"),
        ({"suite_version": "9"}, "suite_id"),
        ({"models": [{"model_id": "nope"}]}, "models[0].model_id"),
        ({"models": []}, "models"),
        ({"models": [{"model_id": "small", "more": 1}]}, "models[0].more"),
        ({"epochs": 0}, "epochs"),
        ({"budget_usd": -1}, "budget_usd"),
        ({"priority": 10}, "priority"),
        ({"more": 1}, "more"),
    ],
)
def test_what_cannot_run_is_refused_with_its_field(
    client: TestClient, change: dict[str, Any], field: str
) -> None:
    answer = client.post("/evaluations/", json={**BODY, **change})
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_a_scorer_that_cannot_say_what_it_asks_is_a_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, monkeypatch)
    suite = replace(SUITE, scorers=(ScorerUse("asking"),))
    api = Api(DATASET, suite, model("small"), clickhouse=EmptyClickHouse)
    for limit in ({}, {"budget_usd": 1}):
        answer = api.client("editor").post("/evaluations/", json={**BODY, **limit})
        assert answer.status_code == 422
        assert "the scorer asking does not say what it may ask" in answer.json()["detail"]
    forget()


def test_what_the_planner_would_refuse_is_refused(client: TestClient) -> None:
    answer = client.post("/evaluations/", json={**BODY, "split": "nowhere"})
    assert answer.status_code == 422
    assert "nowhere" in answer.json()["detail"]


def test_the_newest_come_first_page_by_page(api: Api, client: TestClient) -> None:
    api.runs.put(
        *(
            replace(RUN, run_id=f"x{i}", requested_at=NOW + timedelta(hours=i), state="completed")
            for i in range(5)
        )
    )
    first = client.get("/evaluations/", params={"limit": 4}).json()
    assert [run["run_id"] for run in first["items"]] == ["x4", "x3", "x2", "x1"]
    rest = {"limit": 4, "cursor": first["next_cursor"]}
    second = client.get("/evaluations/", params=rest).json()
    assert [run["run_id"] for run in second["items"]] == ["x0", "r1"]
    assert second["next_cursor"] is None
    running = client.get("/evaluations/", params={"state": "running"}).json()["items"]
    assert [run["run_id"] for run in running] == ["r1"]
    assert client.get("/evaluations/", params={"model_id": "big"}).json()["items"] == []
    other = client.get("/evaluations/", params={"state": "failed", **rest})
    assert other.status_code == 422, "a cursor of another list"


def test_progress_tells_counts_and_cost(client: TestClient) -> None:
    told = client.get("/evaluations/r1/progress/").json()
    assert (told["state"], told["finished"], told["planned"]) == ("running", 3, 6)
    assert told["cost_usd"] == 1.5
    assert told["models"][0]["errors"] == 1
    assert "failed_places" not in told
    assert "spec" not in told


def test_a_cost_that_nobody_knows_is_null(api: Api, client: TestClient) -> None:
    (small,) = RUN.models
    unknown = replace(small, cost_nanos=0, unpriced=3)
    known = replace(small, model_id="big", unpriced=1)
    api.runs.put(replace(RUN, models=(unknown, known)))
    told = client.get("/evaluations/r1/progress/").json()
    assert (told["cost_usd"], told["unpriced"]) == (1.5, 4)
    assert [(m["cost_usd"], m["unpriced"]) for m in told["models"]] == [(None, 3), (1.5, 1)]
    models = client.get("/evaluations/r1/results/").json()["models"]
    assert [(m["cost_usd"], m["unpriced"]) for m in models] == [(None, 3), (1.5, 1)]


def test_a_budget_that_cannot_be_kept_is_refused_later_too(api: Api, client: TestClient) -> None:
    api.runs.put(replace(RUN, state="paused", models=(replace(RUN.models[0], unpriced=3),)))
    refused = client.post("/evaluations/r1/resume/", json={"budget_usd": 7})
    assert refused.status_code == 409
    assert "nobody knows what 3 of its results cost" in refused.json()["detail"]
    assert client.post("/evaluations/r1/resume/").status_code == 200


async def test_progress_is_streamed_until_the_end() -> None:
    ended = replace(RUN, state="completed", finished=6)
    seen = iter([RUN, replace(RUN, finished=4), replace(RUN, finished=4), None, ended])
    events = [event async for event in progress_events(lambda: next(seen), RUN, 0.0)]
    told = [(event.event, orjson.loads(event.data or "")["finished"]) for event in events]
    assert told == [("progress", 3), ("progress", 4), ("end", 6)]


def test_the_stream_is_server_sent_events(api: Api, client: TestClient) -> None:
    api.runs.put(replace(RUN, state="failed", reason="no money"))
    headers = {"Accept": "text/event-stream"}
    answer = client.get("/evaluations/r1/progress/", headers=headers)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text.startswith("event: end\r\ndata: {")
    assert "no money" in answer.text


def test_a_run_is_steered(api: Api, client: TestClient) -> None:
    assert client.post("/evaluations/r1/pause/").json()["state"] == "paused"
    api.forward(seconds=1)
    resumed = client.post("/evaluations/r1/resume/", json={"budget_usd": 7})
    assert (resumed.json()["state"], resumed.json()["spec"]["budget_usd"]) == ("queued", 7)
    assert client.post("/evaluations/r1/cancel/").json()["state"] == "cancelling"
    refused = client.post("/evaluations/r1/retry/")
    assert refused.status_code == 409
    assert refused.json()["type"].endswith("wrong-state")
    with_budget = client.post("/evaluations/r1/cancel/", json={"budget_usd": 1})
    assert with_budget.status_code == 422
    assert client.post("/evaluations/nope/cancel/").status_code == 404
    assert client.post("/evaluations/r1/explode/").status_code == 404


def test_nobody_sees_or_steers_the_runs_of_others(api: Api) -> None:
    stranger = api.client("admin", "globex")
    for path in ("", "progress/", "results/", "cases/"):
        assert stranger.get(f"/evaluations/r1/{path}").status_code == 404
        named = stranger.get(f"/evaluations/r1/{path}", params={"org_id": "acme"})
        assert named.status_code == 404
    assert stranger.post("/evaluations/r1/cancel/").status_code == 404
    assert stranger.get("/evaluations/").json()["items"] == []
    viewer = api.client("viewer")
    assert viewer.post("/evaluations/r1/cancel/").status_code == 403
    assert viewer.post("/evaluations/", json=BODY).status_code == 403
    assert viewer.get("/evaluations/r1/").status_code == 200
    assert api.runs.kept["r1"] == RUN


def test_results_of_a_run_without_any_yet(client: TestClient) -> None:
    told = client.get("/evaluations/r1/results/").json()
    assert (told["stored"], told["run"]["finished"]) == (0, 3)
    assert told["models"][0]["totals"] is None
    assert client.get("/evaluations/r1/cases/", params={"order": "worst"}).json()["items"] == []
    assert client.get("/evaluations/r1/cases/", params={"order": "best"}).status_code == 422


def test_a_clickhouse_that_is_away_is_told() -> None:
    api = Api(DATASET, SUITE, model("small"))
    api.runs.put(RUN)
    answer = api.client("viewer").get("/evaluations/r1/results/")
    assert answer.status_code == 503
    assert "retry-after" in answer.headers
