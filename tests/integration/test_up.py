"""The whole stack as a user starts it: ready, healthy, stopped, and gone even when killed."""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench.stack import Stack
from schemas.topics import TOPICS
from sinks.migrate import migrations
from tests.support.servers import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]
NAMES = ("kafka", "clickhouse", "streams", "sinks", "agents", "runner", "api")
QUICK_START = Path(__file__).parents[2] / "client" / "examples" / "quickstart.py"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    started = Stack(tmp_path_factory.mktemp("stack") / "data")
    started.start()
    try:
        started.wait_ready(240)
        yield started
    finally:
        started.stop()
    assert alive(started.data_dir) == []


def alive(data_dir: Path) -> list[str]:
    """Command lines of processes that work in this data dir."""
    found = []
    for process in psutil.process_iter(["pid", "cmdline", "status"]):
        try:
            inside = str(data_dir) in process.environ().get("RHEOSTAT_DATA_DIR", "")
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        if inside and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(" ".join(process.info["cmdline"] or ()))
    return found


def doctor(stack: Stack) -> tuple[int, dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-m", "infra", "doctor", "--json", "--data-dir", str(stack.data_dir)],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.stderr == ""
    return done.returncode, json.loads(done.stdout)


def test_every_part_says_that_it_is_ready(stack: Stack) -> None:
    for name, port in stack.metrics_ports().items():
        for page in ("healthz", "readyz", "metrics"):
            url = f"http://127.0.0.1:{port}/{page}"
            with urllib.request.urlopen(url, timeout=30) as answer:
                assert answer.status == 200, (name, page)


def test_a_fresh_stack_is_healthy(stack: Stack) -> None:
    code, told = doctor(stack)
    problems = [f for f in told["findings"] if f["level"] in {"problem", "skipped"}]
    assert problems == []
    assert (code, told["healthy"]) == (0, True)
    found = {f["subject"]: f["what"] for f in told["findings"]}
    assert "local Apache Kafka 4." in found["Kafka"]
    assert found["processes"] == f"{', '.join(sorted(NAMES))}: alive, healthy and ready"


def test_other_commands_find_the_stack_in_its_folder(stack: Stack) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "infra", "topics", "--check"],
        env={**os.environ, "RHEOSTAT_DATA_DIR": str(stack.data_dir)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("present") == len(TOPICS)


@pytest.fixture(scope="module")
def key(stack: Stack) -> str:
    """An API key as the quick start makes one."""
    done = subprocess.run(
        [sys.executable, "-m", "infra", "keys", "create", "--org", "acme", "--role", "admin"],
        env={**os.environ, "RHEOSTAT_DATA_DIR": str(stack.data_dir)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return next(word for word in done.stdout.split() if word.startswith("rheo_"))


def test_the_quick_start_runs_as_it_is_written(stack: Stack, key: str) -> None:
    own = {
        "RHEOSTAT_API_KEY": key,
        "RHEOSTAT_API_URL": f"http://127.0.0.1:{stack.api_port}",
        "RHEOSTAT_KAFKA_BOOTSTRAP": f"127.0.0.1:{stack.kafka_port}",
    }
    done = subprocess.run(
        [sys.executable, str(QUICK_START), "--calls=300", "--wait=180"],
        env={**os.environ, **own},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "reported 300 calls, 0 still wait" in done.stdout
    assert "1. large: quality 0." in done.stdout
    assert "to lead: " in done.stdout


def test_decisions_are_streamed_and_metrics_asked(stack: Stack, key: str) -> None:
    """After the quick start, which left calls, a selection and a verdict."""
    api = f"http://127.0.0.1:{stack.api_port}/api/v1/evaluation"

    def ask(path: str, **headers: str) -> Any:
        asked = {"Authorization": f"Bearer {key}", **headers}
        return urllib.request.urlopen(urllib.request.Request(api + path, headers=asked), timeout=60)

    with ask("/stream/?kind=selection") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        event: dict[str, str] = {}
        while "data" not in event:
            name, _, value = stream.readline().decode().rstrip("\r\n").partition(": ")
            event[name] = value
    assert event["event"] == "selection"
    assert json.loads(event["data"])["capability"] == "chat"
    with ask("/stream/", **{"Last-Event-ID": event["id"]}) as resumed:
        assert resumed.status == 200
    with ask("/models/large/metrics/aggregated/?metric=latency_ms") as answer:
        (point,) = json.load(answer)["points"]
    assert point["n"] > 50

    def verdict() -> dict[str, Any]:
        try:
            with ask("/ab-tests/is-large-better/verdict/") as answer:
                found: dict[str, Any] = json.load(answer)
                return found
        except urllib.error.HTTPError as error:
            if error.code != 404:  # none has been published yet
                raise
            return {}

    wait_until(lambda: verdict().get("org_id") == "acme", what="no verdict")


def test_a_second_stack_here_or_on_these_ports_is_refused(stack: Stack, tmp_path: Path) -> None:
    targets = (stack.data_dir / "run" / "targets.json").read_text()
    for folder, words in (
        (stack.data_dir, "A stack already runs in"),
        (tmp_path, f"Port {stack.kafka_port} on 127.0.0.1 is in use"),
    ):
        second = Stack(folder, kafka_port=stack.kafka_port)
        command = [sys.executable, "-m", "infra", "up", "--data-dir", str(second.data_dir)]
        done = subprocess.run(
            [*command, "--kafka-port", str(second.kafka_port)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 1
        assert words in done.stderr
    assert (stack.data_dir / "run" / "targets.json").read_text() == targets


def test_what_dies_comes_back_and_the_doctor_sees_it_gone(stack: Stack) -> None:
    before = {name: stack.pid(name) for name in NAMES}
    assert all(before.values())
    assert stack.kill("agents")
    wait_until(lambda: stack.pid("agents") not in {None, before["agents"]}, 120)
    assert {name: stack.pid(name) for name in NAMES if name != "agents"} == {
        name: pid for name, pid in before.items() if name != "agents"
    }


@pytest.mark.chaos
def test_kill_9_of_the_supervisor_leaves_nobody_and_a_new_start_goes_on(stack: Stack) -> None:
    assert len(alive(stack.data_dir)) >= len(NAMES)
    assert stack.kill("supervisor")
    wait_until(lambda: alive(stack.data_dir) == [], 60, "processes of the stack are left")
    code, told = doctor(stack)
    assert code == 1
    assert any("ended without stopping" in f["what"] for f in told["findings"])
    (stack.data_dir / "up.log").unlink()
    stack.start()
    stack.wait_ready(240)
    assert stack.query("SELECT count() FROM rheostat.schema_migrations") == len(list(migrations()))
