"""What the registry holds: models, A/B tests, policies, suites, and who may use them.

The constraints beside the types are checked where values enter (`schemas.convert.from_record`, the
registry file), not when code builds a value. Every entity has a `kind` and a `key`
(`org_id/kind/...`), which is its key on the registry topic.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from pydantic import Field

from schemas.ab_tests import (
    AbTest,
    AbTestMode,
    AbTestStatus,
    Allocation,
    AllocationMethod,
    Analysis,
    Arm,
    DecisionRule,
    Direction,
    MetricGoal,
    Role,
    Spending,
    SpendingFamily,
)
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
from schemas.types import Capability, Name, NonNegative, Positive, Share

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
    "Spending",
    "SpendingFamily",
    "Suite",
    "User",
]


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
    allocation: Allocation = field(default=Allocation())
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
