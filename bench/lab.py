"""A broker, an engine and workers as the product starts them, in a folder that is removed."""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import clickhouse_connect
import psutil
from confluent_kafka import Consumer, KafkaException, TopicPartition
from prometheus_client.parser import text_string_to_metric_families

from infra.kafka_admin import new_client
from infra.local_kafka import wait_ready
from infra.settings import Settings
from infra.topics import ensure
from infra.workers import kafka_config
from schemas.catalog import committed
from schemas.entities import Entity
from schemas.topics import Topic
from schemas.wire import Codec
from tests.support import registry
from tests.support.servers import free_port, wait_http

CODEC = Codec(committed())
STOP_S = 30.0
GROUP_FREE_S = 60.0


@dataclass(slots=True)
class Child:
    """A process of the product. Ends with this process, whatever happens to it."""

    process: subprocess.Popen[bytes]
    log: Path
    port: int

    def cpu_s(self) -> float:
        """User and system time so far. Raises RuntimeError when the process ended."""
        try:
            times = psutil.Process(self.process.pid).cpu_times()
        except psutil.NoSuchProcess:
            raise RuntimeError(f"a worker ended; see {self.log}") from None
        return float(times.user + times.system)

    def rss_mb(self) -> float:
        """Resident memory now."""
        return float(psutil.Process(self.process.pid).memory_info().rss / 2**20)

    def wait_ready(self, timeout_s: float = 60.0) -> None:
        """Returns when the process says that it works. Raises TimeoutError, RuntimeError."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"a worker ended at its start: {self.log.read_text()[-2000:]}")
            with suppress(urllib.error.URLError, OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=1)
                return
            time.sleep(0.01)
        raise TimeoutError(f"a worker is not ready; see {self.log}")

    def counter(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that have these labels, from the process's own page."""
        page = urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=10).read()
        return sum(
            sample.value
            for family in text_string_to_metric_families(page.decode())
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def stop(self) -> None:
        """Ends it as Ctrl-C does; kills it when it does not end."""
        self.process.terminate()
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)


@dataclass(slots=True)
class Lab:
    """The servers of one bench run; every set of topics has a prefix of its own."""

    folder: Path
    bootstrap: str = ""
    clickhouse_url: str = ""
    _children: list[Child] = field(default_factory=list)
    _prefixes: int = 0

    def start_kafka(self) -> None:
        """Starts the local broker unless it runs."""
        if not self.bootstrap:
            port = free_port()
            self._start("kafka", {"RHEOSTAT_KAFKA_PORT": str(port)})
            wait_ready(f"127.0.0.1:{port}")
            self.bootstrap = f"127.0.0.1:{port}"

    def start_clickhouse(self) -> None:
        """Starts the local engine unless it runs."""
        if not self.clickhouse_url:
            port = free_port()
            self._start("clickhouse", {"RHEOSTAT_CLICKHOUSE_PORT": str(port)})
            wait_http(f"http://127.0.0.1:{port}/ping")
            self.clickhouse_url = f"http://127.0.0.1:{port}"

    def new_settings(self) -> Settings:
        """Settings with a new prefix; its topics exist and are empty."""
        self.start_kafka()
        self._prefixes += 1
        settings = Settings(
            kafka_bootstrap=self.bootstrap,
            topic_prefix=f"bench{self._prefixes}-",
            data_dir=self.folder,
            clickhouse_url=self.clickhouse_url or None,
        )
        ensure(settings)
        return settings

    def client(self) -> Any:
        """An unmodified clickhouse-connect client."""
        self.start_clickhouse()
        return clickhouse_connect.get_client(
            dsn=self.clickhouse_url, autogenerate_session_id=False, compress=False
        )

    @contextmanager
    def worker(self, kind: str, settings: Settings, **env: str) -> Iterator[Child]:
        """A worker that reads this prefix, ready. `env`: further settings of it."""
        child = self._start(kind, {"RHEOSTAT_TOPIC_PREFIX": settings.topic_prefix, **env})
        try:
            child.wait_ready()
            yield child
        finally:
            self._children.remove(child)
            child.stop()

    def close(self) -> None:
        """Ends everything, the youngest first."""
        while self._children:
            self._children.pop().stop()

    def _start(self, kind: str, env: dict[str, str]) -> Child:
        port = free_port()
        log = self.folder / f"{kind}.log"
        addresses = {
            "RHEOSTAT_KAFKA_BOOTSTRAP": self.bootstrap,
            "RHEOSTAT_CLICKHOUSE_URL": self.clickhouse_url,
        }
        with log.open("ab") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "infra", "worker", kind],
                env={
                    **os.environ,
                    **addresses,
                    "RHEOSTAT_DATA_DIR": str(self.folder),
                    "RHEOSTAT_METRICS_PORT": str(port),
                    "RHEOSTAT_SUPERVISOR_PID": str(os.getpid()),
                    **env,
                },
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        child = Child(process, log, port)
        self._children.append(child)
        return child


