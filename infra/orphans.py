"""Nobody outlives the supervisor: children watch their parent, a sentinel watches for all."""

import ctypes
import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import psutil

PARENT = "RHEOSTAT_SUPERVISOR_PID"
RECORD = "children.json"
_PR_SET_PDEATHSIG = 1
_SAME_START_S = 0.05


def die_with_parent() -> None:
    """In a child: the kernel kills this process when its supervisor dies (Linux; survives exec)."""
    parent = os.environ.get(PARENT)
    if parent is None:
        return
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # It may have died before the call.
    if os.getppid() != int(parent):
        os.kill(os.getpid(), signal.SIGKILL)


def record(run_dir: Path, pids: dict[str, int]) -> None:
    """Writes down who is alive: pid and start time, since pids are used again; and for whom."""
    alive = {}
    for name, pid in pids.items():
        with suppress(psutil.NoSuchProcess):
            alive[name] = [pid, psutil.Process(pid).create_time()]
    partial = run_dir / f"{RECORD}.partial"
    partial.write_text(json.dumps({"supervisor": os.getpid(), "children": alive}))
    partial.replace(run_dir / RECORD)


def lives(pid: int) -> bool:
    """Whether the process runs; one that has ended and that nobody collected does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def kill_recorded(run_dir: Path, supervisor: int | None = None) -> list[str]:
    """Kills whoever is recorded and still the same process. Returns their names.

    supervisor: whose children; None: whoever's.
    """
    try:
        found = json.loads((run_dir / RECORD).read_text())
        recorded: dict[str, tuple[int, float]] = found["children"]
    except (FileNotFoundError, json.JSONDecodeError, KeyError, TypeError):
        return []
    if supervisor not in {None, found["supervisor"]}:
        return []
    killed = []
    for name, (pid, started) in recorded.items():
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            if lives(pid) and abs(process.create_time() - started) < _SAME_START_S:
                process.kill()
                # Where nobody collects the dead, it stays a zombie and the wait is in vain.
                with suppress(psutil.TimeoutExpired):
                    process.wait(2)
                killed.append(name)
    return killed


def sentinel(run_dir: Path, supervisor: int) -> None:
    """Waits until standard input closes, which the supervisor holds open, then kills the rest.

    A new supervisor may have started by then: its children are not touched.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.stdin.buffer.read()
    kill_recorded(run_dir, supervisor)


if __name__ == "__main__":
    sentinel(Path(sys.argv[1]), int(os.environ[PARENT]))
