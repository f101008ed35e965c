"""Who gets in, and with what answer who does not."""

from dataclasses import replace
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient

from api.app import PREFIX
from api.config import ApiConfig
from schemas.commands import Change
from tests.support.api import Api
from tests.support.commands import NOW


def test_a_key_works_as_bearer_and_in_its_own_header() -> None:
    api = Api()
    made = api.key("editor")
    client = api.client()
    for headers in ({"Authorization": f"bearer {made.token}"}, {"X-API-Key": made.token}):
        answer = client.get("/me/", headers=headers)
        assert answer.status_code == 200
        assert answer.json() == {
            "name": f"key:{made.entity.key_id}",
            "org_id": "acme",
            "role": "editor",
            "user_id": None,
        }


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({}, "takes an API key"),
        ({"Authorization": "Basic eDp5"}, "takes an API key"),
        ({"Authorization": "Bearer rheo_no"}, "not known"),
        ({"Authorization": "Bearer a.b.c"}, "none is configured"),
        ({"X-API-Key": "rheo_abcdefghijkl_" + "A" * 43}, "not known"),
    ],
)
def test_strangers_are_told_what_it_takes(headers: dict[str, str], reason: str) -> None:
    answer = Api().client().get("/me/", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert reason in answer.json()["detail"]


def test_an_expired_and_a_revoked_key_open_nothing() -> None:
    api = Api()
    made = api.key("admin", expires_at=NOW + timedelta(hours=1))
    client = api.client()
    client.headers["X-API-Key"] = made.token
    assert client.get("/me/").status_code == 200
    api.forward(hours=1)
    assert "has expired" in client.get("/me/").json()["detail"]
    other = api.key("admin")
    revoked = replace(other.entity, revoked_at=NOW)
    api.memory.registry.send(Change("update", revoked.key, None, revoked))
    client.headers["X-API-Key"] = other.token
    answer = client.get("/me/")
    assert (answer.status_code, answer.json()["detail"]) == (401, "the API key was revoked")


def test_the_use_of_a_key_is_noted_once_in_a_while() -> None:
    api = Api()
    client = api.client("viewer")
    for _ in range(3):
        client.get("/me/")
    assert [c.action for c in api.memory.posted] == ["create"]


def test_every_error_is_a_problem() -> None:
    api = Api(config=ApiConfig(max_body_bytes=1000))
    client = api.client("editor")
    root = TestClient(api.app)
    for answer, status in (
        (root.get("/nowhere"), 404),
        (client.get("/nowhere/"), 404),
        (client.post("/me/"), 405),
        (client.post("/me/", content=b"x" * 1001), 413),
        (client.post("/me/", content=iter([b"x" * 600] * 2)), 413),
    ):
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == status
    assert client.put("/policies/").headers["allow"] == "GET, POST"
    assert client.post("/policies/chat/").headers["allow"] == "DELETE, GET, PATCH, PUT"
    assert root.get(f"{PREFIX}/me").status_code == 401, "a missing slash changes nothing"


@pytest.mark.parametrize("sent_as", [None, "application/x-www-form-urlencoded", "text/plain"])
def test_json_that_is_not_called_json_is_told_what_to_call_it(sent_as: str | None) -> None:
    client = Api().client("editor")
    headers = {} if sent_as is None else {"Content-Type": sent_as}
    answer = client.post("/policies/", content=b'{"capability": "chat"}', headers=headers)
    assert answer.status_code == 415
    assert "Content-Type: application/json" in answer.json()["detail"]


def test_who_asks_too_often_is_told_when_to_come_back() -> None:
    api = Api(config=ApiConfig(rate_per_caller="2/minute", rate_per_stranger="1/minute"))
    client, other = api.client("viewer"), api.client("viewer")
    assert [client.get("/me/").status_code for _ in range(3)] == [200, 200, 429]
    assert client.get("/me/").headers["retry-after"] == "60"
    assert other.get("/me/").status_code == 200
    stranger = api.client()
    assert [stranger.get("/me/").status_code for _ in range(2)] == [401, 429]


def test_the_documentation_needs_no_key_and_no_network() -> None:
    root = TestClient(Api().app)
    page = root.get("/docs").text
    assert "https://" not in page
    assert root.get("/static-offline-docs/swagger-ui-bundle.js").status_code == 200
    found = root.get("/openapi.json").json()
    answers = found["paths"][f"{PREFIX}/me/"]["get"]["responses"]
    assert "application/problem+json" in answers["401"]["content"]


def test_pages_of_other_hosts_may_use_it_only_when_named() -> None:
    asks = {"Origin": "https://a.example", "Access-Control-Request-Method": "GET"}
    for origins, allowed in ((), None), (("https://a.example",), "https://a.example"):
        api = Api(config=ApiConfig(cors_origins=origins))
        root = TestClient(api.app)
        preflight = root.options(f"{PREFIX}/me/", headers=asks)
        assert preflight.headers.get("access-control-allow-origin") == allowed
        refused = root.get(f"{PREFIX}/me/", headers={"Origin": "https://a.example"})
        assert refused.status_code == 401
        assert refused.headers.get("access-control-allow-origin") == allowed


def test_an_answer_that_is_kept_ends_with_what_it_rests_on() -> None:
    api = Api()
    client, other = api.client("editor"), api.client("viewer")
    client.post("/policies/", json={"capability": "chat"})
    for _ in range(2):
        assert client.get("/policies/chat/").json()["min_samples"] == 100
    client.patch("/policies/chat/", json={"min_samples": 7})
    assert client.get("/policies/chat/").json()["min_samples"] == 7
    assert other.get("/policies/chat/").json()["min_samples"] == 7
    client.delete("/policies/chat/")
    assert client.get("/policies/chat/").status_code == 404
    key_id = other.get("/me/").json()["name"].removeprefix("key:")
    assert api.client("admin").delete(f"/keys/{key_id}/").status_code == 204
    assert other.get("/policies/").status_code == 401


def test_bugs_tell_nothing_to_the_caller(capsys: pytest.CaptureFixture[str]) -> None:
    api = Api()
    client = api.client("admin")
    api.memory.submit = None  # type: ignore[assignment,method-assign]
    answer = client.post("/policies/", json={"capability": "chat"})
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "NoneType" not in answer.text
