"""The next batch is made ready while ClickHouse takes the one before, and is not lost by it."""

import threading
import time
from typing import Any

import pytest
from confluent_kafka import Message

from schemas.catalog import committed
from schemas.topics import Topic
from sinks.buffer import Buffer
from sinks.clickhouse import ClickHouse
from sinks.errors import Backpressure
from sinks.tables import TABLES
from sinks.writer import SinkConfig, Writer
from streams.kafka import KafkaConfig
from streams.telemetry import Health
from tests.support.events import NOW_MS, WEEK_MS, encode, inference

TOPIC = "inference-events"


def message(partition: int, offset: int) -> Any:
    [value] = encode("InferenceEvent", [inference()])
    return Message(TOPIC, partition, offset=offset, key=b"k", value=value, timestamp=(1, NOW_MS))


class FakeInbox:
    """Two partitions with a message each; remembers commits."""

    lost = False

    def __init__(self) -> None:
        self.buffers = {(TOPIC, p): Buffer([message(p, 10 * p)], 1, 0.0) for p in (0, 1)}
        self.commits: list[tuple[int, int, bool]] = []

    def read(self, now_s: float, wait_s: float) -> None: ...

    def resume(self) -> None: ...

    def pause(self) -> None: ...

    def size_bytes(self) -> int:
        return 0

    def commit(self, place: tuple[str, int], offset: int, metadata: str) -> None:
        self.commits.append((place[1], offset, bool(metadata)))


class Slow(ClickHouse):
    """Takes an insert when it is told to."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:1")
        self.go, self.fail, self.inserts = threading.Event(), False, 0

    def insert(self, table: str, rows: Any, token: str) -> None:
        assert self.go.wait(30)
        if self.fail:
            raise Backpressure("away", 0.0)
        self.inserts += 1


@pytest.fixture
def sink() -> Writer:
    made = Writer(SinkConfig(KafkaConfig(""), "g", "i", WEEK_MS), committed(), Slow(), Health())
    made._inbox = FakeInbox()  # type: ignore[assignment]
    made._specs = {TOPIC: TABLES[Topic.INFERENCE_EVENTS]}
    return made


def until_idle(sink: Writer) -> None:
    for _ in range(1000):
        if sink._pending is None:
            return
        time.sleep(0.01)
        sink._round()
    pytest.fail("the insert did not end")


def test_one_insert_at_a_time_and_its_offset_before_the_next_intent(sink: Writer) -> None:
    clickhouse, inbox = sink.clickhouse, sink._inbox
    assert isinstance(clickhouse, Slow)
    assert isinstance(inbox, FakeInbox)
    threading.Timer(0.2, clickhouse.go.set).start()

    sink._round()
    until_idle(sink)

    assert inbox.commits == [(0, 0, True), (0, 1, False), (1, 10, True), (1, 11, False)]
    assert clickhouse.inserts == 2


def test_a_batch_behind_a_failed_insert_stays_in_its_buffer(sink: Writer) -> None:
    clickhouse, inbox = sink.clickhouse, sink._inbox
    assert isinstance(clickhouse, Slow)
    assert isinstance(inbox, FakeInbox)
    clickhouse.fail = True
    clickhouse.go.set()

    sink._round()

    assert inbox.commits == [(0, 0, True)]
    assert [len(buffer.messages) for buffer in inbox.buffers.values()] == [0, 1]
    clickhouse.fail, sink._retry_at_s = False, 0.0
    sink._round()
    until_idle(sink)
    assert inbox.commits[-1] == (1, 11, False)
    assert clickhouse.inserts == 2
