"""Offsets of a transaction: a call that never returns ends the process, and no other."""

import queue
import threading
from typing import Any

import pytest
from confluent_kafka import KafkaException

from streams import kafka
from streams.kafka import EXIT_HUNG, send_offsets


class Producer:
    """One whose call takes until `freed` is set."""

    def __init__(self, error: Exception | None = None) -> None:
        self.freed = threading.Event()
        self.sent: list[tuple[Any, Any, float]] = []
        self._error = error

    def send_offsets_to_transaction(self, positions: Any, group: Any, timeout_s: float) -> None:
        assert self.freed.wait(30)
        if self._error is not None:
            raise self._error
        self.sent.append((positions, group, timeout_s))


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> "queue.Queue[int]":
    monkeypatch.setattr(kafka, "OVERDUE_S", 0.05)
    return queue.Queue()


def test_a_call_that_hangs_ends_the_process(ends: "queue.Queue[int]") -> None:
    producer = Producer()

    def end(code: int) -> None:
        ends.put(code)
        producer.freed.set()

    send_offsets(producer, [], "group", 0.05, end)
    assert ends.get(timeout=30) == EXIT_HUNG


def test_a_call_that_returns_or_raises_leaves_the_process_alone(ends: "queue.Queue[int]") -> None:
    quick, failing = Producer(), Producer(KafkaException("not now"))
    quick.freed.set()
    failing.freed.set()
    send_offsets(quick, [], "group", 0.05, ends.put)
    with pytest.raises(KafkaException):
        send_offsets(failing, [], "group", 0.05, ends.put)
    threading.Event().wait(0.3)
    assert quick.sent == [([], "group", 0.05)]
    assert ends.empty()
