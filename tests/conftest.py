"""Real servers for tests that are marked; a test without a mark may not connect anywhere."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from infra.local_kafka import wait_ready
from infra.settings import Settings
from tests.support.servers import ClickHouseServer, Kafka, free_port, wait_http

MARKS = ("integration", "chaos")
OUT_OF_TIME = ("TooSlow", "Timeout", "[Tt]imed out", "Unavailable", "NotReady", "PortTaken")
"""What integration tests may end in on a machine that has too much to do: they are tried once more,
and the summary names them. A test that finds a wrong number is never tried again, nor is any in
`make chaos`."""
# Not the pretty traceback, which walks through variables that other threads are changing.
structlog.configure(
    processors=[
        *structlog.get_config()["processors"][:-1],
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
    ]
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Lets integration tests that ran out of time try once more."""
    for item in items:
        if item.get_closest_marker("integration") and not item.get_closest_marker("chaos"):
            item.add_marker(
                pytest.mark.flaky(reruns=1, reruns_delay=2, only_rerun=list(OUT_OF_TIME))
            )


@pytest.fixture(autouse=True)
def no_sockets(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unmarked tests are pure: connecting is an error, not a slow success."""
    if any(request.node.get_closest_marker(name) for name in MARKS):
        return

    def refuse(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX:
            pytest.fail(f"an unmarked test connects to {address}; mark it as integration")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """A broker for the whole session, or the one of RHEOSTAT_KAFKA_BOOTSTRAP."""
    given = os.environ.get("RHEOSTAT_KAFKA_BOOTSTRAP")
    if given:
        yield Kafka(given)
        return
    port = free_port()
    process = _worker("kafka", tmp_path_factory.mktemp("kafka"), RHEOSTAT_KAFKA_PORT=str(port))
    try:
        wait_ready(f"127.0.0.1:{port}")
        yield Kafka(f"127.0.0.1:{port}")
    finally:
        _end(process)


@pytest.fixture(scope="session")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseServer]:
    """A ClickHouse for the whole session, or the one of RHEOSTAT_CLICKHOUSE_URL."""
    given = os.environ.get("RHEOSTAT_CLICKHOUSE_URL")
    if given:
        yield ClickHouseServer(given)
        return
    port = free_port()
    folder = tmp_path_factory.mktemp("clickhouse")
    process = _worker("clickhouse", folder, RHEOSTAT_CLICKHOUSE_PORT=str(port))
    try:
        wait_http(f"http://127.0.0.1:{port}/ping")
        yield ClickHouseServer(f"http://127.0.0.1:{port}")
    finally:
        _end(process)


@pytest.fixture
def settings(kafka: Kafka, tmp_path: Path) -> Settings:
    """Settings with a topic prefix of the test's own, topics created."""
    from infra.topics import ensure

    own = Settings(
        kafka_bootstrap=kafka.bootstrap, topic_prefix=kafka.new_prefix(), data_dir=tmp_path
    )
    ensure(own)
    return own


def _worker(kind: str, data_dir: Path, **env: str) -> subprocess.Popen[bytes]:
    with (data_dir / f"{kind}.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "infra", "worker", kind],
            env={**os.environ, "RHEOSTAT_DATA_DIR": str(data_dir), **env},
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)
