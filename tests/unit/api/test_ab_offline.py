"""An offline A/B test over the API: its run, and results that come from the run's cases."""

from dataclasses import replace
from typing import Any

import pytest
from fastapi.testclient import TestClient

from agents import ab_results
from api.routes import ab_tests
from schemas.evaluations import RunModel, RunSpec
from schemas.records import AbVerdict
from sinks import ab_history
from tests.support.api import Api, EmptyClickHouse
from tests.support.runs import DATASET, SUITE, model

ONE = "/ab-tests/cases/"
TEST: dict[str, Any] = {
    "ab_test_id": "cases",
    "capability": "chat",
    "unit": "case",
    "arms": [{"arm": "old", "model_id": "small"}, {"arm": "new", "model_id": "big"}],
    "baseline": "old",
    "metrics": [{"metric": "quality", "role": "primary", "direction": "higher", "margin": 0.05}],
    "status": "draft",
    "mode": "offline",
    "suite_id": "sums",
}


@pytest.fixture
def api() -> Api:
    return Api(DATASET, SUITE, model("small"), model("big"), clickhouse=EmptyClickHouse)


@pytest.fixture
def client(api: Api) -> TestClient:
    found = api.client("editor")
    assert found.post("/ab-tests/", json=TEST).status_code == 201
    return found


def test_starting_it_starts_one_run_of_all_arms(api: Api, client: TestClient) -> None:
    answer = client.post(f"{ONE}start/")
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert said["status"] == "running"
    (run,) = api.runs.kept.values()
    assert said["run_id"] == run.run_id
    models = (RunModel("small", "1", "old"), RunModel("big", "1", "new"))
    assert run.spec == RunSpec("sums", "1", models, ab_test_id="cases")
    assert run.requested_by.startswith("key:")
    assert client.post(f"{ONE}start/").json()["run_id"] == run.run_id
    assert len(api.runs.kept) == 1
    found = client.get(f"{ONE}results/").json()
    assert (found["run_id"], found["run_state"]) == (run.run_id, "queued")
    assert "no cases of the test have been judged yet" in found["why_none"]


def test_the_run_pauses_resumes_and_ends_with_the_test(api: Api, client: TestClient) -> None:
    run_id = client.post(f"{ONE}start/").json()["run_id"]
    for step, states in (
        ("pause", {"paused"}),
        ("resume", {"queued", "planning", "running"}),
        ("stop", {"cancelling", "cancelled"}),
    ):
        answer = client.post(f"{ONE}{step}/")
        assert (answer.status_code, answer.json()["run_id"]) == (200, run_id), answer.text
        assert api.runs.kept[run_id].state in states
    assert client.post(f"{ONE}archive/").status_code == 200


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"suite_id": None}, "suite_id"),
        ({"suite_id": "none"}, "suite_id"),
        ({"suite_version": "9"}, "suite_id"),
        ({"arms": [TEST["arms"][0], {"arm": "new", "model_id": "none"}]}, "arms[1].model_id"),
        ({"arms": [TEST["arms"][0], {"arm": "new", "model_id": "small"}]}, "arms[1]"),
    ],
)
def test_what_cannot_run_stays_a_draft_and_the_field_is_named(
    api: Api, client: TestClient, change: dict[str, Any], field: str
) -> None:
    wrong = {**TEST, "ab_test_id": "wrong", **change}
    assert client.post("/ab-tests/", json=wrong).status_code == 201
    answer = client.post("/ab-tests/wrong/start/")
    assert answer.status_code == 422, answer.text
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert client.get("/ab-tests/wrong/").json()["status"] == "draft"
    assert not api.runs.kept


def test_who_may_not_write_starts_no_run(api: Api, client: TestClient) -> None:
    assert api.client("viewer").post(f"{ONE}start/").status_code == 403
    assert client.post(f"{ONE}start/", headers={"If-Match": '"9"'}).status_code == 412
    assert client.post(f"{ONE}pause/").status_code == 409
    assert not api.runs.kept


def test_results_are_paired_over_the_cases_of_its_run(
    api: Api, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = client.post(f"{ONE}start/").json()["run_id"]
    first = api.runs.kept[run_id]
    asked: list[str] = []

    def values(*question: Any) -> dict[str, dict[str, float]]:
        asked.append(question[-1])
        old = {f"c{i}": 0.5 + 0.01 * (i % 7) for i in range(200)}
        return {"old": old, "new": {c: v + 0.2 + 0.001 * len(c) for c, v in old.items()}}

    monkeypatch.setattr(ab_results, "case_values", values)
    # A run for one arm alone, though newer, is not the test's.
    alone = replace(first.spec, models=first.spec.models[:1])
    api.runs.put(replace(first, run_id="zz", spec=alone))
    said = client.get(f"{ONE}results/").json()
    verdict = said["verdict"]
    assert set(asked) == {run_id}
    (comparison,) = verdict["comparisons"]
    assert "paired t over 200 cases" in comparison["note"]
    assert (verdict["recommendation"], verdict["winner"]) == ("ship", "new")
    (tests,) = said["paired"]
    assert (tests["metric"], tests["arm"], tests["baseline"]) == ("quality", "new", "old")
    assert (tests["cases"], tests["left_out"]) == (200, 0)
    assert tests["difference"] == pytest.approx(comparison["difference"])
    assert tests["anytime_lower"] == comparison["anytime_lower"] > 0.2
    assert tests["signed_rank_p_value"] < 1e-9
    assert (tests["mcnemar_p_value"], tests["only_arm"]) == (None, None)
    assert said["periods"] is None


def test_what_a_person_decided_stays_whatever_the_cases_say(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[AbVerdict] = []
    monkeypatch.setattr(ab_tests, "publish", lambda _, __, verdict: sent.append(verdict))
    monkeypatch.setattr(ab_history, "newest", lambda *_: sent[-1] if sent else None)
    monkeypatch.setattr(ab_history, "decided", lambda *_: sent[-1] if sent else None)
    old = {f"c{i}": 0.5 + 0.01 * (i % 7) for i in range(200)}
    cases = {"old": old, "new": {c: v + 0.2 + 0.001 * len(c) for c, v in old.items()}}
    monkeypatch.setattr(ab_results, "case_values", lambda *_: cases)
    client.post(f"{ONE}start/")
    body = {"winner": "old", "reason": "new is too slow for us"}
    assert client.post(f"{ONE}decide/", json=body).status_code == 200
    verdict = client.get(f"{ONE}results/").json()["verdict"]
    assert (verdict["winner"], verdict["recommendation"]) == ("old", "roll_back")
    assert verdict["decided_by"].startswith("key:")
    assert verdict["comparisons"][0]["verdict"] == "better", "numbers go on"
    assert client.post(f"{ONE}decide/", json=body).status_code == 409