def apply_registry(settings: Settings, entities: Sequence[Entity]) -> None:
    """Writes the entities by an agent of its own, before any worker runs."""
    registry.apply_registry(settings, entities, "bench")


class Offsets:
    """How far a consumer group has come, asked from outside it."""

    def __init__(self, settings: Settings, group: str, topic: Topic) -> None:
        kafka = kafka_config(settings)
        self._consumer = Consumer(kafka.consumer(kafka.group(group)))
        self._name = kafka.topic(topic)
        found = self._consumer.list_topics(self._name, timeout=30).topics[self._name]
        self._partitions = [TopicPartition(self._name, p) for p in found.partitions]

    def committed(self) -> int:
        """Records behind the committed offsets. Topics of a bench begin at offset 0."""
        found = self._consumer.committed(self._partitions, timeout=30)
        return sum(max(0, int(at.offset)) for at in found)

    def ends(self) -> list[TopicPartition]:
        """Where each partition ends now."""
        ends = []
        for at in self._partitions:
            _, high = self._consumer.get_watermark_offsets(at, timeout=30)
            ends.append(TopicPartition(at.topic, at.partition, high))
        return ends

    def close(self) -> None:
        self._consumer.close()


Ends = Sequence[TopicPartition]


def read_messages(settings: Settings, first: Ends, last: Ends) -> list[Any]:
    """Committed messages from the first offsets up to the last ones (not included)."""
    kafka = kafka_config(settings)
    consumer = Consumer(kafka.consumer(kafka.group("bench-reader")))
    ends = {(at.topic, at.partition): at.offset for at in last}
    found: list[Any] = []
    try:
        consumer.assign(list(first))
        open_ = [at for at in first if at.offset < ends[at.topic, at.partition]]
        while open_:
            messages: list[Any] = consumer.consume(10_000, 0.5)
            for message in messages:
                place = message.topic(), message.partition()
                if message.error() is None and message.offset() < ends[place]:
                    found.append(message)
            # Control records make positions jump: an end is passed, not hit.
            here = consumer.position(open_)
            open_ = [at for at in here if at.offset < ends[at.topic, at.partition]]
    finally:
        consumer.close()
    return found


def forget_group(settings: Settings, name: str) -> None:
    """Lets the next worker begin at the beginning. A static member has to time out first."""
    group = kafka_config(settings).group(name)
    client = new_client(settings)  # held: its answers come as long as it lives
    deadline = time.monotonic() + GROUP_FREE_S
    while True:
        try:
            client.delete_consumer_groups([group])[group].result(30)
        except KafkaException as error:
            reason = error.args[0].name()
            if reason == "GROUP_ID_NOT_FOUND":
                return
            if reason != "NON_EMPTY_GROUP" or time.monotonic() > deadline:
                raise
            time.sleep(0.5)
        else:
            return
