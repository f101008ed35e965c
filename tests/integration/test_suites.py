"""`rheostat suites` and `rheostat datasets`, from the command line through broker and engine."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from confluent_kafka import Producer
from typer.testing import CliRunner, Result

from agents.evaluation.suites.load import Done
from infra import cli
from infra.settings import Settings
from infra.suites import load
from infra.workers import kafka_config
from schemas.catalog import committed
from schemas.convert import to_record
from schemas.evaluations import EvaluationRun, RunModel, RunSpec
from schemas.topics import Topic
from schemas.wire import Codec
from sinks.clickhouse import ClickHouse
from tests.support.lanes import Lanes, running
from tests.support.logs import restored
from tests.support.registry import registry_agent
from tests.support.servers import ClickHouseServer, Kafka, wait_until

pytestmark = pytest.mark.integration
Run = Callable[..., Result]


@pytest.fixture
def lanes(kafka: Kafka, settings: Settings, clickhouse: ClickHouseServer) -> Iterator[Lanes]:
    made = Lanes.create(kafka, settings, clickhouse)
    with registry_agent(settings), running(made.writer()) as failed:
        yield made
    assert failed == []


@pytest.fixture
def run(lanes: Lanes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Run]:
    """The command line on these lanes."""
    own = partial(ClickHouse, database=lanes.database)
    for module in ("infra.suites", "infra.datasets"):
        monkeypatch.setattr(f"{module}.ClickHouse", own)
    env = {
        "RHEOSTAT_KAFKA_BOOTSTRAP": lanes.kafka.bootstrap,
        "RHEOSTAT_TOPIC_PREFIX": lanes.settings.topic_prefix,
        "RHEOSTAT_CLICKHOUSE_URL": lanes.clickhouse.url,
        "RHEOSTAT_DATA_DIR": str(tmp_path),
        "COLUMNS": "200",
    }

    def call(*words: str, fails: bool = False) -> Result:
        result = CliRunner().invoke(cli.app, list(words), env=env)
        assert (result.exception is not None) == fails, (result.output, result.exception)
        return result

    with restored():
        yield call


def stored(lanes: Lanes, dataset_id: str, cases: int) -> None:
    where = f"dataset_id = '{dataset_id}'"
    wait_until(lambda: lanes.count("evaluation_datasets", "uniqExact(place)", where) >= cases)
    wait_until(lambda: lanes.count("registry", where=f"key LIKE '%/dataset/{dataset_id}/%'") >= 1)


def test_the_standard_suites_are_loaded_once_and_can_be_looked_at(
    lanes: Lanes, run: Run, settings: Settings
) -> None:
    said: list[Done] = []
    assert load(settings, "acme", "me", said.append) == "acme"
    assert {d.outcome for d in said} == {"created"}
    assert [d.kind for d in said] == ["dataset"] * 6 + ["suite"] * 6
    again = run("suites", "load").output  # acme is the only one
    assert again.count("unchanged") == 12
    assert "created" not in again
    listed = run("suites", "list", "--search", "code").output
    assert "humaneval" in listed
    assert "classification" not in listed
    shown = run("suites", "show", "classification@1", "--json").output
    assert json.loads(shown)["suites"][0]["dataset_id"] == "classification"
    stored(lanes, "question-answering", 52)
    previewed = run(
        "suites", "preview", "question-answering", "--case", "comet-4", "--fields"
    ).output
    assert "Halley" in previewed
    assert "assistant" in previewed
    stored(lanes, "classification", 60)
    lines = run("datasets", "export", "classification").output.splitlines()
    assert len(lines) == 60
    assert json.loads(lines[0])["fields"]["answer"] == "billing"
    wrong = run("suites", "show", "clasification", fails=True)
    assert "did you mean classification?" in str(wrong.exception)


def test_a_suite_of_ones_own_from_its_file(lanes: Lanes, run: Run, tmp_path: Path) -> None:
    cases = tmp_path / "quiz.csv"
    cases.write_text("id,prompt,gold,split\na,1 + 1?,2,dev\nb,2 + 2?,4,test\nc,,5,test\n")
    maps = ("--mapping", "question=prompt", "--mapping", "answer=gold")
    checked = run("datasets", "import", str(cases), "--org", "acme", *maps, "--dry-run", fails=True)
    assert "2 cases, 1 rows at fault" in checked.output
    refused = run("datasets", "import", str(cases), "--org", "acme", *maps, fails=True)
    assert "row 4: question: the column 'prompt' is missing or empty" in refused.output
    assert "1 of 3 rows are at fault; nothing was imported" in str(refused.exception)
    faults = tmp_path / "faults.jsonl"
    arguments = ("--org", "acme", *maps, "--skip-invalid", "--report", str(faults))
    made = run("datasets", "import", str(cases), *arguments)
    assert "created quiz 1: 2 cases, 1 rows skipped; fields: answer, question" in made.output
    assert json.loads(faults.read_text())["row"] == 4
    file = tmp_path / "suite.yaml"
    assert "quiz" in run("datasets", "list").output
    file.write_text(SUITE)
    assert "created" in run("registry", "apply", str(file)).output
    stored(lanes, "quiz", 2)
    assert "2 + 2?" in run("suites", "preview", "quiz").output
    file.write_text(SUITE.replace("'1'  # version", "'2'").replace("split: test", "split: dev"))
    run("registry", "apply", str(file))
    differs = run("suites", "diff", "quiz@1", "quiz@2").output
    assert "split" in differs
    assert "dev" in differs
    needed = run("datasets", "delete", "quiz", fails=True)
    assert "the suite quiz 1 asks its cases" in str(needed.exception)
    _run_of(lanes.settings, "quiz", "2")
    busy = run("suites", "delete", "quiz", "--all", fails=True)
    assert "the evaluation r1 is running and needs it: cancel it" in str(busy.exception)
    assert "quiz" in run("suites", "show", "quiz@1").output, "all of them or none"
    assert "deleted quiz 1" in run("suites", "delete", "quiz@1").output
    missing = run("registry", "apply", str(_changed(file, "{question}", "{qestion}")), fails=True)
    assert "has a field 'qestion'; all have: answer, question" in str(missing.exception)


def _run_of(settings: Settings, suite_id: str, version: str) -> None:
    """Writes a run as the planner would."""
    now, kafka = datetime.now(UTC), kafka_config(settings)
    spec = RunSpec(suite_id, version, (RunModel("small", "1"),))
    run = EvaluationRun("r1", "acme", "running", spec, "me", now, now, ())
    producer = Producer({"bootstrap.servers": settings.bootstrap})
    value = Codec(committed()).encode("EvaluationRun", to_record(run))
    producer.produce(kafka.topic(Topic.EVALUATION_RUNS), value, run.key.encode())
    assert producer.flush(30) == 0


def _changed(file: Path, before: str, after: str) -> Path:
    file.write_text(
        file.read_text().replace(before, after).replace("suite_version: '2'", "suite_version: '3'")
    )
    return file


def test_versions_of_a_dataset_are_compared_and_exported(
    lanes: Lanes, run: Run, tmp_path: Path
) -> None:
    first, second = tmp_path / "one.jsonl", tmp_path / "two.jsonl"
    first.write_text('{"id": "a", "q": 1}\n{"id": "b", "q": 2}\n')
    second.write_text('{"id": "b", "q": 3}\n{"id": "c", "q": 4}\n')
    run("datasets", "import", str(first), "--name", "n", "--org", "acme")
    options = ("--name", "n", "--org", "acme")
    changed = run("datasets", "import", str(second), *options, fails=True)
    assert "import these under a new version" in str(changed.exception)
    run("datasets", "import", str(second), *options, "--dataset-version", "2")
    stored(lanes, "n", 2)
    wait_until(lambda: lanes.count("evaluation_datasets", where="dataset_id = 'n'") == 4)
    wait_until(lambda: lanes.count("registry", where="key LIKE '%/dataset/n/%'") == 2)
    told = run("datasets", "diff", "n@1", "n@2").output
    assert "1 added: c" in told
    assert "1 removed: a" in told
    assert "1 changed: b" in told
    out = tmp_path / "out.jsonl"
    run("datasets", "export", "n@2", "--out", str(out))
    assert [json.loads(line)["case_id"] for line in out.read_text().splitlines()] == ["b", "c"]
    unchanged = run("datasets", "import", str(out), *options, "--dataset-version", "2", "--again")
    assert "unchanged n 2" in unchanged.output
    assert "content_sha256" in run("datasets", "show", "n@1").output
    several = run("datasets", "delete", "n", fails=True)
    assert "n has the versions 2, 1: name one, as n@2, or delete them all" in str(several.exception)
    assert "deleted n 1" in run("datasets", "delete", "n@1").output
    assert "deleted n 2" in run("datasets", "delete", "n").output
    none = run("datasets", "delete", "n", "--org", "acme", fails=True)
    assert "acme has no dataset n" in str(none.exception)


SUITE = """\
suites:
- org_id: acme
  suite_id: quiz
  suite_version: '1'  # version
  capability: chat
  task_kind: qa
  dataset_id: quiz
  dataset_version: '1'
  split: test
  prompt:
  - role: user
    content: '{question}'
  scorers:
  - scorer: numeric
    threshold: 1
