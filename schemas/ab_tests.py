"""A/B tests as the registry holds them: arms, metrics, what counts as independent, how traffic is
shared, and when it is decided."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from schemas.types import Capability, Label, MetricName, Name, NonNegative, Positive, Prose

AbTestStatus = Literal["draft", "running", "paused", "stopped", "archived"]
AbTestMode = Literal["online", "offline"]
Analysis = Literal["events", "units"]
AllocationMethod = Literal["fixed", "thompson", "top_two"]
SpendingFamily = Literal["obrien_fleming", "pocock"]
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
class Spending:
    """Planned looks, evenly, the last one when the smaller arm has planned_n values."""

    family: SpendingFamily
    looks: Annotated[int, Field(ge=1, le=20)]


@dataclass(frozen=True, slots=True)
class AbTest:
    """Two or more arms that share the live traffic of one capability, or (offline) the same cases.

    `analysis`: what counts as independent: every event, or every unit (its events summed).
    `covariate`: a metric whose mean before the test corrects each unit's (CUPED), with
    `pre_period_days` of history. `suite_id`, `suite_version`: of an offline test. `spending`: looks
    of the group-sequential analysis beside the verdict; None: there is none.
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
    spending: Spending | None = None

    @property
    def key(self) -> str:
        return f"{self.org_id}/{self.kind}/{self.ab_test_id}"
