"""The storage lane on real parts: exact through crashes at every step, and outages."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition

from infra.settings import Settings
from infra.workers import kafka_config
from schemas.catalog import committed
from schemas.topics import Topic
from schemas.wire import Codec
from sinks.clickhouse import ClickHouse
from sinks.errors import Backpressure, SinkBroken
from sinks.migrate import TableOptions, apply
from sinks.writer import SinkConfig, Writer
from streams.aggregate import wide
from streams.decode import decode
from streams.emit import Envelope
from streams.emit import partials as emitted
from streams.price import price_table
from streams.telemetry import Health
from streams.types import OffsetSpan
from tests.support.events import WEEK_MS, batch, encode, feedback, inference
from tests.support.servers import ClickHouseServer, Kafka, wait_until

pytestmark = pytest.mark.integration
CODEC = Codec(committed())


class Crash(BaseException):
    """The process is gone: nothing after this line of it runs."""


@pytest.fixture
def database(clickhouse: ClickHouseServer, settings: Settings) -> str:
    name = "db_" + settings.topic_prefix.strip("-")
    apply(ClickHouse(clickhouse.url), TableOptions(database=name))
    return name


def writer(settings: Settings, url: str, database: str, **overrides: Any) -> Writer:
    kafka = kafka_config(settings)
    config = SinkConfig(
        kafka,
        kafka.group("sinks"),
        f"{settings.topic_prefix}s1",
        WEEK_MS,
        session_timeout_ms=2000,
        **overrides,
    )
    return Writer(config, committed(), ClickHouse(url, database), Health())


@contextmanager
def running(sink: Writer) -> Iterator[list[BaseException]]:
    stop, died = threading.Event(), []

    def run() -> None:
        try:
            sink.run(stop)
        except BaseException as error:
            died.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield died
    finally:
        stop.set()
        thread.join(60)
        assert not thread.is_alive()


def events(n: int, **changes: Any) -> list[bytes | None]:
    at = int(time.time() * 1000)
    values = [inference(event_id=f"e-{i}", occurred_at=at, **changes) for i in range(n)]
    return list(encode("InferenceEvent", values))


def partial_messages(n: int, days: int = 1) -> list[bytes | None]:
    """n messages of 10 events each, spread over several days of event time."""
    messages: list[bytes | None] = []
    now_ms = int(time.time() * 1000)
    for i in range(n):
        at = now_ms - (i % days) * 86_400_000
        values = [inference(occurred_at=at, latency_ms=float(1 + i + k)) for k in range(10)]
        (records,) = decode(
            batch(encode("InferenceEvent", values)), "InferenceEvent", committed()
        ).records
        frame = wide(records, ~records.bad, "production", price_table(()))
        envelope = Envelope("w", datetime.now(UTC), (OffsetSpan("x", 0, i, i),))
        messages += [m.value for m in emitted([frame], [], envelope, 1, CODEC)]
    return messages


def count(clickhouse: ClickHouseServer, sql: str) -> int:
    client = clickhouse.client(autogenerate_session_id=False)
    try:
        return int(client.query(sql).result_rows[0][0])
    finally:
        client.close()


def test_events_become_rows_and_rejects_do_not(
    kafka: Kafka, settings: Settings, clickhouse: ClickHouseServer, database: str
) -> None:
    names = kafka_config(settings)
    bad: list[bytes | None] = [None, b"", b"nonsense", *events(1, latency_ms=-1.0)]
    values = events(300)
    kafka.produce(names.topic(Topic.INFERENCE_EVENTS), [*values[:100], *bad, *values[100:]])
    at = int(time.time() * 1000)
    some = encode("FeedbackEvent", [feedback(occurred_at=at, observed_at=at)] * 7)
    kafka.produce(names.topic(Topic.FEEDBACK_EVENTS), list(some))

    with running(writer(settings, clickhouse.url, database)) as died:
        table = f"{database}.inference_events"
        wait_until(lambda: bool(died) or count(clickhouse, f"SELECT count() FROM {table}") == 300)
        feedbacks = f"SELECT count() FROM {database}.feedback_events"
        wait_until(lambda: bool(died) or count(clickhouse, feedbacks) == 7)

    assert not died
    sql = f"SELECT uniqExact(src_partition, src_offset) FROM {database}.inference_events"
    assert count(clickhouse, sql) == 300
    sql = f"SELECT countIf(ab_test_id = '' AND ttft_ms IS NULL) FROM {database}.inference_events"
    assert count(clickhouse, sql) == 300


def crash_points() -> list[tuple[str, int]]:
    """Every call that leaves the process: before and after each."""
    return [(name, n) for name in ("_commit", "insert") for n in range(4)]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("step", "nth"), crash_points())
def test_a_crash_at_any_step_counts_everything_once(
    kafka: Kafka,
    settings: Settings,
    clickhouse: ClickHouseServer,
    database: str,
    step: str,
    nth: int,
    when: str,
) -> None:
    """The writer dies before or after the n-th commit or insert; its successor finishes."""
    names = kafka_config(settings)
    kafka.produce(names.topic(Topic.METRIC_PARTIALS), partial_messages(12, days=3), b"acme")
    dying = writer(settings, clickhouse.url, database, topics=(Topic.METRIC_PARTIALS,))
    _die_at(dying, step, nth, when)
    with running(dying) as died:
        sql = f"SELECT sum(n) FROM {database}.metric_panes WHERE metric = 'error'"
        wait_until(lambda: bool(died) or count(clickhouse, sql) == 120)

    kafka.produce(names.topic(Topic.METRIC_PARTIALS), partial_messages(3), b"acme")
    with running(writer(settings, clickhouse.url, database, topics=(Topic.METRIC_PARTIALS,))):
        wait_until(lambda: count(clickhouse, sql) >= 150)

    for table in ("metric_panes", "metric_hours", "metric_days"):
        total = f"SELECT sum(n) FROM {database}.{table} WHERE metric = 'latency_ms'"
        assert count(clickhouse, total) == 150
        bins = total.replace("sum(n)", "sum(arraySum(mapValues(sketch)))")
        assert count(clickhouse, bins) == 150


def _die_at(sink: Writer, step: str, nth: int, when: str) -> None:
    """Replaces what the writer calls on its two peers, to die at a call."""
    owner: Any = sink.clickhouse if step == "insert" else sink
    original: Callable[..., Any] = getattr(owner, step)
    calls = iter(range(1000))

    def dying(*args: Any) -> None:
        n = next(calls)
        if n == nth and when == "before":
            raise Crash
        original(*args)
        if n == nth:
            raise Crash

    if step == "insert":
        sink.clickhouse = _Peer(owner, dying)  # type: ignore[assignment]
    else:
        _patch_commit(sink, dying)


class _Peer:
    """A ClickHouse whose inserts are somebody else's."""

    def __init__(self, real: ClickHouse, insert: Callable[..., None]) -> None:
        self.real, self.insert = real, insert

    def close(self) -> None:
        self.real.close()


