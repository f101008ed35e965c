"""`rheostat evaluate`, `results` and `runs`: from words on the command line to runs and back."""

import difflib
import getpass
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import cast, get_args

from agents.evaluation.lookup import NotFound, find
from agents.evaluation.planner.commands import ENDED
from agents.evaluation.report import Report, report
from agents.evaluation.requests import Evaluations, Requester
from agents.evaluation.runs import RunsView
from infra.errors import OperatorError
from infra.evaluation_gate import Gate, require
from infra.kafka_admin import connect
from infra.settings import Settings
from infra.suites import org_of
from infra.workers import catalog, kafka_config
from schemas.entities import Model
from schemas.evaluations import CaseResult, EvaluationRun, RunModel, RunSpec
from schemas.suites import Suite
from schemas.topics import Topic
from schemas.wire import Codec
from sinks.clickhouse import ClickHouse
from sinks.run_results import CaseOrder, CaseQuestion, cases, count
from streams.registry_view import RegistrySnapshot, RegistryView

TIMEOUT_S = 30.0
STORED_TIMEOUT_S = 30.0
"""How long results may be on their way into ClickHouse."""
LOOK_S = 0.25


@dataclass(frozen=True, slots=True)
class Asked:
    """What an evaluation was asked for. `suite`, `models`: a name, or name@version. `gate`: what
    every model must reach; None: nothing."""

    suite: str
    models: Sequence[str]
    org_id: str | None = None
    epochs: int | None = None
    split: str | None = None
    cases_max: int | None = None
    priority: int = 5
    budget_usd: float | None = None
    use_cache: bool = True
    rescore_of: str | None = None
    request_id: str | None = None
    gate: Gate | None = None


@dataclass(frozen=True, slots=True)
class Desk:
    """A connection to everything that runs need."""

    settings: Settings
    registry: RegistryView
    runs: RunsView
    evaluations: Evaluations

    def begin(self, asked: Asked) -> EvaluationRun:
        """Starts the run. Raises OperatorError, AgentError, StreamError."""
        snapshot = self.registry.wait_loaded(TIMEOUT_S)
        self.runs.wait_loaded(TIMEOUT_S)
        suite = find_suite(snapshot, asked.suite, asked.org_id)
        if asked.gate is not None:
            require(suite, asked.gate)
        spec = RunSpec(
            suite_id=suite.suite_id,
            suite_version=suite.suite_version,
            models=tuple(find_model(snapshot, suite.org_id, name) for name in asked.models),
            epochs=asked.epochs,
            split=asked.split,
            cases_max=asked.cases_max,
            priority=asked.priority,
            budget_usd=asked.budget_usd,
            use_cache=asked.use_cache,
            rescore_of=asked.rescore_of,
        )
        return self.evaluations.begin(
            spec, Requester(getpass.getuser(), suite.org_id), asked.request_id
        )

    def cancel(self, run: EvaluationRun) -> None:
        """Asks for the end of the run. Raises AgentError, StreamError."""
        self.evaluations.control(run.run_id, "cancel", Requester(getpass.getuser(), run.org_id))

    def follow(self, run: EvaluationRun) -> Iterator[EvaluationRun]:
        """The run, again and again, until it is over."""
        while True:
            found = self.runs.get(run.run_id) or run
            yield found
            if found.state in ENDED:
                return
            time.sleep(LOOK_S)

    def run(self, name: str) -> EvaluationRun:
        """The run of this id, or of an id that begins so. Raises OperatorError, StreamError."""
        if not name:
            raise OperatorError("The run's id is empty. rheostat runs lists those there are.")
        runs = self.runs.wait_loaded(TIMEOUT_S)
        found = [run for run_id, run in runs.items() if run_id.startswith(name)]
        if len(found) == 1:
            return found[0]
        if not found:
            raise OperatorError(f"There is no run {name}. rheostat runs lists those there are.")
        raise OperatorError(f"{len(found)} runs have an id that begins with {name}: give more.")

    def all(self) -> list[EvaluationRun]:
        """Every run there is, the newest first. Raises StreamError."""
        found = self.runs.wait_loaded(TIMEOUT_S).values()
        return sorted(found, key=lambda run: run.requested_at, reverse=True)

    def report(self, run: EvaluationRun) -> Report:
        """Once ClickHouse has all results of the run, or has not for STORED_TIMEOUT_S.

        Raises SinkError.
        """
        clickhouse = ClickHouse(self.settings.clickhouse)
        try:
            until = time.monotonic() + STORED_TIMEOUT_S
            while count(clickhouse, run.org_id, run.run_id) < run.finished:
                if time.monotonic() > until:
                    break
                time.sleep(LOOK_S)
            snapshot = self.registry.wait_loaded(TIMEOUT_S)
            key = (run.org_id, Suite.kind, run.spec.suite_id, run.spec.suite_version)
            return report(clickhouse, run, snapshot.entity(Suite, "/".join(key)))
        finally:
            clickhouse.close()


