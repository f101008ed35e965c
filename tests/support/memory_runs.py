"""Runs in memory that change as the planner would change them, without Kafka."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime

from agents.evaluation.planner.commands import ENDED, apply
from agents.evaluation.planner.plan import RunImpossible, check, check_budget
from agents.evaluation.requests import NoSuchRun, Requester, RunRefused, run_id_of
from schemas.evaluations import EvaluationRequest, EvaluationRun, RunAction, RunSpec
from streams.registry_view import RegistrySnapshot

Runs = Mapping[str, EvaluationRun]


class MemoryRuns:
    """Stands for RunsView and Evaluations at once."""

    def __init__(
        self, registry: Callable[[], RegistrySnapshot], clock: Callable[[], datetime]
    ) -> None:
        self.kept: dict[str, EvaluationRun] = {}
        self._registry = registry
        self._clock = clock

    @property
    def runs(self) -> "MemoryRuns":
        return self

    def start(self) -> "MemoryRuns":
        return self

    def close(self) -> None: ...

    def snapshot(self) -> Runs:
        return self.kept

    def wait_loaded(self, timeout_s: float) -> Runs:
        return self.kept

    def get(self, run_id: str) -> EvaluationRun | None:
        return self.kept.get(run_id)

    def put(self, *runs: EvaluationRun) -> None:
        """As if the planner had made them."""
        self.kept.update((run.run_id, run) for run in runs)

    def begin(
        self,
        spec: RunSpec,
        requester: Requester,
        request_id: str | None = None,
        timeout_s: float = 15.0,
    ) -> EvaluationRun:
        run_id = run_id_of(requester.org_id, request_id or f"run-{len(self.kept)}")
        if (known := self.kept.get(run_id)) is not None:
            if known.spec != spec:
                raise RunRefused("another run was started under this request id: use a new one")
            return known
        try:
            check(requester.org_id, spec, self._registry(), self._clock())
        except RunImpossible as error:
            raise RunRefused(str(error)) from error
        return self._apply(run_id, "start", requester, spec=spec)

    def control(
        self,
        run_id: str,
        action: RunAction,
        requester: Requester,
        budget_usd: float | None = None,
        timeout_s: float = 15.0,
    ) -> EvaluationRun:
        run = self.kept.get(run_id)
        if run is None or run.org_id != requester.org_id:
            raise NoSuchRun("there is no such run")
        if (run.state in ENDED) != (action == "retry"):
            raise RunRefused(f"the run is {run.state}")
        if budget_usd is not None:
            try:
                check_budget(run, budget_usd, self._registry(), self._clock())
            except RunImpossible as error:
                raise RunRefused(str(error)) from error
        return self._apply(run_id, action, requester, budget_usd=budget_usd)

    def _apply(
        self,
        run_id: str,
        action: RunAction,
        requester: Requester,
        spec: RunSpec | None = None,
        budget_usd: float | None = None,
    ) -> EvaluationRun:
        now = self._clock()
        request = EvaluationRequest(
            run_id, requester.org_id, action, f"{action}-{now}", requester.author, now
        )
        request = replace(request, spec=spec, budget_usd=budget_usd)
        run = apply(self.kept.get(run_id), request, now)
        assert run is not None
        self.kept[run_id] = run
        return run
