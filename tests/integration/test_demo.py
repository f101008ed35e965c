"""The demo as a user runs it: the whole loop exact, and nothing left behind when it is stopped."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.servers import wait_until

pytestmark = pytest.mark.integration


def start(*options: str, tmp: Path) -> subprocess.Popen[str]:
    """`rheostat demo` with its temporary folder under `tmp`."""
    tmp.mkdir(exist_ok=True)
    own = {"TMPDIR": str(tmp)}
    clean = {k: v for k, v in os.environ.items() if not k.startswith("RHEOSTAT_")}
    return subprocess.Popen(
        [sys.executable, "-m", "infra", "demo", "--no-live", *options],
        env={**clean, **own},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def family(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The demo's children, and theirs."""
    return psutil.Process(process.pid).children(recursive=True)


@pytest.fixture
def starting(tmp_path: Path) -> Iterator[tuple["subprocess.Popen[str]", list[psutil.Process]]]:
    """A demo whose broker has just been started, and everything it started."""
    process = start(tmp=tmp_path / "tmp")
    try:
        wait_until(lambda: any((tmp_path / "tmp").glob("*/run/kafka.pid")), 120, "no broker")
        wait_until(lambda: len(family(process)) >= 4, 60, "no servers")
        yield process, family(process)
    finally:
        process.kill()
        process.communicate(timeout=30)


def test_the_loop_is_exact_and_everything_is_gone_afterwards(tmp_path: Path) -> None:
    picture = tmp_path / "demo.svg"
    process = start("--requests=400", "--speed=120", f"--save-svg={picture}", tmp=tmp_path / "tmp")
    said, _ = process.communicate(timeout=280)
    assert process.returncode == 0, said
    assert "\x1b" not in said
    assert "DIFFERS" not in said
    total = next(line.split() for line in said.splitlines() if line.startswith(" all "))
    assert total == ["all", "406", "400", "400", "6", "equal"]
    assert "A/B test gpt4-for-law" in said
    assert "Selection: mixtral-8x7b-instruct leads" in said
    assert "Ranking: none, since no judge compared" in said
    assert re.search(r"^rheostat results \S+$", said, re.MULTILINE)
    answers = said.partition("What else gpt4-for-law can be asked")[2]
    assert "units were in several arms" in answers
    assert "quality, beta-binomial, difference:" in answers
    assert "are not counted" not in answers
    assert "of 1 found a difference" in answers
    assert "yes: the same verdict comes out of" in answers
    assert picture.read_text().startswith("<svg")
    assert list((tmp_path / "tmp").glob("rheostat-demo-*")) == []


def test_ctrl_c_leaves_no_process_and_no_folder(
    starting: tuple["subprocess.Popen[str]", list[psutil.Process]], tmp_path: Path
) -> None:
    process, children = starting
    for number in (signal.SIGINT, signal.SIGINT, signal.SIGTERM):  # an impatient user
        process.send_signal(number)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert "nothing is left running" in said
    assert psutil.wait_procs(children, timeout=30)[1] == []
    assert list((tmp_path / "tmp").glob("rheostat-demo-*")) == []


def test_a_killed_demo_takes_its_stack_along(
    starting: tuple["subprocess.Popen[str]", list[psutil.Process]],
) -> None:
    process, children = starting
    process.kill()
    assert psutil.wait_procs(children, timeout=90)[1] == []
