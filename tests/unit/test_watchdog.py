"""A process that hangs ends; one that works, or only waits to begin, does not."""

import queue
import threading
from typing import Any, cast

from confluent_kafka import KafkaError, KafkaException

from agents.evaluation.runner.feed import Feed
from agents.evaluation.runner.reader import COMMITTED_TIMEOUT_S
from agents.evaluation.runner.transactions import KAFKA_TIMEOUT_S
from infra import watchdog
from sinks.clickhouse import ClickHouse
from streams.errors import BatchAborted
from streams.kafka import EXIT_HUNG, OVERDUE_S
from streams.telemetry import Health
from streams.worker import Worker

TICK_S = 0.01


def test_a_loop_that_stands_still_ends_the_process_once() -> None:
    health, ends = Health(max_silence_s=0.05), queue.Queue[int]()
    health.beat("loop")
    thread = watchdog.watch(health, hung_s=0.1, look_s=TICK_S, end=ends.put)
    assert ends.get(timeout=30) == EXIT_HUNG
    thread.join(30)
    assert ends.empty()


def test_a_loop_that_goes_round_is_left_alone() -> None:
    health, ends = Health(max_silence_s=0.05), queue.Queue[int]()
    watchdog.watch(health, hung_s=3600.0, look_s=TICK_S, end=ends.put)
    health.beat("loop")
    threading.Event().wait(0.2)
    assert health.silent()
    assert ends.empty()


def test_a_part_that_never_ran_does_not_hang() -> None:
    health, ends = Health(max_silence_s=0.0), queue.Queue[int]()
    health.waiting("loop", "reading the registry")
    watchdog.watch(health, hung_s=0.0, look_s=TICK_S, end=ends.put)
    threading.Event().wait(0.2)
    assert ends.empty()


RETRIES = 5
"""Of streams.kafka.retrying."""


def test_no_loop_waits_as_long_by_design() -> None:
    recovering = KAFKA_TIMEOUT_S + RETRIES * KAFKA_TIMEOUT_S + COMMITTED_TIMEOUT_S
    writing = KAFKA_TIMEOUT_S + OVERDUE_S + RETRIES * KAFKA_TIMEOUT_S
    assert max(recovering, writing, ClickHouse("http://nobody").timeout_s) < watchdog.HUNG_S


class Steps(Health):
    """Tells of beats among other steps."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[str] = []

    def beat(self, part: str) -> None:
        self.steps.append("beat")


class Away:
    """Transactions and a source that Kafka answers only after some failures; a stop that comes
    then, and is not waited for."""

    def __init__(self, steps: list[str], failures: int) -> None:
        self.steps = steps
        self.failures = failures

    def recover(self) -> None:
        self.steps.append("recover")
        self.failures -= 1
        if self.failures >= 0:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))

    def committed(self, _: object) -> list[Any]:
        return []

    def begin(self, _: object) -> None: ...

    def poll(self) -> None:
        self.steps.append("poll")
        self.failures -= 1
        if self.failures >= 0:
            raise BatchAborted("no answer")

    def measure_lag(self) -> None: ...

    def is_set(self) -> bool:
        return self.failures < 0

    def wait(self, _: float) -> bool:
        return False


def test_a_runner_that_asks_again_for_its_offsets_beats_each_time() -> None:
    health = Steps()
    away = Away(health.steps, failures=2)
    feed = Feed(*cast(Any, (None, None, health, None)))
    feed._transactions, feed._reader, feed._stop = (cast(Any, away),) * 3
    feed._assigned([])
    assert health.steps == ["beat", "recover"] * 3


def test_a_worker_that_recovered_beats_before_it_reads_on() -> None:
    health = Steps()
    away = Away(health.steps, failures=1)

    class Recovering(Worker):
        def _recover(self) -> None:
            health.steps.append("recover")

    worker = Recovering(*cast(Any, (None, None, None, health)))
    worker._source = cast(Any, away)
    worker._loop(cast(Any, away))
    assert health.steps == ["beat", "poll", "beat", "recover", "beat", "poll"]
