"""What every kind of entity has in common: create, read, replace, change, delete, restore."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from api.examples import EXAMPLES
from tests.support.api import Api

POLICY: dict[str, Any] = {"capability": "chat", "min_samples": 7}
TEST = dict(EXAMPLES["ab_test"])


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def client(api: Api) -> TestClient:
    return api.client("editor")


def problem(answer: Any, status: int) -> Any:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.json()


def test_an_entity_lives_and_dies_and_comes_back(client: TestClient) -> None:
    made = client.post("/ab-tests/", json=TEST)
    assert made.status_code == 201, made.text
    shown = made.json()
    assert shown["org_id"] == "acme"
    assert shown["meta"]["version"] == 1
    assert shown["meta"]["author"].startswith("key:")
    one = "/ab-tests/small-2026-11/"
    assert client.get(one).json() == shown
    shown["status"] = "running"
    replaced = client.put(one, json=shown)
    assert (replaced.status_code, replaced.json()["meta"]["version"]) == (200, 2)
    changed = client.patch(one, json={"status": "paused"})
    assert (changed.json()["status"], changed.json()["meta"]["version"]) == ("paused", 3)
    assert client.delete(one).status_code == 204
    problem(client.get(one), 404)
    gone = client.get("/ab-tests/", params={"deleted": True}).json()["items"]
    assert [item["meta"]["deleted"] for item in gone] == [True]
    assert client.post(f"{one}restore/").json()["meta"]["version"] == 5
    assert client.get(one).json()["status"] == "paused"


def test_wrong_fields_are_named(client: TestClient) -> None:
    said = problem(client.post("/ab-tests/", json={**TEST, "alpah": 1, "arms": [{"arm": 1}]}), 422)
    fields = {e["field"]: e["text"] for e in said["errors"]}
    assert fields["alpah"] == "is not a field"
    assert "arms[0].model_id" in fields
    said = problem(client.post("/ab-tests/", json={**TEST, "baseline": "x"}), 422)
    assert said["errors"][0]["field"] == "baseline"
    said = problem(client.patch("/policies/chat/", json={"x": 1}), 404)
    client.post("/policies/", json=POLICY)
    said = problem(client.patch("/policies/chat/", json={"min_samples": 0}), 422)
    assert said["errors"] == [
        {"field": "min_samples", "text": "input should be greater than or equal to 1"}
    ]
    assert problem(client.get("/policies/", params={"min_smaples": 1}), 422)["errors"] == [
        {"field": "min_smaples", "text": "is not a field"}
    ]
    said = problem(client.post("/policies/", content=b"{", headers=JSON), 400)
    assert "not JSON" in said["detail"]


JSON = {"Content-Type": "application/json"}


def test_a_name_with_slashes_and_one_with_signs_are_addresses(client: TestClient) -> None:
    for name, address in (("code/python", "code/python"), ("a b?#%é", "a%20b%3F%23%25%C3%A9")):
        client.post("/policies/", json={"capability": name})
        assert client.get(f"/policies/{address}/").json()["capability"] == name
        assert client.get(f"/policies/{address}").json()["capability"] == name
        shown = client.get(f"/policies/{address}/").json()
        assert client.put(f"/policies/{address}/", json=shown).status_code == 200
        assert client.patch(f"/policies/{address}/", json={"min_samples": 9}).status_code == 200


def test_of_two_that_saw_the_same_version_the_second_is_told(client: TestClient) -> None:
    made = client.post("/policies/", json=POLICY)
    seen = {"If-Match": made.headers["etag"]}
    assert client.patch("/policies/chat/", json={"min_samples": 8}, headers=seen).status_code == 200
    said = problem(client.patch("/policies/chat/", json={"min_samples": 9}, headers=seen), 412)
    assert said["current_version"] == 2
    assert problem(client.post("/policies/", json=POLICY), 409)["current_version"] == 2
    plain = {"If-Match": '"2"'}
    assert client.delete("/policies/chat/", headers=plain).status_code == 204
    problem(client.put("/policies/chat/", json=POLICY, headers={"If-Match": "*"}), 412)
    assert client.put("/policies/chat/", json=POLICY).status_code == 201
    problem(client.put("/policies/chat/", json=POLICY, headers={"If-None-Match": "*"}), 412)
    said = problem(client.put("/policies/chat/", json=POLICY, headers={"If-Match": "4"}), 422)
    assert said["errors"][0]["field"] == "if-match"


def test_the_mark_of_another_entity_does_not_match(client: TestClient) -> None:
    tag = client.post("/policies/", json=POLICY).headers["etag"]
    client.post("/policies/", json={"capability": "other"})
    problem(client.delete("/policies/other/", headers={"If-Match": tag}), 412)


def test_a_request_sent_again_takes_effect_once(api: Api, client: TestClient) -> None:
    once = {"Idempotency-Key": "k1"}
    first = client.post("/policies/", json=POLICY, headers=once)
    assert first.status_code == 201
    again = client.post("/policies/", json=POLICY, headers=once)
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["idempotent-replay"] == "true"
    said = problem(client.post("/policies/", json={**POLICY, "min_samples": 9}, headers=once), 422)
    assert said["type"].endswith("idempotency-key-reused")
    problem(client.post("/policies/", json={"capability": "other"}, headers=once), 422)
    twice = {"Idempotency-Key": "k2"}
    change = {"min_samples": 11}
    for _ in range(2):
        assert (
            client.patch("/policies/chat/", json=change, headers=twice).json()["meta"]["version"]
            == 2
        )
    gone = {"Idempotency-Key": "k3"}
    assert [client.delete("/policies/chat/", headers=gone).status_code for _ in "12"] == [204, 204]
    other = api.client("editor")
    assert other.post("/policies/", json=POLICY, headers=once).status_code == 201


def test_another_process_knows_a_request_that_was_sent_before(api: Api, client: TestClient) -> None:
    once = {"Idempotency-Key": "k1"}
    client.post("/policies/", json=POLICY, headers=once)
    second = Api()
    second.memory.registry = api.memory.registry
    there = second.client()
    there.headers["Authorization"] = client.headers["Authorization"]
    again = there.post("/policies/", json=POLICY, headers=once)
    assert again.headers["idempotent-replay"] == "true"
    problem(there.post("/policies/", json={**POLICY, "min_samples": 9}, headers=once), 422)


def test_when_kafka_is_away_nothing_is_half_done(api: Api, client: TestClient) -> None:
    api.memory.away = True
    answer = client.post("/policies/", json=POLICY, headers={"Idempotency-Key": "k"})
    problem(answer, 503)
    assert int(answer.headers["retry-after"]) >= 1
    assert client.get("/policies/").json() == {"items": [], "next_cursor": None}
    api.memory.away = False
    assert (
        client.post("/policies/", json=POLICY, headers={"Idempotency-Key": "k"}).status_code == 201
    )


def test_pages_follow_each_other_and_know_their_list(client: TestClient) -> None:
    for i in range(7):
        client.post("/policies/", json={"capability": f"c{i}", "min_samples": 1 + i % 2})
    for order in ("key", "-key", "-min_samples", "accepted_at"):
        seen: list[str] = []
        cursor = None
        while True:
            params = {"limit": 3, "order": order} | ({"cursor": cursor} if cursor else {})
            found = client.get("/policies/", params=params).json()
            seen += [item["capability"] for item in found["items"]]
            cursor = found["next_cursor"]
            if cursor is None:
                break
        assert sorted(seen) == [f"c{i}" for i in range(7)]
        if order == "-key":
            assert seen == sorted(seen, reverse=True)
    first = client.get("/policies/", params={"limit": 3}).json()["next_cursor"]
    for params in (
        {"cursor": first, "order": "-key"},
        {"cursor": first, "q": "c"},
        {"cursor": "nonsense"},
        {"cursor": "W10"},
    ):
        assert (
            problem(client.get("/policies/", params=params), 422)["errors"][0]["field"] == "cursor"
        )
    problem(client.get("/ab-tests/", params={"cursor": first}), 422)


def test_filters_and_search(client: TestClient) -> None:
    client.post("/ab-tests/", json=TEST)
    client.post("/ab-tests/", json={**TEST, "ab_test_id": "Other", "status": "running"})
    for params, names in (
        ({"status": "running"}, ["Other"]),
        ({"q": "OTHER"}, ["Other"]),
        ({"capability": "chat", "status": "draft"}, ["small-2026-11"]),
        ({"capability": "none"}, []),
    ):
        found = client.get("/ab-tests/", params=params).json()["items"]
        assert [item["ab_test_id"] for item in found] == names


def test_roles_may_what_they_may(api: Api) -> None:
    viewer, editor, admin = (api.client(r) for r in ("viewer", "editor", "admin"))
    problem(viewer.post("/policies/", json=POLICY), 403)
    user = {"user_id": "ann", "role": "admin"}
    problem(editor.post("/users/", json=user), 403)
    assert admin.post("/users/", json=user).status_code == 201
    problem(admin.post("/users/", json={"user_id": "bob", "role": "operator"}), 403)
    problem(viewer.get("/users/ann/"), 404)
    assert admin.put("/organisations/acme/", json={"name": "Acme"}).status_code == 201
    assert viewer.get("/organisations/acme/").json()["name"] == "Acme"


def test_an_operator_says_which_organisation(api: Api) -> None:
    operator = api.client("operator")
    assert problem(operator.get("/policies/chat/"), 422)["errors"][0]["field"] == "org_id"
    assert operator.post("/policies/", json={**POLICY, "org_id": "beta"}).status_code == 201
    one = "/policies/chat/"
    assert operator.get(one, params={"org_id": "beta"}).json()["org_id"] == "beta"
    assert operator.delete(one, params={"org_id": "beta"}).status_code == 204
    stranger = api.client("admin", "acme")
    problem(stranger.get(one, params={"org_id": "beta"}), 404)
    problem(stranger.put(one, json=POLICY, params={"org_id": "beta"}), 404)
    problem(stranger.put("/organisations/beta/", json={}), 404)


def test_changes_at_once_without_a_condition_all_take_effect(api: Api, client: TestClient) -> None:
    """Somebody else is faster between our look and our command."""
    client.post("/policies/", json=POLICY)
    submit = api.memory.submit
    raced: list[int] = []

    def slow(changes: Any, *rest: Any, **more: Any) -> Any:
        if not raced:
            raced.append(1)
            client.patch("/policies/chat/", json={"min_dwell_s": 9})
        return submit(changes, *rest, **more)

    api.memory.submit = slow  # type: ignore[method-assign]
    found = client.patch("/policies/chat/", json={"min_samples": 10}).json()
    assert (found["min_samples"], found["min_dwell_s"], found["meta"]["version"]) == (10, 9, 3)
