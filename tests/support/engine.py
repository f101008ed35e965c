"""The evaluation engine in threads of a test: every part but the broker and ClickHouse."""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from agents.evaluation.datasets.create import Datasets
from agents.evaluation.planner.agent import Planner, PlannerConfig
from agents.evaluation.planner.release import Limits
from agents.evaluation.requests import Evaluations, Requester
from agents.evaluation.runner.answering import Answering
from agents.evaluation.runner.asking import Asking
from agents.evaluation.runner.feed import FeedConfig
from agents.evaluation.runner.runner import Judge, Runner, RunnerConfig
from agents.evaluation.runner.secret import Secrets
from agents.evaluation.runs import RunsView
from agents.evaluation.scoring import Scoring, outcome
from agents.registry.client import RegistryClient, Sender
from infra.settings import Settings
from infra.workers import kafka_config
from schemas.catalog import committed
from schemas.commands import Change
from schemas.entities import Entity
from schemas.evaluations import DatasetCase, EvaluationRun, RunSpec
from schemas.suites import Dataset
from schemas.wire import Codec
from sinks.clickhouse import ClickHouse
from streams.registry_view import RegistryView
from streams.telemetry import Health
from tests.support.lanes import Lanes, running
from tests.support.registry import registry_agent
from tests.support.servers import wait_until

CODEC = Codec(committed())
ME = Requester("tests", "acme")
OVER = ("completed", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class Engine:
    """A running engine, and what a test asks of it."""

    lanes: Lanes
    settings: Settings
    registry: RegistryView
    runs: RunsView
    client: RegistryClient
    evaluations: Evaluations

    def create(self, *entities: Entity) -> None:
        """Registers entities that are new."""
        for entity in entities:
            self.client.submit([Change("create", entity.key, None, entity)], Sender("tests"))

    def dataset(self, draft: Dataset, cases: Sequence[DatasetCase]) -> Dataset:
        """A dataset with its cases published and registered."""
        kafka = kafka_config(self.settings)
        made = Datasets(kafka, CODEC, self.registry, self.client)
        return made.create(draft, cases, Sender("tests")).dataset

    def begin(self, spec: RunSpec, request_id: str | None = None) -> EvaluationRun:
        return self.evaluations.begin(spec, ME, request_id)

    def wait_over(self, run_id: str, timeout_s: float = 90.0) -> EvaluationRun:
        """The run once it is over."""

        def over() -> bool:
            run = self.runs.get(run_id)
            return run is not None and run.state in OVER

        wait_until(over, timeout_s, f"the run is not over: {self.runs.get(run_id)}")
        found = self.runs.get(run_id)
        assert found is not None
        return found

    def wait_state(self, run_id: str, state: str, timeout_s: float = 60.0) -> None:
        wait_until(lambda: self.runs.state_of(run_id) == state, timeout_s, f"never {state}")

    @contextmanager
    def planner(self, name: str = "agents", limits: Limits | None = None) -> Iterator[None]:
        """A planner until the end of the block."""
        kafka = kafka_config(self.settings)
        config = PlannerConfig(
            kafka,
            committed(),
            f"{self.settings.topic_prefix}{name}",
            lambda: ClickHouse(self.lanes.clickhouse.url, self.lanes.database),
            limits=limits or Limits(),
        )
        with Planner(config, self.registry, threading.Event()):
            yield

    @contextmanager
    def runner(self, name: str = "runner") -> Iterator[None]:
        """A runner until the end of the block; what stopped it is raised."""
        stop, failures = threading.Event(), list[BaseException]()
        kafka = kafka_config(self.settings)
        config = RunnerConfig(
            feed=FeedConfig(kafka, kafka.group("runner"), f"{self.settings.topic_prefix}{name}"),
            catalog=committed(),
            secrets=Secrets(self.settings.data_dir / "secrets"),
            cache=None,
        )

        async def work() -> None:
            asking = Asking()

            def judging(answering: Answering) -> Judge:
                asking.answering = answering
                return Judge(scoring.score, outcome)

            async with Scoring(judges=asking) as scoring:
                made = Runner(config, self.registry.snapshot, self.runs.state_of, Health())
                await made.run(judging, stop)

        def run() -> None:
            try:
                asyncio.run(work())
            except BaseException as error:
                failures.append(error)

        thread = threading.Thread(target=run, name=name, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(90)
        assert not thread.is_alive(), "the runner did not end"
        if failures:
            raise failures[0]


@contextmanager
def engine(lanes: Lanes, settings: Settings) -> Iterator[Engine]:
    """Registry, sinks and data lane; planner and runner are the test's to start."""
    kafka = kafka_config(settings)
    with (
        registry_agent(settings) as registry,
        RunsView(kafka, CODEC) as runs,
        RegistryClient(kafka, CODEC, registry) as client,
        Evaluations(kafka, CODEC, registry, runs) as evaluations,
        running(lanes.worker(), lanes.writer()) as died,
    ):
        yield Engine(lanes, settings, registry, runs, client, evaluations)
        assert not died
