"""`rheostat evaluate` from its command line to its exit code, on all five standard suites."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from typer.testing import CliRunner

from agents.evaluation.render import render
from agents.evaluation.suites.standard import standard
from infra import cli
from infra.errors import OperatorError
from infra.scripted_endpoint import standard as scripted
from infra.scripted_endpoint.play import Call, play
from infra.scripted_endpoint.script import Answer, Latency, Rule, Script
from infra.scripted_endpoint.serve import serving
from infra.settings import Settings
from schemas.models import Endpoint
from tests.support.engine import Engine, engine
from tests.support.lanes import Lanes
from tests.support.runs import model
from tests.support.servers import ClickHouseServer, Kafka

pytestmark = pytest.mark.integration
FIVE = (
    "text-generation",
    "code-generation",
    "question-answering",
    "summarisation",
    "classification",
)


@pytest.fixture
def ready(
    kafka: Kafka,
    settings: Settings,
    clickhouse: ClickHouseServer,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Engine]:
    """An engine on the database that the command line uses."""
    made = Lanes.create(kafka, settings, clickhouse, "rheostat")
    for name, value in environment(settings, clickhouse).items():
        monkeypatch.setenv(name, value)
    with engine(made, settings) as found, found.planner(), found.runner():
        yield found


def environment(settings: Settings, clickhouse: ClickHouseServer) -> dict[str, str]:
    return {**settings.environment(), "RHEOSTAT_CLICKHOUSE_URL": clickhouse.url}


def rheostat(*words: str) -> Any:
    """What the command did: exit_code, stdout, stderr."""
    found = CliRunner().invoke(cli.app, [*words])
    if found.exception is not None and not isinstance(found.exception, SystemExit):
        raise found.exception
    return found


@contextmanager
def endpoint_command(*words: str) -> Iterator[str]:
    """`rheostat endpoint` as a process; the address that it prints."""
    command = [sys.executable, "-m", "infra", "endpoint", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()
            process.wait(20)


def right_by_the_seed(suite: str, accuracy: float) -> int:
    """How many cases of a suite the endpoint answers rightly, by the seed."""
    played, chosen = scripted.script(accuracy), standard("acme")
    asked = next(s for s in chosen.suites if s.suite_id == suite)
    cases = next(p.cases for p in chosen.datasets if p.draft.dataset_id == asked.dataset_id)
    prompts = [render(asked, json.loads(case.fields))[-1].content for case in cases]
    calls = [Call("openai-chat", "some", prompt) for prompt in prompts]
    texts = [play(played, played.rules[0], call, 0).text for call in calls]
    return sum(text != scripted.WRONG for text in texts)


@pytest.mark.chaos
def test_all_five_suites_run_whole_on_the_endpoint_that_knows_them(ready: Engine) -> None:
    assert rheostat("suites", "load", "--org", "acme").exit_code == 0
    with (
        endpoint_command("--standard") as knowing,
        endpoint_command("--standard", "--accuracy", "0.75") as guessing,
    ):
        ready.create(
            model("all", endpoint=Endpoint(knowing, "openai-chat")),
            model("some", endpoint=Endpoint(guessing, "openai-chat")),
        )
        for suite in FIVE:
            found = rheostat("evaluate", suite, "--model", "all", "--model", "some", "--json")
            assert found.exit_code == 0, found.output
            report = json.loads(found.stdout)
            everything, some = report["run"]["models"]
            assert report["run"]["errors"] == 0
            assert everything["passed"] == everything["planned"] >= 50, (suite, report["worst"])
            assert some["passed"] == right_by_the_seed(suite, 0.75) < everything["passed"]


def test_all_five_suites_end_in_a_table_and_an_exit_code(ready: Engine) -> None:
    good = Rule(model="good", answer=Answer(by_table=True))
    bad = Rule(model="bad", answer=Answer("I would rather not say."))
    with serving(Script(rules=(good, bad), table=scripted.table())) as endpoint:
        at = Endpoint(endpoint.base_url, "openai-chat")
        ready.create(model("good", endpoint=at), model("bad", endpoint=at))
        loaded = rheostat("suites", "load", "--org", "acme")
        assert loaded.exit_code == 0, loaded.output
        for suite in FIVE:
            words = ("evaluate", suite, "--model", "good", "--model", "bad", "--cases", "6")
            found = rheostat(*words, "--json")
            assert found.exit_code == 0, found.output
            report = json.loads(found.stdout)
            assert report["run"]["state"] == "completed"
            assert report["stored"] == report["run"]["finished"] == 12
            passed = {m["model_id"]: m["passed"] for m in report["run"]["models"]}
            assert passed["good"] == 6, (suite, report["worst"])
            assert passed["bad"] < 6
            assert report["run"]["errors"] == 0
        (good_labels,), (bad_labels,) = [m["classified"] for m in report["models"]]
        assert (good_labels["accuracy"], good_labels["macro_f1"]) == (1.0, 1.0)
        assert (bad_labels["accuracy"], sum(bad_labels["unknown"])) == (0.0, 6)
        table = rheostat("evaluate", "classification", "--model", "good", "--cases", "3")
        assert "pass_rate" in table.stdout
        assert "accuracy 1.000, macro F1 1.000, 3 answers" in table.stdout
        options = ("--metric", "pass_rate", "--threshold", "0.9", "--cases", "3")
        assert rheostat("evaluate", "classification", "--model", "good", *options).exit_code == 0
        below = rheostat("evaluate", "classification", "--model", "bad", *options)
        assert below.exit_code == 2
        assert "bad: pass_rate 0.0000 is below 0.9" in below.stderr
        calls = sum(endpoint.endpoint.calls.values())
        unknown = ("--metric", "accuracy", *options[2:])
        with pytest.raises(OperatorError, match="does not measure accuracy; it measures score"):
            rheostat("evaluate", "classification", "--model", "good", *unknown)
        assert sum(endpoint.endpoint.calls.values()) == calls
        listed = json.loads(rheostat("runs", "--json").stdout)
        assert len(listed) == 8
        shown = rheostat("results", listed[0]["run_id"][:8], "--cases", "worst")
        assert "I would rather" in shown.stdout
        with pytest.raises(OperatorError, match="has no result of a case nope"):
            rheostat("results", listed[0]["run_id"], "--case", "nope")
        assert "acme2 has no run" in rheostat("runs", "--org", "acme2").stderr


def test_a_ci_pipeline_is_told_why_nothing_ran(ready: Engine) -> None:
    nothing = subprocess.run(
        [sys.executable, "-m", "infra", "evaluate", "qa", "--model", "x"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert nothing.returncode == 1
    assert "There is no suite qa. There is none; run rheostat suites load." in nothing.stderr


def test_ctrl_c_cancels_the_run(ready: Engine) -> None:
    slow = Rule(latency=Latency(median_ms=60_000))
    with serving(Script(rules=(slow,))) as endpoint:
        ready.create(model("slow", endpoint=Endpoint(endpoint.base_url, "openai-chat")))
        assert rheostat("suites", "load", "--org", "acme").exit_code == 0
        command = subprocess.Popen(
            [sys.executable, "-m", "infra", "evaluate", "classification", "--model", "slow"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

        def interrupt() -> None:
            while not any(r.state == "running" for r in ready.runs.snapshot().values()):
                time.sleep(0.1)
            time.sleep(1.0)
            command.send_signal(signal.SIGINT)

        threading.Thread(target=interrupt, daemon=True).start()
        output, _ = command.communicate(timeout=180)
        assert command.returncode == 130, output
        assert "cancelling the run" in output
        (run,) = ready.runs.snapshot().values()
        assert run.state == "cancelled"
