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
    """Writes down who is alive: pid and start time, since pids are used again."""
    alive = {}
    for name, pid in pids.items():
        with suppress(psutil.NoSuchProcess):
            alive[name] = [pid, psutil.Process(pid).create_time()]
    partial = run_dir / f"{RECORD}.partial"
    partial.write_text(json.dumps(alive))
    partial.replace(run_dir / RECORD)


def kill_recorded(run_dir: Path) -> list[str]:
    """Kills whoever is recorded and still the same process. Returns their names."""
    try:
        recorded: dict[str, tuple[int, float]] = json.loads((run_dir / RECORD).read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return []
    killed = []
    for name, (pid, started) in recorded.items():
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            if abs(process.create_time() - started) < _SAME_START_S:
                process.kill()
                process.wait(10)
                killed.append(name)
    return killed


def sentinel(run_dir: Path) -> None:
    """Waits until standard input closes, which the supervisor holds open, then kills the rest."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.stdin.buffer.read()
    kill_recorded(run_dir)


if __name__ == "__main__":
    sentinel(Path(sys.argv[1]))
