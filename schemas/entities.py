"""What the registry holds: models with prices, A/B tests, selection policies.

The constraints beside the types are checked where values enter (`schemas.convert.from_record`, the
registry file), not when code builds a value.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, StringConstraints

from schemas.reasons import MAX_TEXT_BYTES

Name = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_TEXT_BYTES, pattern=r"^[^\x00-\x1f/]+$"),
]
"""An identifier: not empty, no control characters and no slash (slashes join keys)."""
Capability = Annotated[
    str, StringConstraints(min_length=1, max_length=MAX_TEXT_BYTES, pattern=r"^[^\x00-\x1f]+$")
]
MetricName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_.]{0,63}$")]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
UsdPerMtok = Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)]
"""Bounded so that the cost of the most tokens a call may have fits 64-bit nano-dollars."""
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]

ModelStatus = Literal["draft", "active", "deprecated", "retired"]
AbTestStatus = Literal["draft", "running", "paused", "stopped"]
Role = Literal["primary", "guardrail", "secondary"]
Direction = Literal["higher", "lower"]


@dataclass(frozen=True, slots=True)
class Price:
    """USD per million tokens, valid from `valid_from` until the next price's."""

    valid_from: Annotated[datetime, AwareDatetime]
    input_usd_per_mtok: UsdPerMtok
    output_usd_per_mtok: UsdPerMtok
    cached_input_usd_per_mtok: UsdPerMtok | None = None


@dataclass(frozen=True, slots=True)
class Model:
    """One version of a model as an organisation registered it."""

    org_id: Name
    model_id: Name
    model_version: Name
    provider: Name
    capabilities: tuple[Capability, ...]
    status: ModelStatus = "active"
    prices: tuple[Price, ...] = ()

    @property
    def key(self) -> str:
        return f"{self.org_id}/model/{self.model_id}/{self.model_version}"


@dataclass(frozen=True, slots=True)
class Arm:
    """One arm of an A/B test; `weight` is its share of traffic relative to the others'."""

    arm: Name
    model_id: Name
    weight: Positive = 1.0


@dataclass(frozen=True, slots=True)
class MetricGoal:
    """What is compared. `margin`, in the metric's unit: differences within it do not matter."""

    metric: MetricName
    role: Role
    direction: Direction
    margin: NonNegative | None = None


@dataclass(frozen=True, slots=True)
class AbTest:
    """Two or more arms that share the live traffic of one capability."""

    org_id: Name
    ab_test_id: Name
    capability: Capability
    unit: Name
    arms: Annotated[tuple[Arm, ...], Field(min_length=2)]
    baseline: Name
    metrics: Annotated[tuple[MetricGoal, ...], Field(min_length=1)]
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    planned_n: Annotated[int, Field(ge=1)] = 10_000
    status: AbTestStatus = "running"

    @property
    def key(self) -> str:
        return f"{self.org_id}/ab_test/{self.ab_test_id}"


@dataclass(frozen=True, slots=True)
class PolicyWeights:
    """Importance of each criterion, relative to the others."""

    quality: NonNegative = 1.0
    cost_usd: NonNegative = 0.0
    latency_ms: NonNegative = 0.0
    error: NonNegative = 1.0


@dataclass(frozen=True, slots=True)
class PolicyScales:
    """How much cost (USD a call) or latency (ms) weighs as much as all of quality."""

    cost_usd: Positive = 0.01
    latency_ms: Positive = 1000.0


@dataclass(frozen=True, slots=True)
class PolicyConstraints:
    """Limits that make a model ineligible; None: not limited."""

    max_error_rate: Share | None = None
    max_latency_p95_ms: Positive | None = None
    max_cost_usd: NonNegative | None = None
    min_quality: Share | None = None


@dataclass(frozen=True, slots=True)
class SelectionPolicy:
    """How the models of one capability are chosen."""

    org_id: Name
    capability: Capability
    weights: PolicyWeights = PolicyWeights()
    scales: PolicyScales = PolicyScales()
    constraints: PolicyConstraints = PolicyConstraints()
    min_samples: Annotated[int, Field(ge=1)] = 100
    window_minutes: Annotated[float, Field(gt=0, le=7 * 24 * 60)] = 60.0
    min_dwell_s: NonNegative = 60.0
    fallback: tuple[Name, ...] = field(default=())

    @property
    def key(self) -> str:
        return f"{self.org_id}/policy/{self.capability}"


Entity = Model | AbTest | SelectionPolicy
