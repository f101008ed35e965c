"""A whole stack in a folder of its own, started as a user starts it."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import clickhouse_connect
import psutil
from clickhouse_connect.driver.exceptions import ClickHouseError

from tests.support.servers import free_port


@dataclass(slots=True)
class Stack:
    """`rheostat up` as a child process; may be killed and started again in the same folder."""

    data_dir: Path
    options: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    kafka_port: int = field(default_factory=free_port)
    clickhouse_port: int = field(default_factory=free_port)
    api_port: int = field(default_factory=free_port)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.kafka_port}"

    def start(self) -> None:
        """Starts the supervisor; returns at once."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "infra", "up", "--data-dir", str(self.data_dir)]
        ports = ["--kafka-port", str(self.kafka_port)]
        ports += ["--clickhouse-port", str(self.clickhouse_port)]
        ports += ["--api-port", str(self.api_port)]
        with (self.data_dir / "up.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, *ports, *self.options],
                env={**os.environ, "RHEOSTAT_METRICS_PORT": "0", **self.env},
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def wait_ready(self, timeout_s: float = 120.0) -> None:
        """Returns when every part says that it is ready. Raises TimeoutError."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if b"ready" in (self.data_dir / "up.log").read_bytes():
                return
            if self._process is not None and self._process.poll() is not None:
                break
            time.sleep(0.1)
        raise TimeoutError(f"the stack is not ready; see {self.data_dir}/up.log")

    def pid(self, name: str) -> int | None:
        """The process id in the pid file, if that process lives."""
        try:
            pid = int((self.data_dir / "run" / f"{name}.pid").read_text())
        except (FileNotFoundError, ValueError):
            return None
        return pid if psutil.pid_exists(pid) else None

    def kill(self, name: str) -> bool:
        """kill -9; False when there is nobody to kill right now."""
        pid = self.pid(name)
        if pid is None:
            return False
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return False
        if name == "supervisor" and self._process is not None:
            self._process.wait(30)
        return True

    def stop(self) -> None:
        """Stops everything as Ctrl-C does."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(120)

    def query(self, sql: str) -> Any:
        """The one value of a query, None while ClickHouse does not answer."""
        try:
            client = clickhouse_connect.get_client(
                host="127.0.0.1", port=self.clickhouse_port, autogenerate_session_id=False
            )
            try:
                return client.query(sql).result_rows[0][0]
            finally:
                client.close()
        except (ClickHouseError, OSError):
            return None

    def metrics_ports(self) -> dict[str, int]:
        """Where each worker shows its pages."""
        found = json.loads((self.data_dir / "run" / "targets.json").read_text())
        return {t["labels"]["process"]: int(t["targets"][0].rpartition(":")[2]) for t in found}
