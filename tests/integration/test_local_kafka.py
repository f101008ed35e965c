"""The local broker: its jars, its port, and its data across starts."""

import hashlib
import json
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import jgo
import pytest

from infra import local_kafka
from infra.errors import BrokenDownload, NotReady, OperatorError
from infra.local_kafka import BrokerConfig, wait_ready
from tests.conftest import _end, _worker
from tests.support.servers import Kafka, free_port

pytestmark = pytest.mark.integration
LOCK: Mapping[str, str] = json.loads((resources.files("infra") / local_kafka.LOCK).read_text())


@dataclass(frozen=True, slots=True)
class Resolved:
    """What the resolver brings."""

    path: Path
    all_jars: list[Path]


def resolve_to(folder: Path, monkeypatch: pytest.MonkeyPatch, names: Iterator[str]) -> None:
    """Makes the resolver bring files of these names, and a lock that fits them."""
    jars = [folder / name for name in names]
    for jar in jars:
        jar.write_bytes(jar.name.encode())
    monkeypatch.setattr(jgo, "build", lambda *_, **__: Resolved(folder, jars))


def test_jars_that_are_locked_are_used_in_the_order_of_the_lock() -> None:
    found = local_kafka.jars()
    assert [jar.name for jar in found] == list(LOCK)
    assert hashlib.sha256(found[0].read_bytes()).hexdigest() == LOCK[found[0].name]


def test_a_jar_with_another_checksum_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve_to(tmp_path, monkeypatch, iter(LOCK))
    with pytest.raises(BrokenDownload) as refused:
        local_kafka.jars()
    assert next(iter(LOCK)) in str(refused.value)
    assert str(tmp_path) in str(refused.value)


def test_a_jar_that_is_missing_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(tmp_path, monkeypatch, iter(()))
    with pytest.raises(BrokenDownload, match="is missing or does not have the locked sha256"):
        local_kafka.jars()


def test_no_way_to_the_jars_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise OSError("Network is unreachable")

    monkeypatch.setattr(jgo, "build", unreachable)
    with pytest.raises(OperatorError) as refused:
        local_kafka.jars()
    assert "Network is unreachable" in str(refused.value)
    assert "RHEOSTAT_KAFKA_BOOTSTRAP" in str(refused.value)


def test_a_broker_that_does_not_come_is_told() -> None:
    with pytest.raises(NotReady, match=r"logs/kafka\.log"):
        wait_ready(f"127.0.0.1:{free_port()}", timeout_s=0.1)


@contextmanager
def broker(folder: Path, port: int, **env: str) -> Iterator["subprocess.Popen[bytes]"]:
    process = _worker("kafka", folder, RHEOSTAT_KAFKA_PORT=str(port), **env)
    try:
        wait_ready(f"127.0.0.1:{port}")
        yield process
    finally:
        _end(process)


@pytest.mark.chaos
def test_a_second_start_in_the_same_folder_keeps_the_data_even_after_kill_9(
    tmp_path: Path,
) -> None:
    port = free_port()
    kafka = Kafka(f"127.0.0.1:{port}")
    with broker(tmp_path, port) as process:
        _create(kafka, "kept")
        kafka.produce("kept", [b"one", b"two"])
        controller = (tmp_path / "kafka" / "controller.port").read_text()
        process.send_signal(signal.SIGKILL)
    with broker(tmp_path, port):
        assert [message.value() for message in kafka.read_all("kept")] == [b"one", b"two"]
    assert (tmp_path / "kafka" / "controller.port").read_text() == controller


def test_a_broker_bound_to_every_address_leads_clients_somewhere(tmp_path: Path) -> None:
    port = free_port()
    env = {"RHEOSTAT_HOST": "0.0.0.0", "RHEOSTAT_ADVERTISED_HOST": "127.0.0.1"}
    kafka = Kafka(f"127.0.0.1:{port}")
    with broker(tmp_path, port, **env):
        _create(kafka, "seen")
        kafka.produce("seen", [b"one"])


@pytest.mark.parametrize(
    ("config", "advertised"),
    [
        (BrokerConfig(Path(), "127.0.0.1", 7), "127.0.0.1:7"),
        (BrokerConfig(Path(), "0.0.0.0", 7, advertised_host="me.example"), "me.example:7"),
    ],
)
def test_where_clients_are_sent(config: BrokerConfig, advertised: str) -> None:
    assert config.advertised == advertised


def test_nobody_is_sent_to_every_address() -> None:
    assert not BrokerConfig(Path(), "0.0.0.0", 7).advertised.startswith("0.0.0.0")


def _create(kafka: Kafka, topic: str) -> None:
    from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

    client = AdminClient({"bootstrap.servers": kafka.bootstrap})
    client.create_topics([NewTopic(topic, 1, 1)])[topic].result(30)
