"""Processes that die or sleep at every step of their protocols; then counts are compared."""

import signal
import subprocess
from collections.abc import Callable
from typing import Any

import psutil
import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer

from infra.settings import Settings
from schemas.topics import Topic
from tests.support import fuse
from tests.support.events import encode, inference
from tests.support.lane_process import process
from tests.support.lanes import Lanes, now_ms, running
from tests.support.servers import ClickHouseServer, Kafka, wait_until

pytestmark = pytest.mark.integration
Steps = list[tuple[str, fuse.When]]
SinkSteps = list[tuple[str, fuse.When, int]]
STEPS: Steps = [
    ("begin_transaction", "before"),  # 1
    ("produce", "after"),  # 2
    ("send_offsets_to_transaction", "before"),
    ("send_offsets_to_transaction", "after"),  # 3
    ("commit_transaction", "after"),  # 4
]
"""Where the data lane may die in a batch."""
FEW = [STEPS[3], STEPS[4]]


@pytest.fixture
def lanes(kafka: Kafka, settings: Settings, clickhouse: ClickHouseServer) -> Lanes:
    return Lanes.create(kafka, settings, clickhouse)


class Traffic:
    """Events of several keys, with a bad one in every hundred."""

    def __init__(self, lanes: Lanes) -> None:
        self.lanes, self.good, self.bad = lanes, 0, 0

    def send(self, count: int = 200) -> None:
        values = [inference(event_id=f"e-{i}", occurred_at=now_ms()) for i in range(count)]
        sent: list[tuple[bytes | None, bytes | None]] = [
            (f"key-{i % 8}".encode(), value)
            for i, value in enumerate(encode("InferenceEvent", values))
        ]
        wrong = [(b"key-0", b"junk")] * (count // 100)
        self.lanes.produce(Topic.INFERENCE_EVENTS, [*sent, *wrong])
        self.good, self.bad = self.good + count, self.bad + len(wrong)

    def wait_counted(self) -> None:
        wait_until(lambda: self.lanes.counted() >= self.good, 90)
        wait_until(lambda: len(self.lanes.letters()) >= self.bad)

    def compare(self) -> None:
        assert self.lanes.counted() == self.good
        letters = self.lanes.letters()
        assert len(letters) == self.bad
        assert len({(x["source_partition"], x["source_offset"]) for x in letters}) == self.bad


@pytest.fixture
def traffic(lanes: Lanes) -> Traffic:
    return Traffic(lanes)


def wait_dead(found: "subprocess.Popen[bytes]") -> None:
    assert found.wait(60) == -signal.SIGKILL


def wait_stopped(found: "subprocess.Popen[bytes]") -> None:
    wait_until(lambda: psutil.Process(found.pid).status() == psutil.STATUS_STOPPED)


@pytest.mark.parametrize("steps", [FEW, pytest.param(STEPS, marks=pytest.mark.chaos)])
def test_kill_9_at_steps_of_a_transaction(lanes: Lanes, traffic: Traffic, steps: Steps) -> None:
    """Each restart finds what the one before left: no, an open or a finished transaction."""
    for method, when in steps:
        traffic.send()
        with process(lanes, "streams", "w1", blow="kill", method=method, when=when) as dying:
            wait_dead(dying)
    with process(lanes, "streams", "w1"):
        traffic.wait_counted()
    traffic.compare()


def test_a_worker_that_slept_past_its_session_may_not_commit(
    lanes: Lanes, traffic: Traffic
) -> None:
    """It stops with its batch reduced and produced; another takes over; then it wakes up.

    Its transaction is refused with the generation it had, and it goes on in the same process.
    """
    traffic.send()
    step = {"method": "send_offsets_to_transaction", "when": "before", "blow": "stop"}
    with process(lanes, "streams", "w1", **step) as sleeping:
        wait_stopped(sleeping)
        with process(lanes, "streams", "w2") as other:
            traffic.wait_counted()
            sleeping.send_signal(signal.SIGCONT)
            traffic.send()
            traffic.wait_counted()
            other.kill()
            other.wait(10)
            traffic.send()
            traffic.wait_counted()
            assert sleeping.poll() is None
    traffic.compare()


@pytest.mark.chaos
def test_workers_come_go_die_and_sleep_while_events_flow(lanes: Lanes, traffic: Traffic) -> None:
    """Also asleep between its offsets and its commit: whoever is second waits for the decision."""
    step = {"method": "commit_transaction", "when": "before", "blow": "stop", "nth": 1}
    with process(lanes, "streams", "w1", **step) as first:
        traffic.send()
        wait_until(lambda: lanes.counted() > 0)
        traffic.send()
        wait_stopped(first)
        with process(lanes, "streams", "w2") as second:
            for _ in range(5):
                traffic.send()
            first.send_signal(signal.SIGCONT)
            traffic.wait_counted()
            with process(lanes, "streams", "w3"):
                for _ in range(5):
                    traffic.send()
                second.kill()
                second.wait(10)
                traffic.send()
            traffic.send()
        with process(lanes, "streams", "w2"):
            traffic.send()
            traffic.wait_counted()
    traffic.compare()


def fails(text: str, retriable: bool = False, abort: bool = True) -> Callable[[], None]:
    """What the client library raises when a step of a transaction fails."""

    def blow() -> None:
        raise KafkaException(KafkaError(KafkaError._FAIL, text, False, retriable, abort))

    return blow


def full() -> None:
    raise BufferError("Local: Queue full")


@pytest.mark.parametrize(
    ("method", "when", "blow"),
    [
        ("begin_transaction", "before", fails("no begin")),
        ("produce", "before", full),
        ("produce", "before", fails("no produce")),
        ("send_offsets_to_transaction", "before", fails("no offsets")),
        ("send_offsets_to_transaction", "after", fails("the answer was lost")),
        ("commit_transaction", "before", fails("come again", retriable=True, abort=False)),
        ("commit_transaction", "before", fails("no commit")),
        ("commit_transaction", "after", fails("the answer was lost")),
    ],
)
def test_a_step_that_fails_is_cured_in_the_same_process(
    lanes: Lanes, traffic: Traffic, method: str, when: fuse.When, blow: Callable[[], None]
) -> None:
    """Also when the commit took effect and only its answer was lost."""
    traffic.send(300)
    worker = lanes.worker(batch_size=100)
    made: list[Any] = []

    def client(config: dict[str, Any]) -> Any:
        made.append(fuse.Fused(Producer(config), method, 1, when, blow))
        return made[-1]

    worker.client = client
    with running(worker) as died:
        wait_until(lambda: bool(died) or lanes.counted() >= traffic.good)
        wait_until(lambda: bool(died) or len(lanes.letters()) >= traffic.bad)
    assert died == []
    assert made[0].calls[method] > 1
    traffic.compare()


@pytest.mark.parametrize("retriable", [True, False])
def test_an_abort_that_fails_too_is_cured(lanes: Lanes, traffic: Traffic, retriable: bool) -> None:
    """Repeated if that may help, else a new producer ends what the old one had open."""
    traffic.send(300)
    worker = lanes.worker(batch_size=100)
    made: list[Any] = []

    def client(config: dict[str, Any]) -> Any:
        producer: Any = Producer(config)
        if not made:
            no_abort = fails("no abort", retriable, abort=False)
            producer = fuse.Fused(producer, "abort_transaction", 0, "before", no_abort)
            producer = fuse.Fused(producer, "commit_transaction", 1, "before", fails("no commit"))
        made.append(producer)
        return producer

    worker.client = client
    with running(worker) as died:
        wait_until(lambda: bool(died) or lanes.counted() >= traffic.good)
        wait_until(lambda: bool(died) or len(lanes.letters()) >= traffic.bad)
    assert died == []
    assert len(made) == (1 if retriable else 2)
    traffic.compare()


SINK_STEPS: SinkSteps = [
    ("commit", "before", 0),
    ("commit", "after", 0),  # the intent
    ("insert", "after", 0),
    ("commit", "before", 1),
    ("commit", "after", 1),  # the end
]
"""Where the storage lane may die in a batch."""
FEW_SINK_STEPS = [SINK_STEPS[1], SINK_STEPS[2]]


@pytest.mark.parametrize(
    "steps", [FEW_SINK_STEPS, pytest.param(SINK_STEPS, marks=pytest.mark.chaos)]
)
def test_kill_9_at_steps_of_an_intent(lanes: Lanes, traffic: Traffic, steps: SinkSteps) -> None:
    for method, when, nth in steps:
        traffic.send()
        fused = {"blow": "kill", "method": method, "when": when, "nth": nth}
        with process(lanes, "sinks", "s1", **fused) as dying:
            wait_dead(dying)
    with process(lanes, "sinks", "s1"):
        wait_until(lambda: lanes.count("inference_events") >= traffic.good, 90)
    compare_rows(lanes, traffic)


def compare_rows(lanes: Lanes, traffic: Traffic) -> None:
    assert lanes.count("inference_events") == traffic.good
    distinct = lanes.count("inference_events", "uniqExact(src_partition, src_offset)")
    assert distinct == traffic.good


def test_a_sink_that_slept_between_intent_and_insert(lanes: Lanes, traffic: Traffic) -> None:
    """Another took over, found the intent and finished the batch; the sleeper must not add."""
    traffic.send()
    step = {"method": "insert", "when": "before", "blow": "stop"}
    with process(lanes, "sinks", "s1", **step) as sleeping:
        wait_stopped(sleeping)
        with process(lanes, "sinks", "s2"):
            wait_until(lambda: lanes.count("inference_events") >= traffic.good, 90)
            sleeping.send_signal(signal.SIGCONT)
            traffic.send()
            wait_until(lambda: lanes.count("inference_events") >= traffic.good, 90)
            assert sleeping.poll() is None
    compare_rows(lanes, traffic)


def test_a_rewind_that_cannot_be_done_is_no_end(lanes: Lanes, traffic: Traffic) -> None:
    """The sink's commit fails, and so does reading the committed offsets again."""
    traffic.send()
    sink = lanes.writer()

    def client(config: dict[str, Any]) -> Any:
        lost = fuse.Fused(Consumer(config), "committed", 1, "before", fails("no offsets"))
        return fuse.Fused(lost, "commit", 1, "after", fails("the answer was lost"))

    sink.client = client
    with running(sink) as died:
        wait_until(lambda: bool(died) or lanes.count("inference_events") >= traffic.good)
    assert died == []
    compare_rows(lanes, traffic)
