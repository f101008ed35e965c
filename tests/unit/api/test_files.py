"""The registry as a file: out and in again, and files that are none."""

from typing import Any

import orjson
import pytest
from fastapi.testclient import TestClient

from api.examples import EXAMPLES
from schemas.entities import User
from tests.support.api import Api
from tests.support.datasets import facts, questions
from tests.support.entities import FULL, MODEL

YAML = {"Content-Type": "application/yaml"}


def put(client: TestClient, text: str | bytes, **more: Any) -> Any:
    return client.post("/registry/import/", content=text, headers=YAML, **more)


def test_what_is_exported_can_be_imported_and_changes_nothing() -> None:
    api = Api(*(e for e in FULL if e.kind in ("model", "policy", "ab_test")))
    editor = api.client("editor", "acme")
    assert editor.get("/registry/export/").text.count("model_id: small") == 1, "MODEL is private"
    admin = api.client("admin")
    for form in ("yaml", "json"):
        text = admin.get("/registry/export/", params={"format": form}).text
        assert "secret_sha256" not in text
        done = put(admin, text).json()
        assert {item["outcome"] for item in done["items"]} == {"unchanged"}
    as_json = admin.get("/registry/export/", headers={"Accept": "application/json"})
    assert as_json.json().keys() == {"models", "ab_tests", "policies"}
    changed = admin.get("/registry/export/").text.replace("name: Small", "name: Large")
    dry = put(admin, changed, params={"dry_run": True}).json()
    assert [i["outcome"] for i in dry["items"] if i["key"] == MODEL.key] == ["updated"]
    assert len(api.memory.sent) == 0


def test_everything_takes_effect_or_nothing() -> None:
    api = Api()
    editor = api.client("editor")
    good = {"org_id": "acme", "capability": "chat"}
    assert put(editor, orjson.dumps({"policies": [good]})).json()["items"] == [
        {"key": "acme/policy/chat", "outcome": "created", "version": 1}
    ]
    user = {"org_id": "acme", "user_id": "ann", "role": "admin"}
    two = orjson.dumps({"policies": [{**good, "capability": "code"}], "users": [user]})
    assert put(editor, two).status_code == 403
    foreign = orjson.dumps({"policies": [{**good, "org_id": "beta"}]})
    assert put(editor, foreign).status_code == 404
    operator = orjson.dumps({"users": [{**user, "org_id": "*", "role": "operator"}]})
    assert put(api.client("admin"), operator).status_code == 404
    assert list(api.memory.snapshot().shelf("policy")) == ["acme/policy/chat"]
    assert not api.memory.snapshot().shelf(User.kind)


def test_a_suite_whose_scorers_cannot_work_is_told_with_its_line() -> None:
    editor = Api(facts(questions(3))).client("editor")
    suite = {**EXAMPLES["suite"], "org_id": "acme", "dataset_id": "facts", "dataset_version": "1"}
    suite["prompt"] = [{"role": "user", "content": "{question}"}]
    suite["scorers"] = [{"scorer": "f1", "options": '{"reference": "gold"}'}]
    refused = put(editor, orjson.dumps({"suites": [suite]}, option=orjson.OPT_INDENT_2))
    assert refused.status_code == 422
    assert "no field 'gold'" in refused.text
    assert "suites[0].scorers[0].options" in refused.text
    suite["scorers"] = [{"scorer": "f1"}]
    assert put(editor, orjson.dumps({"suites": [suite]})).status_code == 200


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (b"", 422),
        (b"models: [", 422),
        (b"\xff\xfe\x00", 400),
        (b"[" * 1500, 422),
        (b"{" * 20_000, 422),
        (b"models:\n- org_id: acme\n  retires_at: 2026-13-45\n", 422),
        (b"models:\n- org_id: !!bool x\n", 422),
        (
            b"a: &a [x,x,x,x,x,x,x,x,x]\n"
            + b"".join(
                b"%c: &%c [%s]\n" % (n, n, b",".join([b"*%c" % (n - 1)] * 9))
                for n in range(ord("b"), ord("k"))
            ),
            422,
        ),
        (b"x" * (513 * 1024), 413),
    ],
)
def test_what_is_no_registry_file_is_refused(text: bytes, status: int) -> None:
    answer = put(Api().client("editor"), text)
    assert answer.status_code == status, answer.text
    assert answer.json()["detail"]


def test_mistakes_are_told_with_their_lines() -> None:
    answer = put(Api().client("editor"), "policies:\n- org_id: acme\n  capabilty: chat\n")
    assert {
        "field": "policies[0].capabilty",
        "text": "line 3: is not a field; did you mean capability?",
    } in answer.json()["errors"]
