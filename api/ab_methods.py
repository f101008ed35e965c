"""The answer about what other methods say of an A/B test."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from agents.ab_methods import Methods
from agents.policy.method_rows import MethodRow
from agents.policy.methods import CAUTIONS
from agents.policy.planned_looks import LookRow
from schemas.entities import AbTest
from streams.statistics.estimates import NoEstimate

EXAMPLE: dict[str, Any] = {
    "ab_test_id": "small-2026-11",
    "alpha": 0.05,
    "as_of": "2026-11-24T12:00:00Z",
    "rows": [
        {
            "metric": "latency_ms",
            "arm": "new",
            "baseline": "old",
            "method": "quantile",
            "quantity": "p95",
            "when": "at every look",
            "by": "calls",
            "n_arm": 9087,
            "n_baseline": 9120,
            "value": -61.4,
            "lower": -148.2,
            "upper": 27.9,
            "p_value": None,
            "margin": None,
            "level": 0.95,
            "corrected_for": 1,
            "note": None,
        },
        {
            "metric": "latency_ms",
            "arm": "new",
            "baseline": "old",
            "method": "non_inferiority",
            "quantity": "difference",
            "when": "once",
            "by": "calls",
            "n_arm": 9087,
            "n_baseline": 9120,
            "value": -12.6,
            "lower": None,
            "upper": None,
            "p_value": 3.1e-48,
            "margin": 100.0,
            "level": 0.95,
            "corrected_for": 1,
            "note": None,
        },
    ],
    "group_sequential": [
        {
            "metric": "latency_ms",
            "arm": "new",
            "baseline": "old",
            "method": "group_sequential",
            "family": "obrien_fleming",
            "look": 2,
            "looks": 4,
            "needed": 5000,
            "when": "at the planned looks only",
            "as_of": "2026-11-22T08:10:00Z",
            "n_arm": 5003,
            "n_baseline": 5021,
            "fraction": 0.5003,
            "bound": 2.9614,
            "p_needed": 0.00306,
            "z": -3.42,
            "value": -11.9,
            "lower": -22.2,
            "upper": -1.6,
            "p_value": 0.00063,
            "crossed": True,
            "level": 0.95,
            "corrected_for": 1,
            "note": None,
        },
    ],
    "warnings": [],
    "cautions": list(CAUTIONS),
    "why_none": None,
}


class MethodsBody(BaseModel):
    """What other methods say of each metric and arm. No verdict rests on it."""

    model_config = ConfigDict(json_schema_extra={"example": EXAMPLE})

    ab_test_id: str
    alpha: float = Field(description="What p-values are to be compared with.")
    as_of: datetime = Field(description="When the calls were counted; kept for a minute and more.")
    rows: Sequence[MethodRow] = Field(
        description="By metric: each arm alone, all together, then each against the baseline."
    )
    group_sequential: Sequence[LookRow] = Field(
        description="Every look that the test planned (`spending`), by metric and arm: what was "
        "seen in the verdict that reached it first. None without planned looks."
    )
    warnings: Sequence[str] = Field(description="What is known against these numbers.")
    cautions: Sequence[str] = Field(CAUTIONS, description="How such rows may be used.")
    why_none: str | None = Field(None, description="Why there are no rows at all.")


def methods_body(
    test: AbTest, found: Methods | NoEstimate, as_of: datetime, metric: str | None
) -> MethodsBody:
    """`metric`: only its rows; None: all."""
    if isinstance(found, NoEstimate):
        return MethodsBody(
            ab_test_id=test.ab_test_id,
            alpha=test.alpha,
            as_of=as_of,
            rows=[],
            group_sequential=[],
            warnings=[],
            why_none=found.reason,
        )
    return MethodsBody(
        ab_test_id=test.ab_test_id,
        alpha=test.alpha,
        as_of=found.as_of,
        rows=[row for row in found.rows if metric in (None, row.metric)],
        group_sequential=[row for row in found.group_sequential if metric in (None, row.metric)],
        warnings=found.warnings,
    )
