"""The messages of the control lane as values; the Avro schemas beside this file are their contract.

`None` means that there is no estimate: never 0.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from schemas.commands import RegistryCommand
from schemas.entities import Analysis, Direction, Entity, Role
from schemas.evaluations import (
    CaseResult,
    DatasetPart,
    EvaluationCase,
    EvaluationRequest,
    EvaluationRun,
)

AbStatus = Literal["collecting", "decided", "invalid", "stopped"]
ComparisonVerdict = Literal["better", "worse", "no_difference", "undecided", "no_estimate"]
Recommendation = Literal["ship", "roll_back", "keep_going", "no_difference", "invalid"]
Worth = Literal["worth", "not_worth", "open"]
Guard = Literal["safe", "broken", "open"]
AlertKind = Literal[
    "srm", "error_rate", "latency", "selector_fallback", "budget", "lag", "pipeline"
]
Severity = Literal["info", "warning", "critical"]


@dataclass(frozen=True, slots=True)
class ArmCount:
    """Traffic of one arm. `units`: None when not counted. `weight`: its share by the registry."""

    arm: str
    model_id: str
    events: int
    units: int | None = None
    weight: float | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """One metric of one arm against the baseline; differences are arm minus baseline."""

    metric: str
    role: Role
    direction: Direction
    arm: str
    baseline: str
    n_arm: int
    n_baseline: int
    mean_arm: float | None
    mean_baseline: float | None
    difference: float | None
    relative_difference: float | None
    fixed_p_value: float | None
    fixed_lower: float | None
    fixed_upper: float | None
    anytime_p_value: float | None
    anytime_lower: float | None
    anytime_upper: float | None
    verdict: ComparisonVerdict
    note: str | None = None
    log_e_value: float | None = None
    adjusted_p_value: float | None = None
    margin: float | None = None
    min_effect: float | None = None
    worth: Worth | None = None
    guard: Guard | None = None
    design_effect: float | None = None
    variance_left: float | None = None


@dataclass(frozen=True, slots=True)
class ArmPair:
    """Two arms on a primary metric; the difference is arm minus other."""

    metric: str
    arm: str
    other: str
    difference: float | None
    anytime_p_value: float | None
    anytime_lower: float | None
    anytime_upper: float | None
    verdict: ComparisonVerdict


@dataclass(frozen=True, slots=True)
class ArmBelief:
    """What is believed of an arm on a primary metric; the loss is in the metric's unit."""

    metric: str
    arm: str
    mean: float
    lower: float
    upper: float
    probability_best: float
    expected_loss: float


@dataclass(frozen=True, slots=True)
class SourceStretch:
    """Consecutive records of a partition that were counted under one version of the test.

    `test_version` 0: under several. `resumed`: the test was paused before the first of them.
    """

    topic: str
    partition: int
    first_offset: int
    last_offset: int
    test_version: int
    resumed: bool = False


@dataclass(frozen=True, slots=True)
class AbVerdict:
    """What the statistics say of an A/B test at an instant.

    `sources`: the records that the numbers rest on; `decision_sources`: that the decision does.
    `decided_by`: a person; None: the statistics. `statistics_version`: of the formulas behind the
    numbers; None: from before they had one.
    Verdicts from before there were recommendations read as keep_going without a reason.
    """

    ab_test_id: str
    org_id: str
    capability: str
    as_of: datetime
    status: AbStatus
    winner: str | None
    decided_at: datetime | None
    decision: str | None
    srm_p_value: float | None
    alpha: float
    arms: tuple[ArmCount, ...]
    comparisons: tuple[Comparison, ...]
    recommendation: Recommendation = "keep_going"
    reason: str = ""
    analysis: Analysis = "events"
    warning: str | None = None
    multiplicity: str = ""
    started_at: datetime | None = None
    pairs: tuple[ArmPair, ...] = ()
    beliefs: tuple[ArmBelief, ...] = ()
    sources: tuple[SourceStretch, ...] = ()
    decision_sources: tuple[SourceStretch, ...] = ()
    decided_by: str | None = None
    statistics_version: int | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """One model as the selector sees it."""

    model_id: str
    model_version: str
    rank: int
    weight: float
    eligible: bool
    score: float | None
    score_lower: float | None
    samples: int
    quality: float | None
    error_rate: float | None
    latency_p95_ms: float | None
    cost_usd_mean: float | None
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SelectionUpdate:
    """Which models should serve a capability, ranked, with reasons."""

    selection_id: str
    org_id: str
    capability: str
    issued_at: datetime
    expires_at: datetime
    policy_version: int
    reason: str
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class Alert:
    """Something an operator or owner should look at."""

    alert_id: str
    org_id: str
    raised_at: datetime
    kind: AlertKind
    severity: Severity
    message: str
    capability: str | None = None
    model_id: str | None = None
    ab_test_id: str | None = None
    value: float | None = None
    expected: float | None = None
    p_value: float | None = None
    window_start: datetime | None = None
    window_end: datetime | None = None


@dataclass(frozen=True, slots=True)
class AppliedCommand:
    """A command that changed an entity, and the version it made."""

    command_id: str
    version: int


@dataclass(frozen=True, slots=True)
class RegistryFact:
    """An accepted entity. `version` grows by 1 with each accepted change of its key.

    `deleted`: the entity is gone, and `entity` is what it last was. `applied`: the latest commands
    that changed it, oldest first, so that a repeated one is recognised.
    """

    version: int
    author: str
    accepted_at: datetime
    command_id: str
    entity: Entity
    deleted: bool = False
    applied: tuple[AppliedCommand, ...] = ()


ControlRecord = (
    AbVerdict
    | SelectionUpdate
    | Alert
    | RegistryFact
    | RegistryCommand
    | EvaluationRequest
    | EvaluationCase
    | EvaluationRun
    | CaseResult
    | DatasetPart
)