def answers(
    desk: Desk, run: EvaluationRun, order: str | None, case_id: str | None, limit: int
) -> list[CaseResult]:
    """What models answered. Raises OperatorError for an unknown order or case, SinkError."""
    if order not in (None, *get_args(CaseOrder)):
        raise OperatorError(f"--cases {order} is none of {', '.join(get_args(CaseOrder))}.")
    clickhouse = ClickHouse(desk.settings.clickhouse)
    try:
        question = CaseQuestion(
            run.org_id,
            run.run_id,
            case_id=case_id or "",
            order=cast(CaseOrder, order or "case"),
            limit=limit,
        )
        found = cases(clickhouse, question)
    finally:
        clickhouse.close()
    if case_id is not None and not found:
        raise OperatorError(
            f"The run {run.run_id} has no result of a case {case_id}: --cases case shows those "
            "there are."
        )
    return found


@contextmanager
def opened(settings: Settings) -> Iterator[Desk]:
    """Raises OperatorError when Kafka or the topics are not there."""
    kafka, codec = kafka_config(settings), Codec(catalog(settings))
    _, metadata = connect(settings)
    name = kafka.topic(Topic.EVALUATION_RUNS)
    if name not in metadata.topics:
        raise OperatorError(
            f"The topic {name} does not exist on the Kafka at {settings.bootstrap}. Run rheostat "
            "topics, or correct RHEOSTAT_TOPIC_PREFIX."
        )
    with (
        RegistryView(kafka, codec) as registry,
        RunsView(kafka, codec) as runs,
        Evaluations(kafka, codec, registry, runs) as evaluations,
    ):
        yield Desk(settings, registry, runs, evaluations)


def find_suite(snapshot: RegistrySnapshot, name: str, org_id: str | None) -> Suite:
    """As agents.evaluation.lookup.find, in the one organisation that has it if none is named.

    Raises OperatorError, NotFound.
    """
    if org_id is not None:
        return find(snapshot, Suite, org_of(snapshot, org_id), name)
    found: list[Suite] = []
    missing: NotFound | None = None
    for org in sorted({suite.org_id for suite in snapshot.entities(Suite)}):
        try:
            found.append(find(snapshot, Suite, org, name))
        except NotFound as error:
            missing = error
    if len(found) > 1:
        orgs = ", ".join(suite.org_id for suite in found)
        raise OperatorError(f"{orgs} all have a suite {name}: name one of them with --org.")
    if not found:
        raise missing or OperatorError(
            f"There is no suite {name}. There is none; run rheostat suites load."
        )
    return found[0]


def find_model(snapshot: RegistrySnapshot, org_id: str, name: str) -> RunModel:
    """The model of name@version, or the version that was registered last. Raises OperatorError."""
    model_id, _, version = name.partition("@")
    found: list[tuple[datetime, Model]] = [
        (fact.accepted_at, model)
        for fact in snapshot.models.values()
        if isinstance(model := fact.entity, Model)
        and (model.org_id, model.model_id) == (org_id, model_id)
        and version in ("", model.model_version)
    ]
    if not found:
        theirs = [m for m in snapshot.entities(Model) if m.org_id == org_id]
        versions = sorted(m.model_version for m in theirs if m.model_id == model_id)
        known = [f"{model_id}@{v}" for v in versions] or sorted({m.model_id for m in theirs})
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
        hint = f"Did you mean {close[0]}?" if close else "Register it with rheostat registry apply."
        raise OperatorError(
            f"{org_id} has no model {name}; it has {', '.join(known) or 'none'}. {hint}"
        )
    latest = max(found, key=lambda pair: pair[0])[1]
    return RunModel(latest.model_id, latest.model_version)
