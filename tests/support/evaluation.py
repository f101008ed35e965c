"""Cases fed directly to a runner, models whose endpoint is scripted, and what came of them."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition

from agents.evaluation.outcome import Outcome
from agents.evaluation.runner.call import Timeouts
from agents.evaluation.runner.feed import FeedConfig
from agents.evaluation.runner.runner import Judge, Runner, RunnerConfig
from agents.evaluation.runner.secret import Secrets
from agents.evaluation.services import Scored
from infra.settings import Settings
from infra.workers import kafka_config
from schemas.catalog import committed
from schemas.convert import to_record
from schemas.entities import Endpoint, Model
from schemas.evaluations import EvaluationCase, RunState, Score
from schemas.records import RegistryFact
from schemas.suites import PromptMessage, ScorerUse
from schemas.topics import Topic
from schemas.wire import Codec
from streams.registry_view import RegistrySnapshot, RegistryView
from streams.telemetry import Health
from tests.support.servers import Kafka

CODEC = Codec(committed())
SESSION_MS = 6000
QUICK = Timeouts(connect_s=2, first_byte_s=2, idle_s=1)


def model(url: str, name: str = "small", style: str = "openai-chat", **more: Any) -> Model:
    """A registered model that is called at this address."""
    endpoint = Endpoint(url, style, more.pop("secret_ref", None))
    return Model("acme", name, "1", "us", ("chat",), endpoint=endpoint, **more)


def fact(entity: Model, version: int = 1, deleted: bool = False) -> RegistryFact:
    return RegistryFact(version, "tests", datetime.now(UTC), "c-1", entity, deleted)


def snapshot(*models: Model) -> RegistrySnapshot:
    """A registry of these models."""
    return RegistrySnapshot().with_facts([(m.key, fact(m)) for m in models])


def case(number: int = 0, **changes: Any) -> EvaluationCase:
    """A case whose prompt nobody else has."""
    value: dict[str, Any] = {
        "run_id": "run-1",
        "case_id": f"case-{number}",
        "epoch": 0,
        "org_id": "acme",
        "model_id": "small",
        "model_version": "1",
        "capability": "chat",
        "suite_id": "suite",
        "suite_version": "1",
        "planned_at": datetime.now(UTC),
        "messages": (PromptMessage("user", f"question {number}"),),
        "scorers": (ScorerUse("exact"),),
    }
    return EvaluationCase(**{**value, **changes})


async def score(one: EvaluationCase, output: str) -> Scored:
    """1 for the answer "ok", else 0."""
    return Scored((Score("exact", "exact", "1", float(output == "ok")),))


def conclude(scores: Sequence[Score], uses: Any, threshold: float | None) -> Outcome:
    value = scores[0].value
    return Outcome(value, value == 1)


JUDGE = Judge(score, conclude)


@dataclass(frozen=True, slots=True)
class Bench:
    """One prefix of topics with a runner's work on it."""

    kafka: Kafka
    settings: Settings

    def topic(self, topic: Topic) -> str:
        return kafka_config(self.settings).topic(topic)

    def register(self, *models: Model, deleted: bool = False) -> None:
        """Writes facts as the registry agent would."""
        for one in models:
            value = CODEC.encode("RegistryFact", to_record(fact(one, 2 if deleted else 1, deleted)))
            self.kafka.produce(self.topic(Topic.REGISTRY), [value], one.key.encode())

    def feed(self, cases: Sequence[EvaluationCase]) -> None:
        """Writes cases as the planner would."""
        producer = Producer({"bootstrap.servers": self.kafka.bootstrap})
        for one in cases:
            value = CODEC.encode("EvaluationCase", to_record(one))
            key = f"{one.run_id}/{one.case_id}".encode()
            producer.produce(self.topic(Topic.EVALUATION_CASES), value, key)
        assert producer.flush(30) == 0

    def results(self) -> list[dict[str, Any]]:
        """Every committed result."""
        messages = self.kafka.read_all(self.topic(Topic.CASE_RESULTS))
        return [CODEC.decode(m.value(), "CaseResult") for m in messages]

    def wait_for(self, count: int, timeout_s: float = 120.0) -> None:
        """Returns when this many results are committed."""
        topic = self.topic(Topic.CASE_RESULTS)
        kafka = kafka_config(self.settings)
        consumer: Any = Consumer(kafka.consumer(kafka.group("waits"), fetch_wait_max_ms=50))
        try:
            consumer.assign([TopicPartition(topic, p, 0) for p in range(self.settings.partitions)])
            came, deadline = 0, time.monotonic() + timeout_s
            while came < count:
                came += sum(m.error() is None for m in consumer.consume(500, 0.1))
                assert time.monotonic() < deadline, f"{came} of {count} results came"
        finally:
            consumer.close()

    def wait_results(self, count: int, timeout_s: float = 120.0) -> dict[str, dict[str, Any]]:
        """By case, once there are this many; each case has exactly one."""
        self.wait_for(count, timeout_s)
        found = self.results()
        counts = Counter((r["case_id"], r["epoch"], r["model_id"]) for r in found)
        assert max(counts.values()) == 1, counts.most_common(3)
        assert len(found) == count
        return {r["case_id"]: r for r in found}

    def config(self, name: str = "r1", **overrides: Any) -> RunnerConfig:
        kafka = kafka_config(self.settings)
        instance = f"{self.settings.topic_prefix}{name}"
        feed = FeedConfig(kafka, kafka.group("runner"), instance, SESSION_MS)
        base: dict[str, Any] = {
            "feed": feed,
            "catalog": committed(),
            "secrets": Secrets(self.settings.data_dir / "secrets"),
            "cache": None,
            "timeouts": QUICK,
            "seed": 1,
        }
        return RunnerConfig(**{**base, **overrides})

    @contextmanager
    def running(
        self, name: str = "r1", states: Mapping[str, RunState] | None = None, **overrides: Any
    ) -> Iterator[Runner]:
        """A runner in a thread until the end of the block; what stopped it is raised."""
        stop, failures = threading.Event(), list[BaseException]()
        client = {"client": overrides.pop("client")} if "client" in overrides else {}
        kafka = kafka_config(self.settings)
        with RegistryView(kafka, CODEC) as registry:
            registry.wait_loaded(30)
            state_of = {} if states is None else states
            config = self.config(name, **overrides)
            runner = Runner(config, registry.snapshot, state_of.get, Health(), **client)

            def run() -> None:
                try:
                    asyncio.run(runner.run(lambda _: JUDGE, stop))
                except BaseException as error:
                    failures.append(error)

            thread = threading.Thread(target=run, name=name, daemon=True)
            thread.start()
            try:
                yield runner
            finally:
                stop.set()
                thread.join(90)
        assert not thread.is_alive(), "the runner did not end"
        if failures:
            raise failures[0]

    @contextmanager
    def process(self, name: str = "runner") -> Iterator["subprocess.Popen[bytes]"]:
        """The real worker as a process of its own, until the end of the block or killed before."""
        running = start(self.settings, name)
        try:
            yield running
        finally:
            end(running)


def start(settings: Settings, name: str = "runner") -> "subprocess.Popen[bytes]":
    """`rheostat worker runner`; its log is in the data dir."""
    log_file: Path = settings.data_dir / f"{name}.log"
    with log_file.open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "infra", "worker", "runner"],
            env={
                **os.environ,
                **settings.environment(),
                "RHEOSTAT_WORKER_NAME": name,
                "RHEOSTAT_METRICS_PORT": "0",
            },
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def end(process: "subprocess.Popen[bytes]") -> None:
    """SIGTERM, then kill -9."""
    process.send_signal(signal.SIGCONT)
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)