"""


def test_a_dataset_is_uploaded_and_downloaded_over_http(
    lanes: Lanes, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fastapi.testclient import TestClient
    from pydantic import SecretStr

    from api.app import PREFIX, create_app
    from infra.api_server import services
    from infra.keys import KeyOptions, create

    monkeypatch.setattr("infra.api_server.ClickHouse", partial(ClickHouse, database=lanes.database))
    settings = lanes.settings.model_copy(update={"clickhouse_url": SecretStr(lanes.clickhouse.url)})
    key = create(settings, KeyOptions("acme", "editor", "ci", None, None)).token
    rows = b"id,question,answer\na,1 + 1?,2\nb,2 + 2?,4\n"
    place = "/datasets/sums/versions/1/"
    with services(settings) as held:
        held.view.wait_loaded(30)
        client = TestClient(create_app(held), f"http://test{PREFIX}", headers={"X-API-Key": key})
        params = {"format": "csv", "split": "test", "licence": "CC0-1.0"}
        made = client.post(f"{place}cases/", params=params, content=rows)
        assert made.status_code == 201, made.text
        assert made.json()["dataset"]["splits"] == [{"split": "test", "cases": 2}]
        again = client.post(f"{place}cases/", params=params, content=rows)
        assert (again.status_code, again.json()["outcome"]) == (200, "unchanged")
        other = client.post(f"{place}cases/", params=params, content=rows + b"c,3 + 3?,6\n")
        assert other.status_code == 409
        stored(lanes, "sums", 2)
        lines = client.get(f"{place}download/").text.splitlines()
        assert [json.loads(line)["fields"]["answer"] for line in lines] == ["2", "4"]
