"""What the registry holds: models, A/B tests, policies, suites, and who may use them.

The constraints beside the types are checked where values enter (`schemas.convert.from_record`, the
registry file), not when code builds a value. Every entity has a `kind` and a `key`
(`org_id/kind/...`), which is its key on the registry topic.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from schemas.access import ApiKey, KeyUse, Organisation, User
from schemas.models import (
    Alias,
    CapabilityLevel,
    Endpoint,
    Model,
    ModelCapability,
    ModelStatus,
    Price,
    RateLimits,
)
from schemas.suites import Dataset, Suite
from schemas.types import (
    Capability,
    Label,
    MetricName,
    Name,
    NonNegative,
    Positive,
    Prose,
    Share,
)

__all__ = [
    "ENTITIES",
    "AbTest",
    "AbTestMode",
    "AbTestStatus",
    "Alias",
    "Allocation",
    "AllocationMethod",
    "Analysis",
    "ApiKey",
    "Arm",
    "CapabilityLevel",
    "Dataset",
    "DecisionRule",
    "Direction",
    "Endpoint",
    "Entity",
    "KeyUse",
    "MetricGoal",
    "Model",
    "ModelCapability",
    "ModelStatus",
    "Organisation",
    "PolicyConstraints",
    "PolicyScales",
    "PolicyWeights",
    "Price",
    "RateLimits",
    "Role",
    "SelectionPolicy",
    "Suite",
    "User",
]

AbTestStatus = Literal["draft", "running", "paused", "stopped", "archived"]
AbTestMode = Literal["online", "offline"]
Analysis = Literal["events", "units"]
AllocationMethod = Literal["fixed", "thompson", "top_two"]
Role = Literal["primary", "guardrail", "secondary"]
Direction = Literal["higher", "lower"]


@dataclass(frozen=True, slots=True)
class Arm:
    """One arm of an A/B test; `weight` is its share of traffic relative to the others'.

    `model_version` None: whichever version serves.
    """

    arm: Name
    model_id: Name
    weight: Positive = 1.0
    model_version: Name | None = None


@dataclass(frozen=True, slots=True)
class MetricGoal:
    """What is compared. `margin`, in the metric's unit: differences within it do not matter.

    `min_effect`, in the metric's unit: what an improvement must at least be to be worth shipping.
    `winsorise`: the share of the largest values that is cut back to its boundary; None: none.
    """

    metric: MetricName
    role: Role
    direction: Direction
    margin: NonNegative | None = None
    min_effect: NonNegative | None = None
    winsorise: Annotated[float, Field(gt=0, lt=0.5)] | None = None


@dataclass(frozen=True, slots=True)
class Allocation:
    """How traffic is shared. `floor`: the least probability of every choice.

    `period_s`: weights change no more often than this, and estimates are kept apart by period.
    """

    method: AllocationMethod = "fixed"
    floor: Annotated[float, Field(gt=0, le=0.5)] = 0.05
    period_s: Positive = 600.0


@dataclass(frozen=True, slots=True)
class DecisionRule:
    """When an A/B test may be decided, besides what the comparisons say; None: not limited.

    `cost_per_point_usd`: what a call may cost more for each 0.01 of quality that it is better.
    """

    min_duration_s: NonNegative = 0.0
    max_duration_s: Positive | None = None
    min_units: Annotated[int, Field(ge=0)] = 0
    cost_per_point_usd: NonNegative | None = None


@dataclass(frozen=True, slots=True)
class AbTest:
    """Two or more arms that share the live traffic of one capability, or (offline) the same cases.

    `analysis`: what counts as independent: every event, or every unit (its events summed).
    `covariate`: a metric whose mean before the test corrects each unit's (CUPED), with
    `pre_period_days` of history. `suite_id`, `suite_version`: of an offline test.
    """

    kind: ClassVar[str] = "ab_test"

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
    mode: AbTestMode = "online"
    analysis: Analysis = "events"
    allocation: Allocation = Allocation()
    decision: DecisionRule = DecisionRule()
    covariate: MetricName | None = None
    pre_period_days: Positive | None = None
    suite_id: Name | None = None
    suite_version: Name | None = None
    hypothesis: Prose = ""
    owner: Label = ""

    @property
    def key(self) -> str:
        return f"{self.org_id}/{self.kind}/{self.ab_test_id}"


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
    """How the models of one capability are chosen.

    `allocation`: how the traffic is shared among them. `prior_samples`: how many production calls
    the evaluations of a model weigh at most as a prior; 0: evaluations are not looked at.
    """

    kind: ClassVar[str] = "policy"

    org_id: Name
    capability: Capability
    weights: PolicyWeights = PolicyWeights()
    scales: PolicyScales = PolicyScales()
    constraints: PolicyConstraints = PolicyConstraints()
    min_samples: Annotated[int, Field(ge=1)] = 100
    window_minutes: Annotated[float, Field(gt=0, le=7 * 24 * 60)] = 60.0
    min_dwell_s: NonNegative = 60.0
    fallback: tuple[Name, ...] = field(default=())
    allocation: Allocation = Allocation()
    prior_samples: Annotated[int, Field(ge=0)] = 0

    @property
    def key(self) -> str:
        return f"{self.org_id}/{self.kind}/{self.capability}"


Entity = (
    Model
    | AbTest
    | SelectionPolicy
    | Alias
    | ModelCapability
    | Organisation
    | User
    | ApiKey
    | KeyUse
    | Dataset
    | Suite
)
ENTITIES: Mapping[str, type[Entity]] = {
    cls.kind: cls
    for cls in (
        Organisation,
        User,
        ApiKey,
        KeyUse,
        ModelCapability,
        Model,
        Alias,
        AbTest,
        SelectionPolicy,
        Dataset,
        Suite,
    )
}
"""By kind; what others refer to comes first."""
