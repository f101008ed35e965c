"""Executes a program against tests in sandboxes: starts, waits, kills, says what came of it."""

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from agents.evaluation.sandbox.launcher import FAILED, NOBODY

HERE = Path(__file__).parent
ROLES = (HERE / "plain.py").read_text() + "\n" + (HERE / "roles.py").read_text()
REPORT_MAX = 1 << 16
Verdict = Literal["passed", "failed", "ended early", "timed out", "bad tests", "not plain"]


class SandboxUnavailable(Exception):
    """Nothing was executed. The text says why."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Of each of the two processes. `processes` counts threads as well."""

    wall_s: float = 10.0
    memory_bytes: int = 512 << 20
    disk_bytes: int = 16 << 20
    processes: int = 8


@dataclass(frozen=True, slots=True)
class Task:
    """A program, and the tests that call it.

    Tests call what the program defines by its names, and `candidate`, which is `entry_point`; if
    they define `check`, it is called with that. `shared`: in one process, where objects of any kind
    can pass, and where a hostile program can make its tests pass.
    """

    program: str
    tests: str
    entry_point: str | None = None
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Execution:
    """What came of it. 'bad tests' and 'not plain' say nothing of the program."""

    verdict: Verdict
    text: str


def execute(task: Task, limits: Limits, strict: bool = True) -> Execution:
    """Run the program's and the tests' process; both are gone when this returns.

    `strict`: shut in by namespaces. Otherwise by limits of the kernel only: the network and files
    can be reached. Raises SandboxUnavailable.
    """
    if sys.platform != "linux":
        raise SandboxUnavailable("code is executed on Linux only")
    with ExitStack() as stack:
        ours, theirs = os.pipe()
        stack.callback(os.close, ours)
        plan = {"tests": task.tests, "entry_point": task.entry_point}
        started = []
        if task.shared:
            plan |= {"role": "tests", "program": task.program}
            started.append(stack.enter_context(_started(plan, limits, strict, theirs)))
        else:
            left, right = socket.socketpair()
            with left, right:
                program = {"role": "program", "program": task.program}
                started.append(
                    stack.enter_context(_started(program, limits, strict, left.fileno()))
                )
                plan |= {"role": "tests"}
                started.append(
                    stack.enter_context(_started(plan, limits, strict, theirs, right.fileno()))
                )
        os.close(theirs)
        found = _report(ours, limits.wall_s)
        return _no_report(started, task.shared) if found is None else found


@contextmanager
def _started(
    plan: Mapping[str, Any], limits: Limits, strict: bool, *descriptors: int
) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a sandbox, killed at the end with everything that it started."""
    box = Path(tempfile.mkdtemp(prefix="sandbox-"))
    if not strict and os.geteuid() == 0:
        os.chown(box, NOBODY, NOBODY)
    full = {
        **plan,
        "descriptors": descriptors,
        "roles": ROLES,
        "strict": strict,
        "box": str(box),
        "visible": visible(),
        "wall_s": limits.wall_s,
        "cpu_s": int(limits.wall_s) + 2,
        "memory_bytes": limits.memory_bytes,
        "file_bytes": limits.disk_bytes,
        "disk_bytes": limits.disk_bytes,
        # Without a namespace of its own the limit counts all processes of the user.
        "processes": limits.processes + (0 if strict else _processes_of_user()),
    }
    process = subprocess.Popen(
        [os.path.realpath(sys.executable), "-I", "-S", "-B", str(HERE / "launcher.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={},
        cwd="/",
        pass_fds=descriptors,
        start_new_session=True,
    )
    try:
        assert process.stdin is not None
        with suppress(BrokenPipeError), process.stdin:
            process.stdin.write(json.dumps(full).encode() + b"\n")
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert process.stderr is not None
        process.stderr.close()
        shutil.rmtree(box, ignore_errors=True)


def visible() -> list[str]:
    """Folders that Python needs, and that sandboxed code may read; none lies in another."""
    wanted = {"/lib", "/lib64", "/usr/lib", "/usr/lib64", os.path.realpath(sys.base_prefix)}
    return sorted(
        path
        for path in wanted
        if not any(path != other and path.startswith(other + "/") for other in wanted)
    )


def _report(descriptor: int, wall_s: float) -> Execution | None:
    """What the tests' process says in time; None: it ended without a verdict."""
    deadline = time.monotonic() + wall_s
    data = b""
    while len(data) <= REPORT_MAX:
        left_s = deadline - time.monotonic()
        if left_s <= 0 or not select.select([descriptor], [], [], left_s)[0]:
            return Execution("timed out", f"after {wall_s:g} s")
        part = os.read(descriptor, REPORT_MAX)
        if not part:
            break
        data += part
    try:
        said = json.loads(data)
        return Execution(said["verdict"], str(said["text"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _no_report(started: list[subprocess.Popen[bytes]], shared: bool) -> Execution:
    """The tests' process, the last one, ended without a word: it never started, or the program took
    it along. Raises SandboxUnavailable when the fault is ours.
    """
    codes = []
    for process in started:
        with suppress(subprocess.TimeoutExpired):
            codes.append(process.wait(1))
            if codes[-1] == FAILED:
                assert process.stderr is not None
                raise SandboxUnavailable(process.stderr.read(4096).decode(errors="replace"))
    if not shared and codes[-1:] == [1]:
        raise SandboxUnavailable("the process of the tests failed by a fault of its own")
    return Execution("ended early", f"without a verdict (exit codes {codes})")


def _processes_of_user() -> int:
    user = NOBODY if os.geteuid() == 0 else os.geteuid()
    count = 0
    for path in Path("/proc").iterdir():
        if path.name.isdecimal():
            with suppress(OSError):
                count += len(list((path / "task").iterdir())) if path.stat().st_uid == user else 0
    return count
