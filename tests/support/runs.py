"""Runs for tests of the planner: a registry, a supply, requests, and results of its cases."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from agents.evaluation.planner.advance import Inputs, Outputs, advance
from agents.evaluation.planner.release import Limits
from agents.evaluation.planner.supply import Asked, Problem, Sourced, Stored, Want
from agents.evaluation.results import blank
from schemas.entities import Entity, Model
from schemas.evaluations import (
    CaseResult,
    DatasetCase,
    EvaluationCase,
    EvaluationRequest,
    EvaluationRun,
    RunAction,
    RunModel,
    RunSpec,
)
from schemas.models import Endpoint, Price
from schemas.records import RegistryFact
from schemas.suites import (
    Dataset,
    GenerationParameters,
    PromptMessage,
    ScorerUse,
    Suite,
)
from streams.registry_view import RegistrySnapshot
from tests.support.datasets import facts, questions

T0 = datetime(2026, 11, 24, 12, tzinfo=UTC)
CASES = questions(6)
DATASET = facts(CASES)
SUITE = Suite(
    org_id="acme",
    suite_id="sums",
    suite_version="1",
    capability="chat",
    task_kind="qa",
    dataset_id=DATASET.dataset_id,
    dataset_version=DATASET.dataset_version,
    prompt=(PromptMessage("user", "Answer: {question}"),),
    scorers=(ScorerUse("exact_match", threshold=1.0),),
    parameters=GenerationParameters(max_output_tokens=100),
)
PRICE = Price(datetime(2026, 1, 1, tzinfo=UTC), 1.0, 2.0)


def model(name: str, **changes: object) -> Model:
    """A priced model with an endpoint."""
    found = Model(
        "acme",
        name,
        "1",
        "tests",
        ("chat",),
        prices=(PRICE,),
        endpoint=Endpoint("http://127.0.0.1:1/v1", "openai-chat"),
    )
    return replace(found, **changes)  # type: ignore[arg-type]


def snapshot(*entities: Entity) -> RegistrySnapshot:
    """A registry of these entities."""
    return RegistrySnapshot().with_facts(
        (e.key, RegistryFact(1, "me", T0, "c", e)) for e in entities
    )


REGISTRY = snapshot(DATASET, SUITE, model("big"), model("small"))


def spec(*models: str, **changes: object) -> RunSpec:
    """What a run of SUITE does."""
    found = RunSpec("sums", "1", tuple(RunModel(name, "1") for name in models or ("big", "small")))
    return replace(found, **changes)  # type: ignore[arg-type]


def ask(
    action: RunAction, run_id: str = "r1", command_id: str | None = None, **changes: object
) -> EvaluationRequest:
    """A request; without `command_id` a new one each time."""
    command = command_id or f"command-{next(_COUNTER)}"
    found = EvaluationRequest(run_id, "acme", action, command, "me", T0)
    if action == "start":
        found = replace(found, spec=spec())
    return replace(found, **changes)  # type: ignore[arg-type]


_COUNTER = itertools.count()


@dataclass
class Shelf:
    """A supply that has every case of these datasets at hand; `missing`: none, and why."""

    datasets: Mapping[str, tuple[Dataset, Sequence[DatasetCase]]] = field(
        default_factory=lambda: {DATASET.dataset_id: (DATASET, CASES)}
    )
    missing: Problem | None = None
    answers: Mapping[str, Mapping[Asked, Stored]] = field(default_factory=dict)

    def case(self, want: Want, number: int) -> Sourced | None:
        if self.missing is not None:
            return None
        _, cases = self.datasets[want.dataset_id]
        chosen = [c for c in cases if want.split in (None, c.split)]
        found = chosen[number]
        return Sourced(found, self.answers.get(found.case_id, {}))

    def problem(self, run_id: str) -> Problem | None:
        del run_id
        return self.missing


def result(case: EvaluationCase, **changes: object) -> CaseResult:
    """A case's result: passed, for 10 tokens each way."""
    found = replace(
        blank(case, case.planned_at),
        passed=True,
        output="yes",
        input_tokens=10,
        output_tokens=10,
        latency_ms=5.0,
    )
    return replace(found, **changes)  # type: ignore[arg-type]


@dataclass
class Bench:
    """A planner's state, its rounds, and everything that it ever wrote."""

    registry: RegistrySnapshot = REGISTRY
    supply: Shelf = field(default_factory=Shelf)
    limits: Limits = field(default_factory=Limits)
    now: datetime = T0
    runs: dict[str, EvaluationRun] = field(default_factory=dict)
    cases: list[EvaluationCase] = field(default_factory=list)
    results: list[CaseResult] = field(default_factory=list)
    _answered: int = 0

    def round(
        self,
        *requests: EvaluationRequest,
        results: Iterable[CaseResult] = (),
        after_s: float = 0.1,
        limits: Limits | None = None,
    ) -> Outputs:
        """One round; what it wrote is the state of the next."""
        self.now += timedelta(seconds=after_s)
        inputs = Inputs(requests, list(results), self.registry, self.supply, limits or self.limits)
        found = advance(self.runs, inputs, self.now)
        self.runs.update((run.run_id, run) for run in found.runs)
        for run in found.forgotten:
            del self.runs[run.run_id]
        self.cases += found.cases
        self.results += found.results
        return found

    def started(self, *requests: EvaluationRequest) -> Outputs:
        """Rounds until the runs that these start are running."""
        self.round(*requests or (ask("start"),))
        return self.round()

    def unanswered(self) -> list[EvaluationCase]:
        """Cases that were released since the last call."""
        fresh = self.cases[self._answered :]
        self._answered = len(self.cases)
        return fresh

    def run(self, run_id: str = "r1") -> EvaluationRun:
        return self.runs[run_id]
