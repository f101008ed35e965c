"""The local stack as a child: `rheostat up` on free ports, gone when the demo is gone."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from infra.errors import NotReady, PortTaken
from infra.ports import free_ports
from infra.settings import Settings

READY_S = 240.0
STOP_S = 90.0
POLL_S = 0.1
ENDS_MAX = 3
READY = b"ready"
"""What `rheostat up` says first when everything is; its other lines are log entries."""
STAGES = {
    "kafka": "starting Kafka and ClickHouse",
    "streams": "starting streams, sinks, agents and the API",
}
"""What begins when a process is started, by the process."""


@dataclass(frozen=True, slots=True)
class StackSpec:
    """Where the stack keeps its data and listens."""

    data_dir: Path
    kafka_port: int
    clickhouse_port: int
    api_port: int

    @property
    def log(self) -> Path:
        return self.data_dir / "logs" / "up.log"


def port_or_free(host: str, wanted: int | None, preferred: int) -> int:
    """The wanted port; without one the preferred if it is free, else any that is.

    Raises PortTaken when somebody listens on the wanted one.
    """
    for candidate in (preferred, next(free_ports(host, 0))) if wanted is None else (wanted,):
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, candidate))
            return int(probe.getsockname()[1])
    raise PortTaken(
        f"port {wanted} on {host} is in use; name another, or none: the demo finds a free one."
    )


class LocalStack:
    """Start, wait until ready, stop. Stops at the latest when this process ends."""

    def __init__(self, spec: StackSpec) -> None:
        self._spec = spec
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns at once."""
        spec = self._spec
        spec.log.parent.mkdir(parents=True, exist_ok=True)
        spec.log.write_bytes(b"")
        command = [sys.executable, "-m", "infra.demo.child", "up", "--data-dir", str(spec.data_dir)]
        for name in ("kafka_port", "clickhouse_port", "api_port"):
            command += [f"--{name.replace('_', '-')}", str(getattr(spec, name))]
        with spec.log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                env={**os.environ, "RHEOSTAT_METRICS_PORT": "0", "NO_COLOR": "1"},
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C is for us alone, so that we can stop it in order.
                start_new_session=True,
            )

    def wait_ready(self, on_stage: Callable[[str], None]) -> Settings:
        """Settings of the running stack. `on_stage` hears what is being started, once each.

        Raises NotReady with what the log says.
        """
        deadline = time.monotonic() + READY_S
        told: set[str] = set()
        while time.monotonic() < deadline:
            lines = self._spec.log.read_bytes().splitlines()
            if any(line.startswith(READY) for line in lines):
                return Settings(data_dir=self._spec.data_dir)
            if self._process is None or self._process.poll() is not None:
                raise NotReady(f"the stack ended while starting: {self._last_words(lines)}")
            why = trouble(lines)
            if why is not None:
                raise NotReady(f"a part of the stack does not start: {why}")
            for entry in _entries(lines):
                stage = STAGES.get(str(entry.get("process")))
                if stage is not None and stage not in told:
                    told.add(stage)
                    on_stage(stage)
            time.sleep(POLL_S)
        raise NotReady(f"the stack is not ready after {READY_S:g} s; see {self._spec.log.parent}")

    def stop(self) -> None:
        """Stops everything in order and waits for it. Does nothing a second time."""
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()  # its sentinel kills the rest
                process.wait(10)
        if process.stdin is not None:
            process.stdin.close()
        self._process = None

    def _last_words(self, lines: list[bytes]) -> str:
        text = "\n".join(line.decode(errors="replace") for line in lines[-5:])
        return text.strip() or f"it said nothing; see {self._spec.log}"


def trouble(lines: list[bytes]) -> str | None:
    """What a process said at its ends, once it ended too often to be started again."""
    said: defaultdict[str, list[str]] = defaultdict(list)
    for entry in _entries(lines):
        if "last_words" in entry:
            said[str(entry["process"])].append(str(entry["last_words"]))
    for process, words in said.items():
        if len(words) >= ENDS_MAX:
            return f"{process}: {'; '.join(dict.fromkeys(words))}"
    return None


def _entries(lines: list[bytes]) -> Iterator[dict[str, object]]:
    """The log entries among the lines."""
    for line in lines:
        with suppress(json.JSONDecodeError):
            entry = json.loads(line)
            if isinstance(entry, dict):
                yield entry
