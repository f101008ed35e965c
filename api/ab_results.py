"""The answers about A/B tests: their models, and what is read from ClickHouse for them."""

import csv
import io
from collections.abc import Iterable
from dataclasses import fields
from datetime import datetime

from pydantic import BaseModel, Field

from agents.ab_health import Health
from agents.ab_plan import Plan
from agents.policy.case_pairs import PairedTests
from agents.policy.periods import Periods
from schemas.entities import AbTestMode, AbTestStatus
from schemas.evaluations import RunState
from schemas.records import AbVerdict, Comparison, Recommendation

EXPORTED = ("as_of", "status", "recommendation", "analysis", "srm_p_value")


class ResultsBody(BaseModel):
    """What is known of a test. `verdict` is null until there is one; `why_none` then says why."""

    ab_test_id: str
    org_id: str
    status: AbTestStatus
    mode: AbTestMode
    hypothesis: str
    verdict: AbVerdict | None = Field(description="The newest verdict, every number of it.")
    why_none: str | None
    paired: list[PairedTests] = Field(
        description="Of an offline test: each arm and metric against the baseline, case by case."
    )
    periods: Periods | None = Field(
        description="Of a test whose weights changed while it ran: the differences with periods of "
        "constant weights as strata, and what to trust. Null: weights did not change, there is no "
        "verdict, the test is offline, or `why_no_periods` says why. Kept for a minute and more."
    )
    why_no_periods: str | None = None
    run_id: str | None = Field(None, description="Of an offline test: the run its cases are of.")
    run_state: RunState | None = None
    health: Health | None = Field(
        None, description="Whether the test itself is sound; null: `why_no_health` says why."
    )
    why_no_health: str | None = None


class PointBody(BaseModel):
    """One arm of one metric at one instant, against the baseline; null: no estimate then."""

    as_of: datetime
    arm: str
    n_arm: int
    n_baseline: int
    difference: float | None
    anytime_lower: float | None
    anytime_upper: float | None
    verdict: str
    recommendation: Recommendation


class TimelineBody(BaseModel):
    """How the interval of a metric and the recommendation went, oldest first."""

    ab_test_id: str
    metric: str
    points: list[PointBody]


class PlanBody(BaseModel):
    """What a test still takes, by arm and primary metric."""

    ab_test_id: str
    planned_n: int
    power: float
    plans: list[Plan]


def points(verdicts: Iterable[AbVerdict], metric: str) -> list[PointBody]:
    """Of one metric."""
    return [
        PointBody(
            as_of=verdict.as_of,
            arm=each.arm,
            n_arm=each.n_arm,
            n_baseline=each.n_baseline,
            difference=each.difference,
            anytime_lower=each.anytime_lower,
            anytime_upper=each.anytime_upper,
            verdict=each.verdict,
            recommendation=verdict.recommendation,
        )
        for verdict in verdicts
        for each in verdict.comparisons
        if each.metric == metric
    ]


def exported(verdicts: Iterable[AbVerdict]) -> str:
    """CSV with a header: one row for every comparison of every verdict, oldest first. An empty
    cell: no estimate. Text that a spreadsheet would take for a formula is quoted by an apostrophe.
    """
    out = io.StringIO()
    columns = [field.name for field in fields(Comparison)]
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([*EXPORTED, *columns])
    for verdict in verdicts:
        common = [getattr(verdict, name) for name in EXPORTED]
        for each in verdict.comparisons:
            row = [*common, *(getattr(each, name) for name in columns)]
            writer.writerow([_cell(value) for value in row])
    return out.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{value}"
    return "" if value is None else value