def _patch_commit(sink: Writer, dying: Callable[..., None]) -> None:
    class Dying(Writer):
        __slots__ = ()

        def _commit(self, *args: Any) -> None:
            dying(*args)

    sink.__class__ = Dying


def test_an_outage_of_clickhouse_loses_nothing(
    kafka: Kafka, settings: Settings, clickhouse: ClickHouseServer, database: str
) -> None:
    """Inserts fail for a while, some after they took effect, as a dying server's do."""
    rng = random.Random(7)
    names = kafka_config(settings)
    sink = writer(settings, clickhouse.url, database)
    real = sink.clickhouse
    failures = iter(range(6))

    def flaky(table: str, rows: Any, token: str) -> None:
        if next(failures, None) is None:
            real.insert(table, rows, token)
            return
        if rng.random() < 0.5:
            real.insert(table, rows, token)
        raise Backpressure("injected", retry_after_s=0.01)

    sink.clickhouse = _Peer(real, flaky)  # type: ignore[assignment]
    with running(sink) as died:
        for key in range(5):
            kafka.produce(names.topic(Topic.INFERENCE_EVENTS), events(200), f"k{key}".encode())
        sql = f"SELECT count() FROM {database}.inference_events"
        wait_until(lambda: bool(died) or count(clickhouse, sql) >= 1000)

    assert not died
    assert count(clickhouse, sql) == 1000
    sql = f"SELECT uniqExact(src_partition, src_offset) FROM {database}.inference_events"
    assert count(clickhouse, sql) == 1000


def test_a_fault_of_ours_stops_the_worker(
    kafka: Kafka, settings: Settings, clickhouse: ClickHouseServer, database: str
) -> None:
    """A table that does not fit is no outage: repeating cannot help, so nothing is retried."""
    ClickHouse(clickhouse.url).command(
        f"ALTER TABLE {database}.inference_events DROP COLUMN propensity"
    )
    names = kafka_config(settings)
    kafka.produce(names.topic(Topic.INFERENCE_EVENTS), events(5))

    with running(writer(settings, clickhouse.url, database)) as died:
        wait_until(lambda: bool(died))

    assert isinstance(died[0], SinkBroken)
    assert "propensity" in str(died[0])


def test_metadata_of_another_program_is_not_guessed_at(
    kafka: Kafka, settings: Settings, clickhouse: ClickHouseServer, database: str
) -> None:
    names = kafka_config(settings)
    topic = names.topic(Topic.INFERENCE_EVENTS)
    kafka.produce(topic, events(5))
    other = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": names.group("sinks")})
    marks = [TopicPartition(topic, p, 0, metadata="checkpoint 17") for p in range(4)]
    other.commit(offsets=marks, asynchronous=False)
    other.close()

    with running(writer(settings, clickhouse.url, database)) as died:
        wait_until(lambda: bool(died))

    assert isinstance(died[0], SinkBroken)
    assert "checkpoint 17" in str(died[0])
