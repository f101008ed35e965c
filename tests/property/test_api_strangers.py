"""Every route of the API, found by walking the app: a stranger gets nothing out of it.

Routes that are added later are walked too; nothing here names an endpoint.
"""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient

from agents.access.keys import KeyWish, new_key
from agents.evaluation.datasets import publish
from api.app import PREFIX
from schemas.entities import Model
from tests.support.api import Api, EmptyClickHouse, endpoints
from tests.support.commands import NOW
from tests.support.entities import FULL

OPEN = {"/openapi.json", "/docs", "/docs/oauth2-redirect", "/static-offline-docs"}
"""What tells nothing about anybody: the documentation."""
SECRET = "acme"
"""Stands in everything that belongs to the organisation."""
WORDS = {"org_id": "acme", "model_id": "small", "model_version": "1", "alias": "champion"}
ANYTHING: Mapping[str, Any] = {
    **WORDS,
    "key": "acme/model/small/1",
    "capability": "chat",
    "ab_test_id": "sizes",
    "user_id": "ann",
    "with": "small",
    "metric": "quality",
    "before": "1",
    "after": "1",
}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes to a broker waits for one, and there is none."""
    monkeypatch.setattr(publish, "KAFKA_TIMEOUT_S", 0.1)


@pytest.fixture(scope="module")
def api() -> Api:
    """Holds one of everything, all of it acme's, and a public model of beta's."""
    found = Api(clickhouse=EmptyClickHouse)
    known = [e for e in FULL if e.kind not in ("organisation", "api_key", "key_use")]
    found.put(*known, Model("beta", "open", "1", "us", ("chat",)))
    return found


def walked(api: Api) -> list[tuple[str, str]]:
    found = [(m, p) for m, p in endpoints(api.app) if p not in OPEN]
    assert len(found) > 50
    assert all(path.startswith(PREFIX) for _, path in found)
    return found


def address(path: str) -> str:
    ids = {**ANYTHING, "key_id": "abcdefghijkl"}
    return re.sub(r"\{(\w+)(:path)?\}", lambda m: str(ids.get(m[1], "small")), path)


def ask(client: TestClient, method: str, path: str, params: Mapping[str, Any]) -> Any:
    body: dict[str, Any] | None = {} if method in ("POST", "PUT", "PATCH") else None
    return client.request(method, address(path), params=params, json=body)


def state(api: Api) -> Any:
    return {key: fact.version for key, fact in _facts(api) if "/key" not in key}


def _facts(api: Api) -> Any:
    snapshot = api.memory.snapshot()
    return [(k, f) for shelf in snapshot.live.values() for k, f in shelf.items()]


def test_without_a_valid_key_every_endpoint_is_closed(api: Api) -> None:
    expired = new_key(KeyWish("acme", "admin", expires_at=NOW - timedelta(days=1)), NOW)
    api.add(expired.entity)
    unknown = new_key(KeyWish("acme", "admin"), NOW)
    root = TestClient(api.app)
    before = state(api)
    for token in (None, expired.token, unknown.token, "rheo_", "a.b.c"):
        root.headers.clear()
        if token is not None:
            root.headers["Authorization"] = f"Bearer {token}"
        for method, path in walked(api):
            for params in ({}, ANYTHING):
                answer = ask(root, method, path, params)
                assert answer.status_code == 401, (method, path, answer.text)
                assert answer.headers["content-type"] == "application/problem+json"
                assert SECRET not in answer.text
    assert state(api) == before


@pytest.mark.parametrize("role", ["viewer", "editor", "admin"])
@pytest.mark.parametrize("named", [False, True])
def test_a_key_of_another_organisation_sees_and_changes_nothing(
    api: Api, role: Any, named: bool
) -> None:
    """Whether or not the request names the organisation that it is after."""
    stranger = TestClient(api.app, headers={"X-API-Key": api.key(role, "beta").token})
    before = {k: v for k, v in state(api).items() if k.startswith("acme/")}
    for method, path in walked(api):
        if "event" in path or "stream" in path:
            continue  # an endless answer; its first bytes are tested where it is written
        for params in ({}, {"org_id": "acme"}, ANYTHING) if named else ({},):
            answer = ask(stranger, method, path, params)
            shown = answer.text
            asked = (method, path, params, answer.status_code, shown)
            if answer.status_code < 400:
                assert SECRET not in shown, asked
            assert f"{SECRET}-author" not in shown, asked
            assert "ann@acme.example" not in shown, asked
    assert {k: v for k, v in state(api).items() if k.startswith("acme/")} == before


def test_a_viewer_changes_nothing(api: Api) -> None:
    viewer = TestClient(api.app, headers={"X-API-Key": api.key("viewer").token})
    before = state(api)
    for method, path in walked(api):
        if method not in ("GET", "HEAD"):
            for params in ({}, ANYTHING):
                ask(viewer, method, path, params)
    assert state(api) == before


def test_a_route_that_asks_nobody_is_walked_and_closed_all_the_same() -> None:
    """The walk finds what the app answers, not what a list says; the door stands before routes."""
    other = Api()

    @other.app.get(f"{PREFIX}/open/")
    async def leak() -> str:
        return SECRET

    assert ("GET", f"{PREFIX}/open/") in walked(other)
    assert ask(TestClient(other.app), "GET", f"{PREFIX}/open/", {}).status_code == 401
