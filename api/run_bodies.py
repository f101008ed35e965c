"""The bodies of evaluations, for requests and for the documentation of answers."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from agents.evaluation.judged_ranking import JudgedRanking
from schemas.evaluations import RunState
from schemas.types import Count, Label, Name, NonNegative


class ModelWish(BaseModel):
    """A model to evaluate. `model_version` left out: the one that stands for the model."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model_id: Name
    model_version: Name | None = None
    arm: Name | None = Field(None, description="In an offline A/B test.")


class NewEvaluation(BaseModel):
    """A run to start. What is left out is as the suite says, or has no limit."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "examples": [
                {
                    "suite_id": "question-answering",
                    "models": [{"model_id": "small"}, {"model_id": "large"}],
                    "budget_usd": 5,
                }
            ]
        },
    )

    suite_id: Name
    suite_version: Name | None = Field(None, description="Left out: the newest.")
    models: Annotated[list[ModelWish], Field(min_length=1, max_length=100)]
    epochs: Annotated[int, Field(ge=1, le=1000)] | None = None
    split: Name | None = None
    cases_max: Count | None = None
    priority: Annotated[int, Field(ge=0, le=9, description="The higher goes first.")] = 5
    budget_usd: NonNegative | None = Field(
        None, description="The run stops before it would spend more."
    )
    ab_test_id: Name | None = None
    use_cache: bool = True
    rescore_of: Name | None = Field(
        None, description="Score the stored outputs of this run again; no model is called."
    )


class ControlBody(BaseModel):
    """For resume and retry."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    budget_usd: NonNegative | None = Field(None, description="The run's new budget.")


Cost = Annotated[
    float | None,
    Field(
        description="Of all calls, those of earlier attempts and judges too, as far as it is "
        "known: with `unpriced` results the cost is at least this; null: nothing of it is known."
    ),
]
Unpriced = Annotated[
    int,
    Field(
        description="Results whose cost is not, or not wholly, known: neither the endpoint "
        "nor the registry had a price of the model, or of a judge."
    ),
]


class ModelProgressBody(BaseModel):
    """How far a run is with one model."""

    model_id: str
    model_version: str
    planned: int
    released: int
    finished: int
    passed: int
    errors: int
    cost_usd: Cost
    unpriced: Unpriced


class ProgressBody(BaseModel):
    """How far a run is. `rate_per_s`: results a second, of late; null: not known."""

    run_id: str
    state: RunState
    reason: str | None
    planned: int
    released: int
    finished: int
    passed: int
    errors: int
    outstanding: int
    rate_per_s: float | None
    eta_s: float | None
    cost_usd: Cost
    unpriced: Unpriced
    updated_at: datetime
    models: list[ModelProgressBody]


class RunBody(ProgressBody):
    """A run: what was asked for, and how far it is."""

    org_id: str
    spec: dict[str, Any]
    requested_by: Label
    requested_at: datetime
    planning_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    cases: int
    epochs: int


class ReportBody(BaseModel):
    """Results so far. An estimate is value, lower and upper; one that is missing has its reason.

    `stored`: how many of the run's results can be read; `run.finished`: how many there are.
    `models`: `cost_usd` and `unpriced` as in `run`, totals, `error_examples` (what a case of each
    kind was told), summaries by slice and metric, and `classified` by metric: accuracy, macro F1,
    rates by label and the confusion matrix. `comparisons`: with the first model. `rankings`: by
    metric, of models that a judge compared with a reference answer.
    """

    run: RunBody
    stored: int
    models: list[dict[str, Any]]
    comparisons: list[dict[str, Any]]
    rankings: list[JudgedRanking]
    worst: list[dict[str, Any]]


class ResultBody(BaseModel):
    """One case of one model: what was answered, and how it was scored."""

    model_config = ConfigDict(extra="allow")

    case_id: str
    epoch: int
    model_id: str
    model_version: str
    output: str | None
    score: float | None
    passed: bool | None
    error_type: str | None
    error_text: str | None
    scores: list[dict[str, Any]]
