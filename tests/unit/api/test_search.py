"""Finding models, the tree of capabilities, and changes of many models at once."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient

from schemas.entities import CapabilityLevel, Model, ModelCapability, Price
from tests.support.api import Api
from tests.support.commands import NOW

PAST, FUTURE = NOW - timedelta(days=1), NOW + timedelta(days=1)
CODER = Model(
    "acme",
    "coder",
    "1",
    "us",
    ("code",),
    prices=(Price(PAST, 2, 8), Price(FUTURE, 1, 4)),
    context_window_tokens=128_000,
    features=("tools",),
    levels=(CapabilityLevel("code", "expert"),),
    tags=("eu",),
)
PYTHON = Model("acme", "snake", "1", "them", ("code/python",), prices=(Price(PAST, 3, 9),))
CHAT = Model("acme", "chatter", "1", "us", ("chat",), status="draft", description="Very POLITE")
WORDS = (
    ModelCapability("acme", "code"),
    ModelCapability("acme", "code/python", "code"),
)


@pytest.fixture
def api() -> Api:
    return Api(CODER, PYTHON, CHAT, *WORDS)


@pytest.fixture
def client(api: Api) -> TestClient:
    return api.client("editor")


def ids(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [item["model_id"] for item in answer.json()["items"]]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, ["coder", "snake"]),
        ({"capability": "code/python"}, ["snake", "coder"]),
        ({"capability": "code"}, ["coder"]),
        ({"capability": "code", "min_level": "expert"}, ["coder"]),
        ({"capability": "code/python", "min_level": "basic"}, ["coder"]),
        ({"capability": "code/python", "feature": "tools"}, ["coder"]),
        ({"feature": ["tools", "vision"]}, []),
        ({"min_context_tokens": 100_000}, ["coder"]),
        ({"max_input_usd_per_mtok": 2}, ["coder"]),
        ({"order": "input_price"}, ["coder", "snake"]),
        ({"order": "context"}, ["coder", "snake"]),
        ({"status": "draft"}, ["chatter"]),
        ({"status": ["draft", "active"], "q": "polite"}, ["chatter"]),
        ({"provider": "them"}, ["snake"]),
        ({"tag": "eu"}, ["coder"]),
    ],
)
def test_what_fits_is_found_the_best_first(
    client: TestClient, asked: dict[str, Any], expected: list[str]
) -> None:
    assert ids(client.get("/models/search", params=asked)) == expected


def test_what_does_not_fit_says_why(client: TestClient) -> None:
    asked: dict[str, Any] = {"capability": "code/python", "min_level": "expert", "unmatched": True}
    found = client.get("/models/search/", params=asked).json()["items"]
    first, *others = found
    assert first["match"] == {"basis": "ancestor", "declared": "code", "level": "expert"}
    assert first["price_now"]["output_usd_per_mtok"] == 8
    assert {m["model_id"]: m["reasons"] for m in others} == {
        "chatter": ["does not declare code/python nor anything above it (code)", "is draft"],
        "snake": ["declares no level for code/python; expert is asked for"],
    }


def test_a_search_has_pages(client: TestClient) -> None:
    asked: dict[str, Any] = {"limit": 1, "unmatched": True}
    seen = []
    while True:
        page = client.get("/models/search/", params=asked).json()
        seen += [m["model_id"] for m in page["items"]]
        if page["next_cursor"] is None:
            break
        asked["cursor"] = page["next_cursor"]
    assert seen == ["coder", "snake", "chatter"]


def test_the_tree_shows_who_serves_what(client: TestClient) -> None:
    found = {n["capability"]: n for n in client.get("/capability-tree/").json()["items"]}
    assert found["code/python"]["ancestors"] == ["code"]
    assert found["code/python"]["models"] == ["coder", "snake"]
    assert found["code"]["children"] == ["code/python"]
    assert found["code"]["models"] == ["coder"]


def bulk(client: TestClient, action: str, *names: str, **more: Any) -> Any:
    models = [{"model_id": name} for name in names]
    headers = more.pop("headers", {})
    body = {"action": action, "models": models, **more}
    return client.post("/models/bulk/", json=body, headers=headers)


def test_many_change_in_one_command_or_none(api: Api, client: TestClient) -> None:
    once = {"Idempotency-Key": "k"}
    for _ in range(2):
        done = bulk(client, "deprecate", "coder", "snake", retires_at=FUTURE.isoformat())
        assert done.status_code == 200
    assert len(api.memory.sent[-1].changes) == 2
    assert bulk(client, "tag", "coder", "snake", tags=["x"], headers=once).json() == (
        bulk(client, "tag", "coder", "snake", tags=["x"], headers=once).json()
    )
    assert client.get("/models/coder/").json()["tags"] == ["eu", "x"]
    assert client.get("/models/coder/").json()["meta"]["version"] == 4
    assert bulk(client, "untag", "coder", tags=["eu"]).status_code == 200
    assert bulk(client, "tag", "coder").status_code == 422
    assert bulk(client, "activate", "coder", "nobody").status_code == 404
    assert client.get("/models/coder/").json()["status"] == "deprecated"
    assert bulk(client, "activate", "coder", "coder").json()["errors"][0]["field"] == "models[1]"
    models = [{"model_id": "coder", "expected_version": 1}]
    stale = client.post("/models/bulk/", json={"action": "retire", "models": models})
    assert stale.status_code == 412
    gone = {"Idempotency-Key": "gone"}
    for _ in range(2):
        assert bulk(client, "delete", "coder", "snake", headers=gone).status_code == 200
    assert bulk(client, "restore", "coder").status_code == 200
    assert client.get("/models/coder/").json()["tags"] == ["x"]


def test_a_refusal_names_the_model(api: Api, client: TestClient) -> None:
    client.post("/models/coder/promote/", json={"model_version": "1"})
    refused = bulk(client, "delete", "snake", "coder")
    assert refused.status_code == 422
    assert "acme/model/coder/1" in refused.json()["detail"]
    assert api.client("viewer").post("/models/bulk/", json={}).status_code == 422
    assert bulk(api.client("viewer"), "retire", "snake").status_code == 403


def test_private_models_of_others_are_not_found(api: Api) -> None:
    api.add(replace(CODER, model_id="secret", visibility="private", owner="ann"))
    assert "secret" not in ids(api.client("viewer").get("/models/search/"))
    assert "secret" in ids(api.client("admin").get("/models/search/"))
