"""The data and storage lanes in threads of a test, and what they left behind."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import polars as pl
from confluent_kafka import Message, Producer

from infra.settings import Settings
from infra.workers import kafka_config
from schemas.catalog import SchemaCatalog, committed
from schemas.topics import Topic
from schemas.wire import Codec
from sinks.clickhouse import ClickHouse
from sinks.migrate import TableOptions, apply
from sinks.writer import SinkConfig, Writer
from streams.partials import from_record, merge
from streams.registry_view import RegistryView
from streams.source import SourceConfig
from streams.telemetry import Health
from streams.worker import HOT_TOPICS, Worker, WorkerConfig
from tests.support.events import WEEK_MS
from tests.support.servers import ClickHouseServer, Kafka

CODEC = Codec(committed())
SESSION_MS = 3000


def now_ms() -> int:
    return int(time.time() * 1000)


@dataclass(frozen=True, slots=True)
class Lanes:
    """One prefix of topics and one database."""

    kafka: Kafka
    settings: Settings
    clickhouse: ClickHouseServer
    database: str

    @classmethod
    def create(
        cls,
        kafka: Kafka,
        settings: Settings,
        clickhouse: ClickHouseServer,
        database: str | None = None,
    ) -> "Lanes":
        """With its tables made; by default in a database of its own."""
        database = database or "db_" + settings.topic_prefix.strip("-")
        server = ClickHouse(clickhouse.url)
        apply(server, TableOptions(database=database))
        server.close()
        return cls(kafka, settings, clickhouse, database)

    def topic(self, topic: Topic) -> str:
        return kafka_config(self.settings).topic(topic)

    def worker(
        self, name: str = "w1", catalog: SchemaCatalog | None = None, batch_size: int = 500
    ) -> Worker:
        """A data-lane worker; `name` is its identity after a restart."""
        kafka, schemas = kafka_config(self.settings), catalog or committed()
        instance = f"{self.settings.topic_prefix}{name}"
        source = SourceConfig(
            kafka, HOT_TOPICS, kafka.group("streams"), instance, batch_size, 50, SESSION_MS
        )
        view = RegistryView(kafka, Codec(schemas))
        return Worker(WorkerConfig(source, WEEK_MS), schemas, view, Health())

    def writer(
        self, name: str = "s1", catalog: SchemaCatalog | None = None, **overrides: Any
    ) -> Writer:
        """A storage-lane worker; `overrides` are fields of SinkConfig."""
        kafka = kafka_config(self.settings)
        config = SinkConfig(
            kafka,
            kafka.group("sinks"),
            f"{self.settings.topic_prefix}{name}",
            WEEK_MS,
            session_timeout_ms=SESSION_MS,
            **overrides,
        )
        url, database = self.clickhouse.url, self.database
        return Writer(config, catalog or committed(), ClickHouse(url, database), Health())

    def produce(
        self, topic: Topic, messages: Sequence[tuple[bytes | None, bytes | None]]
    ) -> list[tuple[int, int]]:
        """Writes (key, value) pairs; returns (partition, offset) of each."""
        producer = Producer(
            {"bootstrap.servers": self.kafka.bootstrap, "message.max.bytes": 16 * 1024 * 1024}
        )
        found: list[tuple[int, int]] = [(-1, -1)] * len(messages)
        for i, (key, value) in enumerate(messages):

            def delivered(error: Any, message: Message, i: int = i) -> None:
                assert error is None, error
                found[i] = int(message.partition() or 0), int(message.offset() or 0)

            producer.produce(self.topic(topic), value, key, on_delivery=delivered)
            producer.poll(0)
        assert producer.flush(30) == 0
        return found

    def letters(self) -> list[dict[str, Any]]:
        """Every dead letter of the topic."""
        messages = self.kafka.read_all(self.topic(Topic.DEAD_LETTERS))
        return [CODEC.decode(m.value(), "DeadLetter") for m in messages]

    def partials(self) -> pl.DataFrame:
        """Everything of metric-partials, merged."""
        found = self.kafka.read_all(self.topic(Topic.METRIC_PARTIALS))
        return merge([from_record(CODEC.decode(m.value(), "MetricPartials")).frame for m in found])

    def counted(self, metric: str = "error") -> int:
        """Values of a metric in metric-partials."""
        return int(self.partials().filter(pl.col("metric") == metric)["n"].sum())

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """A query; {db} is this database."""
        client = self.clickhouse.client(autogenerate_session_id=False)
        try:
            return [
                tuple(row) for row in client.query(sql.replace("{db}", self.database)).result_rows
            ]
        finally:
            client.close()

    def count(self, table: str, what: str = "count()", where: str = "1") -> int:
        """One number of a table."""
        return int(self.rows(f"SELECT {what} FROM {{db}}.{table} WHERE {where}")[0][0])

    def panes(self, metric: str = "error") -> int:
        """Values of a metric in metric_panes."""
        return self.count("metric_panes", "sum(n)", f"metric = '{metric}'")


@contextmanager
def running(*parts: Worker | Writer) -> Iterator[list[BaseException]]:
    """Runs them until the end of the block; what killed one is in the list."""
    stop, died = threading.Event(), []

    def run(part: Worker | Writer) -> None:
        try:
            part.run(stop)
        except BaseException as error:
            died.append(error)

    threads = [threading.Thread(target=run, args=(part,)) for part in parts]
    for part, thread in zip(parts, threads, strict=True):
        if isinstance(part, Worker):
            part.registry.start()
        thread.start()
    try:
        yield died
    finally:
        stop.set()
        for part, thread in zip(parts, threads, strict=True):
            thread.join(60)
            if isinstance(part, Worker):
                part.registry.close()
            assert not thread.is_alive()
