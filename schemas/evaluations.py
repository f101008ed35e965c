"""The messages of the evaluation engine: requests, cases to execute, results, and runs."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from schemas.suites import JsonObject, PromptMessage, ScorerUse
from schemas.types import Capability, Count, Label, Name, NonNegative, Prose

RunAction = Literal["start", "cancel", "pause", "resume", "retry"]
RunState = Literal[
    "queued", "planning", "running", "paused", "cancelling", "cancelled", "completed", "failed"
]


@dataclass(frozen=True, slots=True)
class DatasetCase:
    """One case of a dataset. `fields`: a JSON object. `cluster`: cases that share a source."""

    case_id: Name
    fields: JsonObject
    split: Label = ""
    tags: tuple[str, ...] = ()
    cluster: Label | None = None


@dataclass(frozen=True, slots=True)
class DatasetPart:
    """Some consecutive cases of a dataset; `first`: the place of the first one, from 0."""

    org_id: Name
    dataset_id: Name
    dataset_version: Name
    first: Annotated[int, Field(ge=0)]
    cases: tuple[DatasetCase, ...]


@dataclass(frozen=True, slots=True)
class RunModel:
    """A version of a model that a run evaluates. `arm`: in an offline A/B test."""

    model_id: Name
    model_version: Name
    arm: Name | None = None


@dataclass(frozen=True, slots=True)
class RunSpec:
    """What a run does. None: as the suite says, or no limit.

    `priority`: of two runs of an organisation the higher goes first. `rescore_of`: the run whose
    stored outputs are scored again, with no model called.
    """

    suite_id: Name
    suite_version: Name
    models: Annotated[tuple[RunModel, ...], Field(min_length=1, max_length=100)]
    epochs: Annotated[int, Field(ge=1, le=1000)] | None = None
    split: Name | None = None
    cases_max: Count | None = None
    priority: Annotated[int, Field(ge=0, le=9)] = 5
    budget_usd: NonNegative | None = None
    ab_test_id: Name | None = None
    use_cache: bool = True
    rescore_of: Name | None = None


@dataclass(frozen=True, slots=True)
class EvaluationRequest:
    """Start a run, or change what becomes of it. `spec`: for start only.

    `budget_usd`: for resume and retry, the run's new budget; None leaves it.
    """

    run_id: Name
    org_id: Name
    action: RunAction
    command_id: Name
    requested_by: Label
    requested_at: datetime
    spec: RunSpec | None = None
    budget_usd: NonNegative | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """What one scorer says of one answer. `value` None: no score; `explanation` says why."""

    metric: str
    scorer: str
    scorer_version: str
    value: float | None = None
    label: str | None = None
    explanation: str | None = None


@dataclass(frozen=True, slots=True)
class EvaluationCase:
    """One case to execute: all that the runner needs, so that it asks nobody.

    `messages`: as they are sent. `fields`: of the dataset's case, for the scorers (JSON object).
    `parameters`: fields of the request body (JSON object). `attempt`: earlier executions that ended
    in an error worth a retry; the next one is not made before `not_before`. `stored_output`: is
    scored instead of calling the model; `stored_scores`: what was said of it before, as far as the
    same was asked.
    """

    run_id: Name
    case_id: Name
    epoch: Annotated[int, Field(ge=0)]
    org_id: Name
    model_id: Name
    model_version: Name
    capability: Capability
    suite_id: Name
    suite_version: Name
    planned_at: datetime
    messages: tuple[PromptMessage, ...]
    scorers: tuple[ScorerUse, ...]
    parameters: JsonObject = "{}"
    fields: JsonObject = "{}"
    pass_threshold: float | None = None
    timeout_s: float = 120.0
    ab_test_id: Name | None = None
    arm: Name | None = None
    split: Label = ""
    tags: tuple[str, ...] = ()
    cluster: Label | None = None
    use_cache: bool = True
    stored_output: str | None = None
    attempt: Annotated[int, Field(ge=0)] = 0
    not_before: datetime | None = None
    stored_scores: tuple[Score, ...] = ()


UNASKED = ("cancelled", "model_deleted", "invalid_prompt", "no_stored_output")
"""The error_type of results of cases that no model had to answer: they say nothing of the model, so
that `passed` is None, and no metric counts them."""


@dataclass(frozen=True, slots=True)
class CaseResult:
    """One executed, scored case. `latency_ms` None: nothing was called.

    `score`: the weighted mean of the scores, None when there is none. `cached`: the answer came
    from the response cache. `attempts`: calls that were made for it, over all its executions.
    `judge_...`: calls of judges that its scores took, which are no part of the other tokens and
    costs; `judge_cost_usd` None: not known. `rescored`: an earlier run's answer, scored again.
    """

    run_id: str
    case_id: str
    epoch: int
    occurred_at: datetime
    org_id: str
    model_id: str
    model_version: str
    capability: str
    ab_test_id: str | None
    arm: str | None
    suite_id: str
    suite_version: str
    latency_ms: float | None
    ttft_ms: float | None
    input_tokens: int
    output_tokens: int
    cached_input_tokens: int
    cost_usd: float | None
    error_type: str | None
    passed: bool | None
    output: str | None
    scores: tuple[Score, ...]
    score: float | None = None
    split: str = ""
    tags: tuple[str, ...] = ()
    cluster: str | None = None
    attempts: int = 1
    cached: bool = False
    finish_reason: str | None = None
    error_text: str | None = None
    judge_calls: int = 0
    judge_input_tokens: int = 0
    judge_output_tokens: int = 0
    judge_cost_usd: float | None = None
    rescored: bool = False


@dataclass(frozen=True, slots=True)
class ModelProgress:
    """How far a run is with one model. `errors`: results that say why there is no answer.

    `cost_nanos`: of its calls, and of judges' for its answers, as far as it is known. `unpriced`:
    results, those of earlier attempts too, of which some of that is not known.
    """

    model_id: str
    model_version: str
    planned: int = 0
    released: int = 0
    finished: int = 0
    passed: int = 0
    errors: int = 0
    cost_nanos: int = 0
    unpriced: int = 0


@dataclass(frozen=True, slots=True)
class OutstandingCase:
    """A case that was handed to runners and has no result yet.

    `place`: in the order of the plan, from 0. `bound_nanos`: the most it can cost.
    """

    place: int
    case_id: str
    bound_nanos: int = 0


@dataclass(frozen=True, slots=True)
class EvaluationRun:
    """A run as its planner left it: the state that it continues from, and what others look at.

    `planned`: cases x epochs x models, each of which has a place in the plan; `released`: the first
    place that was not handed to runners yet. `finished`, `passed`, `errors`: of the newest result
    of each place. `planning_at`: since when it is planned, or was last; `started_at`: since its
    first case could be released. `reason`: why it ended or waits. `rate_per_s`: results a second,
    of late, as of `counted_at`. `failed_places`: one bit a place, the lowest first, for results
    that are errors; `again_places`: those to release once more. `command_ids`: the latest requests
    that were applied or refused, oldest first.
    """

    run_id: str
    org_id: str
    state: RunState
    spec: RunSpec
    requested_by: str
    requested_at: datetime
    updated_at: datetime
    models: tuple[ModelProgress, ...]
    planned: int = 0
    released: int = 0
    finished: int = 0
    passed: int = 0
    errors: int = 0
    cost_nanos: int = 0
    planning_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    reason: Prose | None = None
    cases: int = 0
    epochs: int = 0
    rate_per_s: float | None = None
    counted_at: datetime | None = None
    outstanding: tuple[OutstandingCase, ...] = ()
    failed_places: bytes = b""
    again_places: bytes = b""
    command_ids: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        return f"{self.org_id}/{self.run_id}"

    @property
    def unpriced(self) -> int:
        """Results whose cost is not, or not wholly, in `cost_nanos`: nobody knows it."""
        return sum(model.unpriced for model in self.models)

    @property
    def eta_s(self) -> float | None:
        """Seconds until the last result at the rate of late; None: not known, as while paused."""
        if self.state == "paused":
            return None
        if self.finished >= self.planned:
            return 0.0 if self.planned else None
        return (self.planned - self.finished) / self.rate_per_s if self.rate_per_s else None
