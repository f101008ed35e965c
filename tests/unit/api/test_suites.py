"""Suites and datasets in the API: versions that never change, prompts, cases, files."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from fastapi.testclient import TestClient

from agents.evaluation.datasets.errors import PublishFailed
from api.examples import EXAMPLES
from schemas.evaluations import DatasetCase, EvaluationRun, RunModel, RunSpec
from schemas.suites import PromptMessage, ScorerUse, Suite
from tests.support.api import Api, NoClickHouse
from tests.support.commands import NOW
from tests.support.datasets import facts, questions

CASES = questions(7)
DATASET = facts(CASES)
SUITE = Suite(
    "acme",
    "quiz",
    "1",
    "chat",
    "qa",
    "facts",
    "1",
    (PromptMessage("user", "{question}"),),
    (ScorerUse("exact_match"),),
    "test",
)
FILE = "/datasets/{}/versions/{}/cases/"
LINES = b'{"id": "a", "q": 1}\n{"id": "b", "q": 2}\n'


class DatasetClickHouse(NoClickHouse):
    """Holds the cases of one dataset."""

    cases: Sequence[DatasetCase] = CASES

    def rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        given = parameters or {}
        assert given["org_id"] == "acme"
        if "uniqExact" in sql:
            return [(len(self.cases),)]
        found = self.cases[given["place"] : given["end"]]
        return [(c.case_id, c.fields, c.split, list(c.tags), c.cluster) for c in found]


class HalfClickHouse(DatasetClickHouse):
    """Has not got all of them yet."""

    cases = CASES[:3]


@pytest.fixture
def api() -> Api:
    return Api(DATASET, SUITE, clickhouse=DatasetClickHouse)


@pytest.fixture
def client(api: Api) -> TestClient:
    return api.client("editor")


def test_versions_are_added_and_never_changed(client: TestClient) -> None:
    body = {**EXAMPLES["suite"], "dataset_id": "facts", "suite_version": "2"}
    made = client.post("/suites/", json=body)
    assert made.status_code == 201, made.text
    assert made.json()["org_id"] == "acme"
    again = client.post("/suites/", json={**body, "epochs": 2})
    assert again.status_code == 409
    assert client.put("/suites/quiz/versions/2/", json=body).status_code == 405
    assert client.patch("/suites/quiz/versions/2/", json={"epochs": 2}).status_code == 405
    versions = client.get("/suites/quiz/versions/").json()["items"]
    assert [v["suite_version"] for v in versions] == ["1", "2"]
    [newest] = client.get("/suites/").json()["items"]
    assert newest["suite_version"] == "2"
    assert len(client.get("/suites/", params={"all_versions": True}).json()["items"]) == 2
    assert client.get("/suites/", params={"q": "nothing of it"}).json()["items"] == []
    assert client.get("/suites/quiz/").json()["suite_version"] == "2"
    assert client.get("/suites/quiz/", params={"version": "1"}).json()["split"] == "test"
    differs = client.get("/suites/quiz/diff/", params={"before": "1", "after": "2"}).json()
    assert {"field": "split", "before": "test", "after": None} in differs["items"]
    assert client.delete("/suites/quiz/versions/2/").status_code == 204
    assert client.get("/suites/quiz/").json()["suite_version"] == "1"
    assert client.get("/suites/nope/").status_code == 404


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"dataset_version": "9"}, "dataset_version", "import it first"),
        ({"prompt": [{"role": "user", "content": "{nope}"}]}, "prompt[0].content", "'nope'"),
        ({"prompt": [{"role": "user", "content": "{a!r}"}]}, "prompt[0].content", "no name"),
        ({"scorers": []}, "scorers", "at least 1"),
        ({"scorers": [{"scorer": "f1", "options": "x"}]}, "scorers[0].options", "match"),
        ({"scorers": [{"scorer": "nobody"}]}, "scorers[0].scorer", "no scorer 'nobody'"),
        ({"scorers": [{"scorer": "f1", "options": '{"a": 1}'}]}, "scorers[0].options", "a: "),
        (
            {"scorers": [{"scorer": "f1", "options": '{"reference": "gold"}'}]},
            "scorers[0].options",
            "no field 'gold'",
        ),
        ({"more": 1}, "more", "is not a field"),
    ],
)
def test_a_suite_that_cannot_be_is_refused_with_the_field(
    client: TestClient, change: dict[str, Any], field: str, words: str
) -> None:
    body = {**EXAMPLES["suite"], "dataset_id": "facts", "suite_version": "2", **change}
    answer = client.post("/suites/", json=body)
    assert answer.status_code == 422
    errors = answer.json()["errors"]
    assert any(e["field"] == field and words in e["text"] for e in errors), errors


def test_a_preview_renders_cases_of_the_split(client: TestClient) -> None:
    shown = client.get("/suites/quiz/preview/", params={"limit": 2, "start": 2}).json()["items"]
    assert [item["case_id"] for item in shown] == ["q2", "q4"], "q3 is in another split"
    assert shown[0]["messages"] == [{"role": "user", "content": "question 2"}]
    assert shown[0]["fields"]["answer"] == 2
    assert client.get("/suites/quiz/preview/", params={"start": 99}).json()["items"] == []
    assert client.get("/suites/quiz/preview/", params={"limit": 1000}).status_code == 422


def test_cases_come_in_pages_and_as_a_file(client: TestClient) -> None:
    first = client.get(FILE.format("facts", 1), params={"limit": 4}).json()
    assert [c["case_id"] for c in first["items"]] == ["q0", "q1", "q2", "q3"]
    more = client.get(FILE.format("facts", 1), params={"cursor": first["next_cursor"]}).json()
    assert [c["case_id"] for c in more["items"]] == ["q4", "q5", "q6"]
    assert more["next_cursor"] is None
    foreign = client.get(FILE.format("facts", 1), params={"cursor": "eyJ9"})
    assert foreign.status_code == 422
    file = client.get("/datasets/facts/versions/1/download/")
    assert file.headers["content-disposition"] == 'attachment; filename="facts-1.jsonl"'
    assert len(file.text.splitlines()) == 7
    again = client.post(
        FILE.format("facts", 1), params={"dry_run": True}, content=file.content
    ).json()
    assert (again["outcome"], again["cases"]) == ("checked", 7)


def test_half_a_dataset_is_not_handed_out() -> None:
    client = Api(DATASET, SUITE, clickhouse=HalfClickHouse).client("viewer")
    answer = client.get("/datasets/facts/versions/1/download/")
    assert answer.status_code == 503
    assert "3 of its 7 cases" in answer.json()["detail"]
    assert int(answer.headers["retry-after"]) >= 1


def test_faults_are_reported_and_nothing_is_made(client: TestClient) -> None:
    bad = LINES + b'{\n{"id": "a", "q": 3}\n\xff\n'
    answer = client.post(FILE.format("new", 1), content=bad)
    assert answer.status_code == 422
    assert "3 of 5 rows are at fault; nothing was imported" in answer.json()["detail"]
    fields = [error["field"] for error in answer.json()["errors"]]
    assert fields == ["row 3", "row 4: case_id", "row 5"]
    checked = client.post(FILE.format("new", 1), params={"dry_run": True}, content=bad).json()
    assert (checked["cases"], checked["rows_at_fault"], checked["dataset"]) == (2, 3, None)
    assert client.get("/datasets/new/").status_code == 404


@pytest.mark.parametrize(
    ("params", "content", "words"),
    [
        ({}, b"", "at least one case"),
        ({"format": "csv"}, b"", "no header line"),
        ({"format": "parquet"}, b"junk", "no Parquet"),
        ({"format": "xlsx"}, b"junk", "format"),
        ({"mapping": "nonsense"}, LINES, "is not FIELD=COLUMN"),
        ({"mapping": "question=prompt"}, LINES, "rows are at fault"),
        ({"tag": "no tag"}, LINES, "tag"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(
    client: TestClient, params: dict[str, str], content: bytes, words: str
) -> None:
    answer = client.post(FILE.format("new", 1), params=params, content=content)
    assert answer.status_code == 422
    assert words in answer.json()["detail"]


def test_a_form_may_hold_the_file(client: TestClient) -> None:
    files = {"file": ("cases.csv", io.BytesIO(b"id,q\n1,x\n"))}
    params = {"format": "csv", "dry_run": "true"}
    assert client.post(FILE.format("new", 1), params=params, files=files).json()["cases"] == 1
    other = {"other": ("cases.csv", io.BytesIO(b"id,q\n1,x\n"))}
    answer = client.post(FILE.format("new", 1), params=params, files=other)
    assert "no file under this name" in answer.json()["detail"]
    broken = {"content-type": "multipart/form-data; boundary=x"}
    answer = client.post(FILE.format("new", 1), params=params, content=b"junk", headers=broken)
    assert answer.status_code == 422


def test_a_version_never_gets_other_cases_and_the_same_are_no_change(client: TestClient) -> None:
    other = client.post(FILE.format("facts", 1), content=LINES)
    assert other.status_code == 409
    assert "import these under a new version" in other.json()["detail"]
    text = client.get("/datasets/facts/versions/1/download/").content
    same = client.post(FILE.format("facts", 1), content=text)
    assert (same.status_code, same.json()["outcome"]) == (200, "unchanged")


def test_kafka_that_is_away_is_told(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any) -> None:
        raise PublishFailed("Kafka does not answer")

    monkeypatch.setattr("agents.evaluation.datasets.create.publish", away)
    answer = client.post(FILE.format("new", 1), content=LINES)
    assert answer.status_code == 503
    assert "retry-after" in answer.headers


def test_who_may_not_write_uploads_nothing_and_others_see_nothing(api: Api) -> None:
    viewer = api.client("viewer")
    assert viewer.post(FILE.format("new", 1), content=LINES).status_code == 403
    assert viewer.get("/datasets/").json()["items"][0]["dataset_id"] == "facts"
    stranger = api.client("editor", "globex")
    params = {"org_id": "acme"}
    for path in ("/datasets/facts/", FILE.format("facts", 1), "/suites/quiz/preview/"):
        assert stranger.get(path, params=params).status_code == 404
    upload = stranger.post(FILE.format("facts", 1), params=params, content=LINES)
    assert upload.status_code == 404
    assert stranger.get("/datasets/").json()["items"] == []


def test_what_a_suite_needs_is_not_deleted(client: TestClient) -> None:
    refused = client.delete("/datasets/facts/versions/1/")
    assert refused.status_code == 422
    assert "the suite quiz 1 asks its cases" in refused.json()["detail"]
    assert client.delete("/suites/quiz/versions/1/").status_code == 204
    assert client.delete("/datasets/facts/versions/1/").status_code == 204
    assert client.post("/datasets/facts/versions/1/restore/").status_code == 200


def test_what_a_run_needs_is_not_deleted_until_it_is_over(api: Api, client: TestClient) -> None:
    spec = RunSpec("quiz", "1", (RunModel("small", "1"),))
    run = EvaluationRun("r1", "acme", "paused", spec, "me", NOW, NOW, ())
    api.runs.put(run, replace(run, run_id="r2", org_id="globex"))
    for place in ("/suites/quiz/versions/1/", "/datasets/facts/versions/1/"):
        refused = client.delete(place)
        assert refused.status_code == 422
        assert "the evaluation r1 is paused and needs it: cancel it" in refused.json()["detail"]
        assert "r2" not in refused.text
    api.runs.put(replace(run, state="cancelled"))
    for place in ("/suites/quiz/versions/1/", "/datasets/facts/versions/1/"):
        assert client.delete(place).status_code == 204


def test_who_may_not_write_loads_no_suites(api: Api) -> None:
    assert api.client("viewer").post("/suites/load/").status_code == 403


@pytest.mark.parametrize("content", [b"", b"\n\n"])
def test_a_file_without_a_case_is_refused(client: TestClient, content: bytes) -> None:
    refused = client.post(FILE.format("new", 1), content=content)
    assert refused.status_code == 422
    assert refused.json()["detail"] == "a dataset needs at least one case"
    assert client.get("/datasets/new/").status_code == 404


def test_datasets_are_compared(api: Api) -> None:
    api.add(replace(DATASET, dataset_version="2", description="the same cases"))
    client = api.client("viewer")
    told = client.get("/datasets/facts/diff/", params={"before": "1", "after": "2"}).json()
    assert [d["field"] for d in told["items"]] == ["dataset_version", "description"]
    assert told["cases"] is None
