"""API keys through the API: shown once, listed without secrets, revoked for good."""

from datetime import timedelta

from schemas.entities import User
from tests.support.api import Api
from tests.support.commands import NOW


def test_a_key_is_shown_once_works_and_ends() -> None:
    api = Api()
    admin = api.client("admin")
    made = admin.post("/keys/", json={"role": "viewer", "name": "ci", "expires_in_days": 1})
    assert made.status_code == 201
    assert made.headers["cache-control"] == "no-store"
    shown = made.json()
    key_id, token = shown["key_id"], shown["token"]
    assert "secret" not in made.text.replace(token, "")
    client = api.client()
    client.headers["X-API-Key"] = token
    assert client.get("/me/").json()["role"] == "viewer"
    listed = admin.get("/keys/", params={"name": "ci"})
    assert token not in listed.text
    assert [(k["key_id"], k["state"]) for k in listed.json()["items"]] == [(key_id, "active")]
    assert client.get("/keys/").json()["items"] == [], "a viewer sees no keys"
    assert admin.delete(f"/keys/{key_id}/").status_code == 204
    assert admin.delete(f"/keys/{key_id}/").status_code == 204
    assert client.get("/me/").status_code == 401
    assert admin.get(f"/keys/{key_id}/").json()["state"] == "was revoked"
    api.forward(days=2)
    assert made.json()["expires_at"] == (NOW + timedelta(days=1)).isoformat().replace("+00:00", "Z")


def test_nobody_makes_a_key_that_may_more_than_they() -> None:
    api = Api(User("acme", "ann", "viewer"))
    admin, operator = api.client("admin"), api.client("operator")
    for role, body in (("editor", {"role": "viewer"}), ("admin", {"role": "operator"})):
        assert api.client(role).post("/keys/", json=body).status_code == 403  # type: ignore[arg-type]
    assert admin.post("/keys/", json={"role": "viewer", "org_id": "beta"}).status_code == 404
    assert admin.post("/keys/", json={"role": "viewer", "user_id": "ann"}).status_code == 201
    for wrong in (
        {"user_id": "bob"},
        {"expires_at": "2020-01-01T00:00:00Z"},
        {"expires_in_days": 1, "expires_at": "2036-01-01T00:00:00Z"},
    ):
        assert admin.post("/keys/", json={"role": "viewer", **wrong}).status_code == 422
    assert operator.post("/keys/", json={"role": "operator"}).json()["org_id"] == "*"
    assert operator.post("/keys/", json={"role": "viewer", "org_id": "beta"}).status_code == 201


def test_the_same_request_makes_one_key() -> None:
    api = Api()
    admin = api.client("admin")
    once = {"Idempotency-Key": "one"}
    made = admin.post("/keys/", json={"role": "viewer"}, headers=once)
    again = admin.post("/keys/", json={"role": "viewer"}, headers=once)
    assert again.status_code == 409
    assert again.json()["key_id"] == made.json()["key_id"]
    client = api.client()
    client.headers["X-API-Key"] = made.json()["token"]
    assert client.get("/me/").status_code == 200
