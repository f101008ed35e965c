"""What the endpoints of selection take and answer."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.models import Level
from schemas.types import Capability, Feature, NonNegative, Positive, Share

ASK: dict[str, Any] = {
    "capability": "chat",
    "requirements": {"features": ["tools"], "min_level": "proficient"},
    "constraints": {"max_cost_usd": 0.01, "max_latency_p95_ms": None},
    "weights": {"quality": 1, "cost_usd": 2},
}
CANDIDATE: dict[str, Any] = {
    "model_id": "small",
    "model_version": "3",
    "rank": 1,
    "weight": 0.9,
    "eligible": True,
    "score": 0.4213,
    "score_lower": 0.4101,
    "samples": 1200,
    "quality": 0.81,
    "error_rate": 0.004,
    "latency_p95_ms": 864.0,
    "cost_usd_mean": 0.0021,
    "reasons": ["has the best lower bound of the eligible"],
}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Requirements(_Strict):
    """What the request needs of a model beside its capability."""

    features: Annotated[list[Feature], Field(max_length=50)] = []
    min_level: Level | None = None
    min_context_tokens: Annotated[int, Field(ge=1, le=2**53)] | None = None


class Weights(_Strict):
    """In place of the policy's; what is left out stays as it is there."""

    quality: NonNegative = 1.0
    cost_usd: NonNegative = 0.0
    latency_ms: NonNegative = 0.0
    error: NonNegative = 1.0


class Scales(_Strict):
    """In place of the policy's."""

    cost_usd: Positive = 0.01
    latency_ms: Positive = 1000.0


class Constraints(_Strict):
    """In place of the policy's; null lifts a limit."""

    max_error_rate: Share | None = None
    max_latency_p95_ms: Positive | None = None
    max_cost_usd: NonNegative | None = None
    min_quality: Share | None = None


class Ask(_Strict):
    """Which model should serve, as the selector would say under these terms."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": ASK})

    capability: Capability
    requirements: Requirements | None = None
    weights: Weights | None = None
    scales: Scales | None = None
    constraints: Constraints | None = None
    min_samples: Annotated[int, Field(ge=1, le=2**53)] | None = None
    window_minutes: Annotated[float, Field(gt=0, le=7 * 24 * 60)] | None = None


class CandidateBody(BaseModel):
    """One model as the selector sees it; null: no estimate."""

    model_config = ConfigDict(json_schema_extra={"example": CANDIDATE})

    model_id: str
    model_version: str
    rank: int
    weight: float = Field(description="Share of the traffic.")
    eligible: bool
    score: float | None
    score_lower: float | None = Field(description="95 % lower bound, by which one is ranked.")
    samples: int
    quality: float | None
    error_rate: float | None
    latency_p95_ms: float | None
    cost_usd_mean: float | None
    reasons: list[str]


class SelectionBody(BaseModel):
    """A published selection."""

    selection_id: str
    org_id: str
    capability: str
    issued_at: datetime
    expires_at: datetime
    policy_version: int
    reason: str
    candidates: list[CandidateBody]


class ExcludedBody(BaseModel):
    """A model that has the capability and does not meet the request's requirements."""

    model_id: str = Field(examples=["tiny"])
    model_version: str = Field(examples=["1"])
    reasons: list[str] = Field(examples=[["lacks tools"]])


class Answer(BaseModel):
    """What was asked, and of when the measurements are."""

    capability: str = Field(examples=["chat"])
    reason: str
    policy_version: int
    window_minutes: float
    watermark: datetime | None = Field(description="The end of the newest pane that was counted.")
    cached: bool = Field(description="Answered from memory: the panes stand as they stood.")
    excluded: list[ExcludedBody]


class Recommended(Answer):
    """Who should serve. `recommended` null: nobody may.

    What the measurements say now, as if nobody had served before: the published selection keeps its
    leader until another is clearly better (see `serving`).
    """

    recommended: CandidateBody | None
    serving: SelectionBody | None = Field(description="What is published now; null: nothing.")


class Ranked(Answer):
    """Everybody, the best first."""

    candidates: list[CandidateBody]


class StepBody(BaseModel):
    """One change that would be enough by itself, everything else unchanged."""

    lever: Literal["quality", "error_rate", "cost_usd_mean", "latency_ms_mean", "samples"]
    present: float = Field(examples=[0.0042])
    needed: float = Field(examples=[0.0031], description="It has to be beyond this.")
    possible: bool = Field(description="false: no such value can exist.")


class ObstacleBody(BaseModel):
    """What keeps it from serving, whatever its score."""

    code: str = Field(examples=["max_cost_usd"])
    text: str
    measured: float | None
    limit: float | None


class Explained(CandidateBody):
    """A candidate, and what would have to change for it to lead."""

    gap: float | None = Field(description="By how much its lower bound is behind the best.")
    behind: str | None = Field(description="model_id of the best.")
    obstacles: list[ObstacleBody]
    steps: list[StepBody]
    what_if: str | None = Field(description="The same in words; null for the best.")


class Explanation(Answer):
    """Everybody with reasons."""

    candidates: list[Explained]
