"""Programs that mean harm: what each tries does not happen, and none passes its tests by it.

Shut in strictly; on a machine without namespaces these tests are skipped, as nothing is executed.
"""

import os
import socket
import subprocess
import time
from pathlib import Path

import pytest

from agents.evaluation.sandbox.execute import Execution, Limits, SandboxUnavailable, Task, execute

TESTS = "def check(candidate):\n    assert candidate(1, 2) == 3\n"
LIMITS = Limits(wall_s=20.0)


def run(
    program: str, tests: str = TESTS, limits: Limits = LIMITS, shared: bool = False
) -> Execution:
    try:
        return execute(Task(program, tests, "add", shared), limits)
    except SandboxUnavailable as why:
        pytest.skip(f"no sandbox here: {why}")


def body(*lines: str) -> str:
    return "import os, socket, sys\ndef add(a, b):\n" + "".join(f"    {line}\n" for line in lines)


def test_a_right_program_passes_and_a_wrong_one_fails() -> None:
    assert run(body("return a + b")) == Execution("passed", "")
    assert run(body("return a - b")) == Execution("failed", "AssertionError")


@pytest.mark.parametrize(
    ("program", "text"),
    [
        (body("return open('/etc/passwd').read()"), "FileNotFoundError"),
        (body("return open('/proc/1/environ').read()"), "FileNotFoundError"),
        (body("raise ValueError(sorted(os.environ))"), "ValueError: ['LC_CTYPE']"),
        (body("open('/outside', 'w')"), "Read-only file system"),
        (body("open(os.__file__, 'a')"), "Read-only file system|Permission denied"),
        (body("socket.create_connection(('192.0.2.1', 80), 2)"), "Network is unreachable"),
        (body("bytearray(1 << 30)"), "MemoryError"),
        (body("x = []", "while True: x.append(b'x' * (1 << 20))"), "MemoryError"),
        (body("while True: os.fork()"), "BlockingIOError"),
        (body("os.kill(-1, 9)"), "ProcessLookupError"),
        (body("os.setuid(0)", "os.mkdir('/outside')"), "Error"),
        (body("os.chroot('/')"), "Operation not permitted"),
        (body("open('/tmp/x', 'wb').write(bytes(17 << 20))"), "OSError|File too large|No space"),
        (
            body("for i in range(99): open(f'/tmp/{i}', 'wb').write(bytes(1 << 20))"),
            "No space left",
        ),
        (body("os.execv('/bin/sh', ['sh'])"), "FileNotFoundError"),
    ],
)
def test_what_is_out_of_reach(program: str, text: str) -> None:
    found = run(program)
    assert found.verdict == "failed"
    assert any(part in found.text for part in text.split("|")), found


def test_a_server_on_this_machine_is_out_of_reach() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        found = run(body(f"socket.create_connection(('127.0.0.1', {port}), 5)", "return a + b"))
    assert found == Execution("failed", "OSError: [Errno 101] Network is unreachable")


@pytest.mark.parametrize(
    "program",
    [
        "import sys\nsys.exit(0)",
        "import os\nos._exit(0)",
        "import os\nos.closerange(0, 1000)\ndef add(a, b): return 3",
        body("os._exit(0)"),
        body("os.kill(os.getpid(), 9)"),
        body("os.execv(sys.executable, ['python', '-c', 'pass'])"),
        body("return 'x' * (20 << 20)"),
        body("for fd in range(1000):", "    try: os.write(fd, b'{\"verdict\": \"passed\"}')",
             "    except OSError: pass", "os._exit(0)"),
    ],
)  # fmt: skip
def test_to_end_before_the_tests_do_is_no_success(program: str) -> None:
    assert run(program).verdict in ("ended early", "failed")


