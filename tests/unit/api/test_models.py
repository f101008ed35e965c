"""Models: versions, the one that stands for all, aliases, differences, and the end of them."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient

from api.examples import EXAMPLES
from schemas.entities import Endpoint, Model, Organisation
from tests.support.api import Api
from tests.support.commands import NOW

SMALL = Model("acme", "small", "1", "us", ("chat",))
BODY = {**EXAMPLES["model"], "status": "active"}


@pytest.fixture
def api() -> Api:
    return Api(SMALL, replace(SMALL, model_version="2", status="draft"))


@pytest.fixture
def client(api: Api) -> TestClient:
    return api.client("editor")


def versions(answer: Any) -> list[str]:
    return [item["model_version"] for item in answer.json()["items"]]


def test_a_model_is_its_champion_else_the_newest_that_serves(client: TestClient) -> None:
    assert client.get("/models/small/").json()["model_version"] == "1", "2 is a draft"
    one = "/models/small/versions/2/"
    assert client.get("/models/small/", params={"model_version": "2"}).json() == (
        client.get(one).json()
    )
    assert client.patch(one, json={"status": "active"}).status_code == 200
    assert client.get("/models/small/").json()["model_version"] == "2"
    made = client.post("/models/small/promote/", json={"model_version": "1"})
    assert made.status_code == 201
    shown = client.get("/models/small/").json()
    assert (shown["model_version"], shown["aliases"]) == ("1", ["champion"])
    moved = client.put("/models/small/aliases/champion/", json={"model_version": "2"})
    assert moved.json()["meta"]["version"] == 2
    assert client.get("/models/small/").json()["model_version"] == "2"
    assert versions(client.get("/models/")) == ["2"]
    assert versions(client.get("/models/", params={"all_versions": True})) == ["1", "2"]
    assert versions(client.get("/models/small/versions/")) == ["1", "2"]
    assert client.get("/models/other/").status_code == 404
    for below in ("versions", "aliases"):
        assert client.get(f"/models/other/{below}/").json()["detail"] == "there is no model other"


def test_without_clickhouse_what_was_measured_is_absent_with_the_reason(client: TestClient) -> None:
    found = client.get("/models/small/").json()["measured"]
    assert found["capabilities"] == []
    assert found["absent_because"] == "ClickHouse does not answer"
    away = client.get("/verdicts/")
    assert (away.status_code, away.json()["detail"]) == (503, "ClickHouse does not answer")


def test_an_answer_can_be_changed_and_sent_back(client: TestClient) -> None:
    shown = client.get("/models/small/")
    body = {**shown.json(), "tags": ["eu"]}
    sent = client.put("/models/small/", json=body, headers={"If-Match": shown.headers["etag"]})
    assert (sent.status_code, sent.json()["tags"]) == (200, ["eu"])
    contradicting = client.put("/models/large/", json=body)
    assert contradicting.json()["errors"][0]["field"] == "model_id"


def test_a_new_version_and_what_differs(client: TestClient) -> None:
    made = client.post(
        "/models/small/versions/",
        json={"model_version": "3", "provider": "us", "capabilities": ["chat", "code"]},
    )
    assert made.status_code == 201, made.text
    asked = {"before": "1", "after": "3"}
    assert client.get("/models/small/diff/", params=asked).json()["items"] == [
        {"field": "model_version", "before": "1", "after": "3"},
        {"field": "capabilities[1]", "before": None, "after": "code"},
    ]
    frozen = client.patch("/models/small/versions/3/", json={"provider": "them"})
    assert frozen.status_code == 422
    assert frozen.json()["errors"][0]["field"] == "provider"
    reserved = client.post("/models/", json={**BODY, "model_id": "search"})
    assert reserved.json()["errors"][0]["field"] == "model_id"


def test_an_unknown_style_of_an_endpoint_is_refused_with_its_field(client: TestClient) -> None:
    body = {
        **BODY,
        "model_version": "9",
        "endpoint": {"base_url": "https://m.example/v1", "api_style": "openai"},
    }
    refused = client.post("/models/", json=body)
    assert refused.status_code == 422
    [error] = refused.json()["errors"]
    assert error["field"] == "endpoint.api_style"
    assert "there are anthropic-messages, openai-chat, openai-completions" in error["text"]


def test_a_deprecation_date_retires_by_itself(api: Api, client: TestClient) -> None:
    date = (NOW + timedelta(days=1)).isoformat()
    client.patch("/models/small/", json={"retires_at": date, "status": "deprecated"})
    assert client.get("/models/small/").json()["status_now"] == "deprecated"
    assert versions(client.get("/models/", params={"status": "deprecated"})) == ["1"]
    api.forward(days=1)
    assert client.get("/models/small/", params={"model_version": "1"}).json()["status_now"] == (
        "retired"
    )
    assert versions(client.get("/models/", params={"status": "deprecated"})) == []


def test_a_whole_model_goes_and_comes_back(client: TestClient) -> None:
    client.post("/models/small/promote/", json={"model_version": "1"})
    alone = client.delete("/models/small/versions/1/")
    assert alone.status_code == 422, "an alias points there"
    once = {"Idempotency-Key": "gone"}
    seen = client.get("/models/small/").headers["etag"]
    assert client.delete("/models/small/", headers={"If-Match": '"9"'}).status_code == 412
    answers = [
        client.delete("/models/small/", headers={**once, "If-Match": seen}) for _ in range(2)
    ]
    assert [a.status_code for a in answers] == [204, 204]
    assert client.get("/models/small/").status_code == 404
    assert versions(client.get("/models/", params={"deleted": True})) == ["1", "2"]
    back = client.post("/models/small/restore/")
    assert (back.status_code, back.json()["model_version"]) == (200, "1")
    assert client.get("/models/small/aliases/champion/").json()["model_version"] == "1"
    assert client.post("/models/small/restore/").status_code == 404


def test_promotion_may_need_a_verdict(api: Api, client: TestClient) -> None:
    api.add(Organisation("acme", promotion_requires_verdict=True))
    client.post("/models/small/promote/", json={"model_version": "1"})
    client.patch("/models/small/versions/2/", json={"status": "active"})
    refused = client.post("/models/small/promote/", json={"model_version": "2"})
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "ab_test_id"


def test_public_models_of_others_are_shown_without_their_secrets_and_measurements(
    api: Api, client: TestClient
) -> None:
    endpoint = Endpoint("https://x.example", "openai-chat", "env:THEIR_KEY")
    theirs = replace(SMALL, org_id="beta", visibility="public", endpoint=endpoint)
    api.add(theirs, replace(theirs, model_id="hidden", visibility="organisation"))
    there = {"org_id": "beta"}
    answer = client.get("/models/small/", params=there)
    shown = answer.json()
    assert "THEIR_KEY" not in answer.text
    assert shown["endpoint"]["secret_ref"] is None
    assert "another organisation" in shown["measured"]["absent_because"]
    assert client.get("/models/hidden/", params=there).status_code == 404
    assert client.put("/models/small/", params=there, json=BODY).status_code == 404
    assert [m["org_id"] for m in client.get("/models/").json()["items"]] == ["acme", "beta"]
    assert client.get("/models/", params={"q": "THEIR_KEY"}).json()["items"] == []
    own = api.client("viewer", "beta").get("/models/small/").json()
    assert own["endpoint"]["secret_ref"] == "env:THEIR_KEY"
