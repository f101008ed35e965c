"""Who is killed when a supervisor is gone: its own children that still live, nobody else."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from infra import orphans
from tests.support.servers import wait_until


@pytest.fixture
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait(10)


def test_the_recorded_are_killed(tmp_path: Path, sleeper: "subprocess.Popen[bytes]") -> None:
    orphans.record(tmp_path, {"sleeper": sleeper.pid})
    assert orphans.kill_recorded(tmp_path) == ["sleeper"]
    assert not psutil.pid_exists(sleeper.pid)


def test_a_pid_that_was_used_again_is_left_alone(
    tmp_path: Path, sleeper: "subprocess.Popen[bytes]"
) -> None:
    orphans.record(tmp_path, {"sleeper": sleeper.pid})
    path = tmp_path / orphans.RECORD
    record = json.loads(path.read_text())
    record["children"]["sleeper"][1] -= 100.0
    path.write_text(json.dumps(record))
    assert orphans.kill_recorded(tmp_path) == []
    assert sleeper.poll() is None


def test_a_sentinel_spares_the_children_of_the_next_supervisor(
    tmp_path: Path, sleeper: "subprocess.Popen[bytes]"
) -> None:
    orphans.record(tmp_path, {"sleeper": sleeper.pid})
    assert orphans.kill_recorded(tmp_path, supervisor=os.getpid() + 1) == []
    assert sleeper.poll() is None
    assert orphans.kill_recorded(tmp_path, supervisor=os.getpid()) == ["sleeper"]


def test_one_that_ended_but_was_not_collected_does_not_live(
    sleeper: "subprocess.Popen[bytes]",
) -> None:
    assert orphans.lives(sleeper.pid)
    os.kill(sleeper.pid, signal.SIGKILL)
    wait_until(lambda: not orphans.lives(sleeper.pid))
    assert psutil.pid_exists(sleeper.pid)


def test_the_dead_are_not_recorded(tmp_path: Path, sleeper: "subprocess.Popen[bytes]") -> None:
    sleeper.kill()
    sleeper.wait(10)
    orphans.record(tmp_path, {"sleeper": sleeper.pid})
    assert orphans.kill_recorded(tmp_path) == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"supervisor": 1}'])
def test_a_record_cut_short_harms_nobody(tmp_path: Path, text: str) -> None:
    (tmp_path / orphans.RECORD).write_text(text)
    assert orphans.kill_recorded(tmp_path) == []
    assert orphans.kill_recorded(tmp_path / "nowhere") == []


def test_a_child_without_its_supervisor_ends_at_once() -> None:
    code = "from infra import orphans; orphans.die_with_parent(); print('alive')"
    env = {**os.environ, orphans.PARENT: "1"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (-9, b"")
