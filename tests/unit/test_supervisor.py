"""The supervisor on toy processes: order, restarts, clean stops, nobody left behind."""

import json
import os
import signal
import stat
from pathlib import Path

import psutil
import pytest

from infra.errors import OperatorError, PortTaken
from infra.orphans import lives
from infra.process import ChildSpec
from infra.supervisor import Child, Supervisor
from tests.support.servers import wait_until
from tests.support.toys import running

A, B, C = {"name": "a"}, {"name": "b", "needs": ["a"]}, {"name": "c", "needs": ["a", "b"]}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_starts_by_need_and_stops_in_reverse(tmp_path: Path, number: int) -> None:
    with running(tmp_path, [{**A, "kind": "slow"}, B, C]) as toys:
        toys.wait_for("ready c")
        toys.end(number)
        assert toys.process.returncode == 0
        started = ["start a", "ready a", "start b", "ready b", "start c", "ready c"]
        assert toys.events() == [*started, "stop c", "stop b", "stop a"]


def test_under_nohup_the_end_of_the_terminal_stops_nothing(tmp_path: Path) -> None:
    with running(tmp_path, [A], nohup=True) as toys:
        toys.wait_for("ready a")
        toys.process.send_signal(signal.SIGHUP)
        os.kill(toys.pid("a"), signal.SIGKILL)
        wait_until(lambda: toys.events().count("ready a") == 2)
        log = toys.end()
    assert [line["signal"] for line in log if line["event"] == "stopping"] == ["SIGTERM"]


def test_files_tell_who_runs_where_and_go_with_the_stack(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with running(tmp_path, [A, B]) as toys:
        toys.wait_for("ready b")
        assert toys.pid("supervisor") == toys.process.pid
        assert psutil.Process(toys.pid("a")).ppid() == toys.process.pid
        endpoints = run / "endpoints.json"
        assert json.loads(endpoints.read_text()) == {"kafka_bootstrap": "toy:1"}
        assert stat.S_IMODE(endpoints.stat().st_mode) == 0o600
        toys.end()
    assert sorted(path.name for path in run.iterdir()) == ["supervisor.lock"]


def test_a_killed_child_comes_back_under_a_new_pid(tmp_path: Path) -> None:
    with running(tmp_path, [A, B]) as toys:
        toys.wait_for("ready b")
        before = toys.pid("a")
        os.kill(before, signal.SIGKILL)
        wait_until(lambda: toys.events().count("ready a") == 2)
        assert toys.pid("a") != before
        assert toys.events().count("start b") == 1


def test_restarts_wait_longer_and_longer_and_show_last_words(tmp_path: Path) -> None:
    with running(tmp_path, [{**A, "kind": "dies"}]) as toys:
        wait_until(lambda: toys.events().count("start a") == 3)
        log = toys.end()
    ends = [line for line in log if line["event"].startswith("process ended")]
    assert [line["in_s"] for line in ends[:2]] == [0.5, 1.0]
    assert {line["last_words"] for line in ends} == {"no luck today"}
    assert {line["exit_code"] for line in ends} == {3}


def test_a_child_that_does_not_listen_is_killed_after_its_grace(tmp_path: Path) -> None:
    with running(tmp_path, [{**A, "kind": "deaf", "grace_s": 0.2}, B]) as toys:
        toys.wait_for("ready b")
        pid = toys.pid("a")
        log = toys.end()
        assert toys.process.returncode == 0
        assert toys.events()[-1] == "stop b"
    assert not lives(pid)
    assert "did not stop in time, killed" in {line["event"] for line in log}


def test_nobody_outlives_a_supervisor_that_was_killed(tmp_path: Path) -> None:
    with running(tmp_path, [A, {**B, "kind": "deaf"}]) as toys:
        toys.wait_for("ready b")
        pids = [toys.pid("a"), toys.pid("b")]
        toys.process.kill()
        wait_until(lambda: not any(map(lives, pids)), what="orphans")


def test_the_next_start_clears_away_what_even_the_sentinel_missed(tmp_path: Path) -> None:
    with running(tmp_path, [A]) as toys:
        toys.wait_for("ready a")
        pid = toys.pid("a")
        (sentinel,) = [
            child
            for child in psutil.Process(toys.process.pid).children()
            if "infra.orphans" in child.cmdline()
        ]
        sentinel.kill()
        toys.process.kill()
        toys.process.wait(10)
        assert lives(pid)
        with running(tmp_path, [A]) as again:
            wait_until(lambda: again.events().count("ready a") == 2)
            assert not lives(pid)
            (line, *_) = again.end()
    assert line["event"] == "killed what an earlier run left behind"
    assert line["processes"] == ["a"]


def test_a_second_supervisor_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    with running(tmp_path, [A]) as toys:
        toys.wait_for("ready a")
        with pytest.raises(OperatorError) as refused:
            Supervisor(tmp_path, [], [], {}).run()
        assert f"pid {toys.process.pid}" in str(refused.value)
        assert "--data-dir" in str(refused.value)
        assert lives(toys.pid("a"))


def test_nothing_starts_when_preparing_fails(tmp_path: Path) -> None:
    def taken() -> None:
        raise PortTaken("Port 1 is in use.")

    child = Child(ChildSpec("a", ["/bin/false"]), lambda: True)
    with pytest.raises(PortTaken):
        Supervisor(tmp_path, [child], [], {}, taken).run()
    assert child.process is None
    assert not (tmp_path / "run" / "endpoints.json").exists()


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OperatorError, match="file/data/run cannot be used: Not a directory"):
        Supervisor(tmp_path / "file" / "data", [], [], {}).run()
