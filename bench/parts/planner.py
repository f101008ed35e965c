"""What the planner's process needs for a run of 100,000 cases, and how fast it hands them out.

The process is `rheostat worker agents` as deployed: the planner is a thread of it. Runners are
played by this bench: every case has its result at once.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from confluent_kafka import Consumer, Producer

from agents.evaluation.requests import Evaluations
from agents.evaluation.results import blank
from agents.evaluation.runs import RunsView
from agents.registry.client import RegistryClient
from bench.context import Context
from bench.figures import Figure
from bench.lab import CODEC, Child
from bench.toy_suite import ASKER, NAME, create
from infra.settings import Settings
from infra.workers import kafka_config, migrate
from schemas.convert import from_record, to_record
from schemas.evaluations import EvaluationCase, EvaluationRun, RunModel, RunSpec
from schemas.topics import Topic
from streams.registry_view import RegistryView

DATASET_CASES, MODELS = 50_000, ("first", "second")
TIMEOUT_S = 1200.0
OVER = ("completed", "failed", "cancelled")


@dataclass(slots=True)
class Memory:
    """The most that a process held, looked at again and again."""

    worker: Child
    most_mb: float = 0.0
    stop: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        """Until `stop`."""
        while not self.stop.wait(0.2):
            self.most_mb = max(self.most_mb, self.worker.rss_mb())


def run(context: Context) -> dict[str, Figure]:
    """One run, from its request to its last result."""
    lab = context.lab
    lab.start_kafka()
    lab.start_clickhouse()
    settings = lab.new_settings()
    migrate(settings)
    with lab.worker("sinks", settings), lab.worker("agents", settings) as agents:
        before_mb = agents.rss_mb()
        context.say(f"importing a dataset of {DATASET_CASES:,} cases")
        with desk(settings) as (evaluations, registry, client):
            create(settings, registry, client, DATASET_CASES, MODELS, "http://127.0.0.1:9/v1")
            memory = Memory(agents)
            watching = threading.Thread(target=memory.watch, daemon=True)
            watching.start()
            cpu_s = agents.cpu_s()
            spec = RunSpec(NAME, "1", tuple(RunModel(name, "1") for name in MODELS))
            found = evaluations.begin(spec, ASKER)
            with answering(settings):
                done, seconds = _followed(context, evaluations, found)
            cpu_s = agents.cpu_s() - cpu_s
            memory.stop.set()
            watching.join()
    expected = DATASET_CASES * len(MODELS)
    if (done.state, done.finished, done.passed) != ("completed", expected, expected):
        raise RuntimeError(f"the run ended as {done.state} with {done.finished} of {expected}")
    return {
        "planner.cases": expected,
        "planner.rss_mb": round(memory.most_mb, 1),
        "planner.rss_growth_mb": round(memory.most_mb - before_mb, 1),
        "planner.cases_per_second": round(expected / seconds),
        "planner.cpu_ms_per_case": round(cpu_s / expected * 1000, 3),
    }


def _followed(
    context: Context, evaluations: Evaluations, run: EvaluationRun
) -> tuple[EvaluationRun, float]:
    """The run once it is over, and the seconds from its first case on."""
    deadline = time.monotonic() + TIMEOUT_S
    with context.progress("planning", DATASET_CASES * len(MODELS)) as advance:
        last = 0
        while time.monotonic() < deadline:
            found = evaluations.runs.get(run.run_id) or run
            advance(found.finished - last)
            last = found.finished
            if found.state in OVER:
                if found.started_at is None or found.finished_at is None:
                    raise RuntimeError(f"the run never began: {found.reason}")
                return found, (found.finished_at - found.started_at).total_seconds()
            time.sleep(0.5)
    raise TimeoutError(f"the run was not over after {TIMEOUT_S:g} s: {last} results")


@contextmanager
def desk(settings: Settings) -> Iterator[tuple[Evaluations, RegistryView, RegistryClient]]:
    """What it takes to start runs."""
    kafka = kafka_config(settings)
    with (
        RegistryView(kafka, CODEC) as registry,
        RunsView(kafka, CODEC) as runs,
        RegistryClient(kafka, CODEC, registry) as client,
        Evaluations(kafka, CODEC, registry, runs) as evaluations,
    ):
        registry.wait_loaded(60)
        runs.wait_loaded(60)
        yield evaluations, registry, client


@contextmanager
def answering(settings: Settings) -> Iterator[None]:
    """Every case has a result at once, until the end of the block."""
    stop = threading.Event()
    failures: list[BaseException] = []

    def work() -> None:
        try:
            _answer(settings, stop)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)
    if failures:
        raise failures[0]


def _answer(settings: Settings, stop: threading.Event) -> None:
    kafka = kafka_config(settings)
    consumer = Consumer(kafka.consumer(kafka.group("bench-runner")))
    producer = Producer(kafka.producer(linger_ms=2))
    results = kafka.topic(Topic.CASE_RESULTS)
    consumer.subscribe([kafka.topic(Topic.EVALUATION_CASES)])
    while not stop.is_set():
        for message in consumer.consume(500, 0.02):
            if message.error() is not None:
                continue
            record = CODEC.decode(message.value() or b"", "EvaluationCase")
            result = to_record(blank(from_record(EvaluationCase, record), datetime.now(UTC)))
            result |= {"passed": True, "output": "ok", "cost_usd": 0.0}
            producer.produce(results, CODEC.encode("CaseResult", result), message.key())
            producer.poll(0)
    producer.flush(10)
    consumer.close()
