"""Servers of a test's own, which it may kill and start again over the same data."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from infra.local_kafka import wait_ready
from tests.support.servers import free_port, wait_http


@dataclass(slots=True)
class OwnServer:
    """A broker or a ClickHouse on a port and folder that stay."""

    kind: Literal["kafka", "clickhouse"]
    folder: Path
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def start(self) -> None:
        """Returns when it answers."""
        with (self.folder / f"{self.kind}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "infra", "worker", self.kind],
                env={
                    **os.environ,
                    "RHEOSTAT_DATA_DIR": str(self.folder),
                    f"RHEOSTAT_{self.kind.upper()}_PORT": str(self.port),
                },
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        if self.kind == "kafka":
            wait_ready(self.address)
        else:
            wait_http(f"{self.url}/ping", 60)

    def kill(self) -> None:
        """kill -9."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(20)


@contextmanager
def own_server(kind: Literal["kafka", "clickhouse"], folder: Path) -> Iterator[OwnServer]:
    """Runs until the end of the block, unless killed before."""
    server = OwnServer(kind, folder)
    try:
        server.start()
        yield server
    finally:
        server.kill()
