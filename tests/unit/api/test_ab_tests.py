"""The life of an A/B test over the API, and what is shown of its verdicts."""

import csv
import io
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient

from api.ab_decisions import DecisionBody, decision
from api.ab_results import exported
from api.examples import EXAMPLES
from api.routes import ab_tests
from schemas.records import AbVerdict
from sinks import ab_history
from tests.support.api import Api, EmptyClickHouse
from tests.support.trials import TEST as TRIAL
from tests.support.verdicts import verdict

TEST: dict[str, Any] = {**EXAMPLES["ab_test"], "status": "draft"}
ONE = "/ab-tests/small-2026-11/"


@pytest.fixture
def api() -> Api:
    return Api(clickhouse=EmptyClickHouse)


@pytest.fixture
def client(api: Api) -> TestClient:
    found = api.client("editor")
    assert found.post("/ab-tests/", json=TEST).status_code == 201
    return found


def test_a_test_lives_from_draft_to_archive(client: TestClient) -> None:
    for move, status in (
        ("start", "running"),
        ("pause", "paused"),
        ("resume", "running"),
        ("stop", "stopped"),
        ("archive", "archived"),
    ):
        answer = client.post(f"{ONE}{move}/")
        assert (answer.status_code, answer.json()["status"]) == (200, status), answer.text
        assert client.get(ONE).json()["status"] == status


def test_a_step_that_does_not_follow_is_told(client: TestClient) -> None:
    answer = client.post(f"{ONE}pause/")
    assert answer.status_code == 409
    said = answer.json()
    assert said["type"].endswith("wrong-status")
    assert said["detail"] == "the test is draft; to pause it, it must be running"
    assert said["status_now"] == "draft"
    assert client.post("/ab-tests/none/start/").status_code == 404
    assert client.post(f"{ONE}start/", headers={"If-Match": '"9"'}).status_code == 412


def test_a_step_taken_twice_is_no_mistake(client: TestClient) -> None:
    assert client.post(f"{ONE}start/").status_code == 200
    assert client.post(f"{ONE}start/").json()["status"] == "running"


def test_without_a_verdict_there_are_no_results_and_the_answer_says_why(client: TestClient) -> None:
    found = client.get(f"{ONE}results/").json()
    assert found["verdict"] is None
    assert "no calls of the test have been judged yet" in found["why_none"]
    assert client.get(f"{ONE}plan/").status_code == 404
    wrong = client.get(f"{ONE}timeline/", params={"metric": "weather"})
    assert wrong.status_code == 422
    assert "does not compare weather" in wrong.json()["detail"]
    assert client.get(f"{ONE}export/").text.count("\r\n") == 1


def test_results_timeline_and_plan_show_verdicts(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = [_of_the_test(n) for n in (100, 2000)]
    monkeypatch.setattr(ab_history, "newest", lambda *_: known[-1])
    monkeypatch.setattr(ab_history, "timeline", lambda *_: known)
    found = client.get(f"{ONE}results/").json()
    assert found["verdict"]["recommendation"] == "keep_going"
    assert found["verdict"]["comparisons"][0]["metric"] == "quality"
    shown = client.get(f"{ONE}timeline/").json()
    assert shown["metric"] == "quality"
    planned = client.get(f"{ONE}plan/").json()
    assert planned["plans"][0]["metric"] == "quality"
    assert planned["plans"][0]["n"] == 2000


def _of_the_test(events: int) -> AbVerdict:
    made = verdict(events)
    return replace(
        made,
        ab_test_id="small-2026-11",
        org_id="acme",
        started_at=made.as_of - timedelta(hours=1),
        comparisons=made.comparisons[:1],
    )


def test_csv_has_a_row_for_every_comparison_and_no_formulas() -> None:
    made = verdict(500)
    bad = replace(made.comparisons[0], note="=1+1", anytime_lower=None)
    rows = list(csv.DictReader(io.StringIO(exported([replace(made, comparisons=(bad,)), made]))))
    assert len(rows) == 1 + len(made.comparisons)
    assert rows[0]["note"] == "'=1+1"
    assert rows[0]["anytime_lower"] == ""
    assert float(rows[1]["difference"]) == made.comparisons[0].difference
    assert {row["recommendation"] for row in rows} == {"keep_going"}


def test_a_person_decides_with_a_reason_and_once(
    client: TestClient, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[AbVerdict] = []
    monkeypatch.setattr(ab_tests, "publish", lambda _, __, verdict: sent.append(verdict))
    monkeypatch.setattr(ab_history, "newest", lambda *_: sent[-1] if sent else None)
    monkeypatch.setattr(ab_history, "decided", lambda *_: sent[-1] if sent else None)
    client.post(f"{ONE}start/")
    arm = TEST["arms"][1]["arm"]
    assert client.post(f"{ONE}decide/", json={"winner": arm}).status_code == 422
    wrong = client.post(f"{ONE}decide/", json={"winner": "nobody", "reason": "x"})
    assert wrong.status_code == 422
    assert "has no arm nobody" in wrong.json()["detail"]
    viewer = api.client("viewer")
    body = {"winner": arm, "reason": "users like it"}
    assert viewer.post(f"{ONE}decide/", json=body).status_code == 403
    assert not sent
    answer = client.post(f"{ONE}decide/", json=body)
    assert answer.status_code == 200, answer.text
    (made,) = sent
    assert made.decided_by is not None
    assert made.decided_by.startswith("key:")
    assert (made.status, made.winner) == ("decided", arm)
    assert made.decision == f"{made.decided_by}: users like it"
    wanted = "roll_back" if arm == TEST["baseline"] else "ship"
    assert answer.json()["recommendation"] == made.recommendation == wanted
    assert client.get(ONE).json()["status"] == "stopped"
    again = client.post(f"{ONE}decide/", json=body)
    assert again.status_code == 409
    assert "decided already" in again.json()["detail"]


@pytest.mark.parametrize("reason", ["users like it", "users like it."])
def test_a_person_and_the_statistics_are_two_sentences(reason: str) -> None:
    known = replace(verdict(500), decision="a wins: better.")
    body = DecisionBody(winner="a", reason=reason)
    made = decision(TRIAL, known, body, "ann", known.as_of)
    assert made.decision == "ann: users like it. Before, it was decided: a wins: better."


def test_other_weights_are_checked_and_without_calls_there_is_no_estimate(
    client: TestClient,
) -> None:
    one = f"{ONE}counterfactual/"
    arms = [arm["arm"] for arm in TEST["arms"]]
    found = client.get(one).json()
    assert found["weights"] == dict.fromkeys(arms, 1 / len(arms))
    assert (found["mean"], found["calls"]) == (None, 0)
    assert "worth 0 calls only" in found["note"]
    for other in ("doubly_robust", "inverse_propensity"):
        assert found[other]["mean"] is None
        assert "worth 0 calls only" in found[other]["note"]
    assert (found["propensities_p_value"], found["why_no_p_value"]) == (
        None,
        "0 calls have no spread",
    )
    given = client.get(one, params={"weights": [f"{arms[0]}:1", f"{arms[1]}:3"]}).json()
    assert given["weights"] == {arms[0]: 0.25, arms[1]: 0.75}
    for wrong in ("nobody:1", f"{arms[0]}:-1", f"{arms[0]}:nan", f"{arms[0]}:0", arms[0]):
        assert client.get(one, params={"weights": wrong}).status_code == 422, wrong
