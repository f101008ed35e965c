"""The buffer is bounded, every event is accounted for, and Kafka's trouble stays inside."""

import time

import pytest
from confluent_kafka import KafkaError

from rheostat_client.errors import RegistryUnavailable
from rheostat_client.outbox import Outbox
from rheostat_client.wire import WriterSchema, packaged
from tests.support.client import Failure, FakeProducer
from tests.support.events import inference
from tests.support.servers import wait_until

TOPICS = {"InferenceEvent": "inference-events"}


def outbox(*producers: FakeProducer, capacity: int = 100) -> Outbox:
    left = list(producers)
    return Outbox(lambda: left.pop(0), packaged(), TOPICS, capacity)


def put(box: Outbox, count: int = 1) -> list[bool]:
    return [box.put("InferenceEvent", inference(event_id=f"e-{i}")) for i in range(count)]


def test_events_arrive_in_order() -> None:
    producer = FakeProducer()
    box = outbox(producer, capacity=1000)
    assert all(put(box, 500))
    assert box.flush(30) == 0
    assert [e["event_id"] for e in producer.events()] == [f"e-{i}" for i in range(500)]
    assert (box.counts().delivered, box.counts().waiting, box.counts().lost) == (500, 0, 0)


def test_the_bound_counts_what_librdkafka_holds_too() -> None:
    producer = FakeProducer(room=30, away=True)
    box = outbox(producer, capacity=100)
    taken = put(box, 130)
    assert taken == [True] * 100 + [False] * 30
    wait_until(lambda: len(producer.pending) == 30)
    assert box.counts().waiting == 100
    assert not put(box)[0]
    assert box.counts().dropped == {"buffer_full": 31}
    producer.away = False
    assert box.flush(30) == 0
    assert box.counts().delivered == 100


def test_what_the_broker_refuses_is_counted_by_reason() -> None:
    producer = FakeProducer(
        failures=[
            Failure(KafkaError._MSG_TIMED_OUT),
            Failure(KafkaError.TOPIC_AUTHORIZATION_FAILED),
        ]
    )
    box = outbox(producer)
    put(box, 3)
    assert box.flush(30) == 0
    assert box.counts().dropped == {"undelivered": 1, "refused": 1}
    assert box.counts().delivered == 1


def test_a_fatal_error_makes_another_producer() -> None:
    broken = FakeProducer(failures=[Failure(KafkaError._FATAL, fatal=True)])
    second = FakeProducer()
    box = outbox(broken, second)
    put(box)
    assert box.flush(30) == 0
    put(box, 5)
    assert box.flush(30) == 0
    assert len(second.sent) == 5
    assert box.counts().dropped == {"refused": 1}


def test_close_ends_in_time_and_says_what_was_lost() -> None:
    producer = FakeProducer(room=10, away=True)
    box = outbox(producer)
    put(box, 40)
    started = time.monotonic()
    assert box.close(0.2) == 40
    assert time.monotonic() - started < 10
    counts = box.counts()
    assert (counts.accepted, counts.waiting, counts.dropped) == (40, 0, {"unsent": 40})
    assert put(box) == [False]
    assert box.counts().dropped == {"unsent": 40, "closed": 1}


def test_close_sends_what_waits() -> None:
    producer = FakeProducer()
    box = outbox(producer)
    put(box, 90)
    assert box.close(30) == 0
    assert len(producer.sent) == 90


def test_closing_what_never_sent_needs_no_thread() -> None:
    assert outbox(FakeProducer()).close(30) == 0


class Registry:
    """A schema registry that comes back after a few questions."""

    def __init__(self) -> None:
        self.asked = 0

    def by_id(self, schema_id: int) -> WriterSchema:
        raise AssertionError(schema_id)

    def newest(self, record: str) -> WriterSchema:
        self.asked += 1
        if self.asked < 2:
            raise RegistryUnavailable("away")
        return packaged().newest(record)._replace(schema_id=77)


def test_events_wait_for_the_schema_registry() -> None:
    producer = FakeProducer()
    box = Outbox(lambda: producer, Registry(), TOPICS, 100)
    put(box, 3)
    assert box.flush(30) == 0
    assert {value[:5] for _, value, _ in producer.sent} == {b"\x00\x00\x00\x00\x4d"}
    assert len(producer.sent) == 3


def test_a_value_that_cannot_be_encoded_is_counted_and_the_next_goes_on() -> None:
    producer = FakeProducer()
    box = outbox(producer)
    box.put("InferenceEvent", inference(latency_ms="long"))
    put(box)
    assert box.flush(30) == 0
    assert box.counts().dropped == {"invalid": 1}
    assert len(producer.sent) == 1


def test_our_own_bug_is_logged_and_loses_nothing_silently(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken(FakeProducer):
        def poll(self, timeout_s: float) -> int:
            raise ZeroDivisionError

    box = outbox(Broken())
    put(box, 3)
    wait_until(lambda: box.counts().waiting == 0)
    assert "the reporter stopped" in caplog.text
    assert put(box) == [False]
    assert box.counts().lost == 4