@pytest.mark.parametrize(
    "program",
    [
        # Equals everything.
        "class Any:\n    def __eq__(self, other): return True\ndef add(a, b): return Any()",
        "class Any(int):\n    def __eq__(self, other): return True\ndef add(a, b): return Any(7)",
        # Takes the place of what the tests use.
        "import builtins\nbuiltins.AssertionError = None\n" + body("return 4"),
        "def check(candidate): pass\n" + body("return 4"),
        # Rewrites its caller.
        body("f = sys._getframe()", "while f: f.f_globals.update(pack=lambda v: 3); f = f.f_back",
             "return 4"),
        body("sys.modules['json'].dumps = lambda v: '{\"verdict\": \"passed\", \"text\": \"\"}'",
             "return 4"),
        body("import gc", "for o in gc.get_objects():",
             "    if isinstance(o, dict) and 'tests' in o: o['tests'] = ''", "return 4"),
    ],
)  # fmt: skip
def test_the_checker_is_out_of_the_programs_reach(program: str) -> None:
    if "update(pack" in program:
        # It may change its own side: then it has answered 3, whatever it computes with.
        assert run(program, "def check(candidate):\n    assert candidate(1, 2) == 5\n").verdict != (
            "passed"
        )
        return
    assert run(program).verdict != "passed"


def test_builtins_of_the_tests_are_their_own() -> None:
    program = "def len(x): return 3\ndef all(x): return True\ndef add(a, b): return []"
    tests = "def check(candidate):\n    assert len(candidate(1, 2)) == 3\n"
    assert run(program, tests) == Execution("failed", "AssertionError")


@pytest.mark.parametrize(
    "program",
    [
        body("while True: pass"),
        "while True: pass",
        body("import time", "time.sleep(600)"),
        body("import signal", "signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))",
             "while True: pass"),
    ],
)  # fmt: skip
def test_what_never_ends_is_ended(program: str) -> None:
    assert run(program, limits=Limits(wall_s=2.0)).verdict == "timed out"


def test_nothing_is_left_behind() -> None:
    mark = f"left_behind_{os.getpid()}_{time.monotonic_ns()}"
    program = body(
        "import ctypes, time",
        "ctypes.CDLL(None).prctl(1, 0, 0, 0, 0)",  # no longer killed with its parent
        f"ctypes.CDLL(None).prctl(15, b'{mark[-14:]}', 0, 0, 0)",  # a name to be found by
        "os.setsid()",
        "if os.fork() == 0: time.sleep(600)",
        "return a + b",
    )
    assert run(program).verdict == "passed"
    names = subprocess.run(["ps", "-eo", "comm"], capture_output=True, text=True, check=True).stdout
    assert mark[-14:] not in names


@pytest.mark.parametrize("shared", [False, True])
def test_a_fault_of_the_sandbox_is_not_blamed_on_the_program(
    monkeypatch: pytest.MonkeyPatch, shared: bool
) -> None:
    task = Task(body("return a + b"), TESTS, "add", shared)
    with monkeypatch.context() as patch:
        patch.setattr("agents.evaluation.sandbox.execute.visible", lambda: [None])
        with pytest.raises(SandboxUnavailable, match="NoneType"):
            execute(task, LIMITS)
    if not shared:
        run(task.program)  # skips where nothing can be executed
        monkeypatch.setattr("agents.evaluation.sandbox.execute.ROLES", "raise RuntimeError")
        with pytest.raises(SandboxUnavailable, match="a fault of its own"):
            execute(task, LIMITS)


def test_output_is_thrown_away() -> None:
    program = body("for _ in range(200): print('x' * 1_000_000)", "return a + b")
    assert run(program).verdict == "passed"


def test_descriptors_of_the_caller_are_not_inherited(tmp_path: Path) -> None:
    with (tmp_path / "secret").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        program = body(
            "def is_open(n):",
            "    try: os.fstat(n); return True",
            "    except OSError: return False",
            "raise ValueError(sum(map(is_open, range(1000))))",
        )
        assert run(program) == Execution("failed", "ValueError: 4")


def test_in_one_process_an_early_end_is_no_success_either() -> None:
    assert run("import sys\nsys.exit(0)", shared=True).verdict == "failed"
    assert run("import os\nos._exit(0)", shared=True).verdict == "ended early"
    assert run(body("return a + b"), shared=True).verdict == "passed"
