"""A supervisor of toy processes in a process of its own.

python -m tests.support.toys DIR PLAN [nohup]
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra import logs
from infra.process import ChildSpec
from infra.supervisor import Child, Supervisor
from tests.support.servers import wait_until

TOY = """
import os, pathlib, signal, sys, time
name, folder, kind = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3]

def say(word):
    with (folder / "events").open("a") as out:
        out.write(f"{word} {name}\\n")

def stop(*_):
    say("stop")
    sys.exit(0)

signal.signal(signal.SIGTERM, signal.SIG_IGN if kind == "deaf" else stop)
say("start")
if kind == "dies":
    print('{"event": "no luck today", "level": "error"}', flush=True)
    sys.exit(3)
if kind == "slow":
    time.sleep(0.5)
say("ready")
(folder / f"{name}.ready").write_text(str(os.getpid()))
while True:
    time.sleep(0.02)
"""


@dataclass(frozen=True, slots=True)
class Toys:
    """A running supervisor of toys in `folder`."""

    folder: Path
    process: "subprocess.Popen[str]"

    def events(self) -> list[str]:
        """What the toys said, in order: start, ready, stop, each with the name."""
        path = self.folder / "events"
        return path.read_text().splitlines() if path.exists() else []

    def pid(self, name: str) -> int:
        """From the pid file."""
        return int((self.folder / "run" / f"{name}.pid").read_text())

    def wait_for(self, *events: str) -> None:
        """Returns when all were said."""
        wait_until(lambda: set(events) <= set(self.events()), what=f"{events}: {self.events()}")

    def end(self, number: int = signal.SIGTERM) -> list[dict[str, Any]]:
        """Signals the supervisor and waits; its log."""
        self.process.send_signal(number)
        _, err = self.process.communicate(timeout=60)
        return [json.loads(line) for line in err.splitlines() if line.startswith("{")]


@contextmanager
def running(
    folder: Path, plan: Sequence[Mapping[str, Any]], *, nohup: bool = False
) -> Iterator[Toys]:
    """Toys under a supervisor. `plan`: name, and perhaps kind, needs, grace_s.

    nohup: whether it is started as nohup would, however the tests themselves were started.
    """
    argv = [sys.executable, "-m", "tests.support.toys", str(folder), json.dumps(list(plan))]
    process = subprocess.Popen(
        [*argv, "nohup"] if nohup else argv,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    toys = Toys(folder, process)
    try:
        yield toys
    finally:
        if process.poll() is None:
            process.terminate()
            process.communicate(timeout=60)
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
        for path in (folder / "run").glob("*.pid"):
            with suppress(OSError, ValueError):
                os.kill(int(path.read_text()), signal.SIGKILL)


def main() -> None:
    """Supervises until a signal."""
    folder, plan, nohup = Path(sys.argv[1]), json.loads(sys.argv[2]), "nohup" in sys.argv[3:]
    signal.signal(signal.SIGHUP, signal.SIG_IGN if nohup else signal.SIG_DFL)
    logs.configure()
    children = []
    for toy in plan:
        name = toy["name"]
        argv = [sys.executable, "-c", TOY, name, str(folder), toy.get("kind", "good")]
        spec = ChildSpec(name, argv, needs=toy.get("needs", ()), grace_s=toy.get("grace_s", 10.0))
        children.append(Child(spec, (folder / f"{name}.ready").exists))
    Supervisor(folder, children, [], {"kafka_bootstrap": "toy:1"}).run()


if __name__ == "__main__":
    main()
