"""Rows of A/B tests without the cost of encoding events: one row a call of messages is enough."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import polars as pl

from schemas.entities import AbTest, Arm, Direction, MetricGoal, Role
from streams.partials import PANE

TEST = AbTest(
    "acme",
    "t",
    "chat",
    "request",
    (Arm("a", "small"), Arm("b", "large")),
    "a",
    (MetricGoal("quality", "primary", "higher"),),
    planned_n=400,
)
SPREAD = {"quality": 0.1, "latency_ms": 50.0}
Call = dict[str, Any]


def goal(
    metric: str,
    role: Role = "primary",
    direction: Direction = "higher",
    margin: float | None = None,
) -> MetricGoal:
    return MetricGoal(metric, role, direction, margin)


def calls(arm: str, n: int, **metrics: float | Sequence[float]) -> list[Call]:
    """n calls without failures. A number: a mean with the metric's SPREAD; a sequence: values."""
    rng = random.Random(f"{arm}{n}{sorted(metrics.items())}")
    found = [{"arm": arm, "metric": "error", "values": [0.0] * n}]
    named: dict[str, float | Sequence[float]] = {"latency_ms": 100.0, **metrics}
    for metric, given in named.items():
        values = (
            [rng.gauss(given, SPREAD[metric]) for _ in range(n)]
            if isinstance(given, int | float)
            else list(given)
        )
        if values:
            found.append({"arm": arm, "metric": metric, "values": values})
    return found


def rows(found: Sequence[Call], at_s: int = 0) -> pl.DataFrame:
    """Tidy partial rows, one for each metric, in the pane of a time since 1970 or of the call."""
    return pl.DataFrame(
        [
            {
                "pane": _pane(some.get("at_s", at_s)),
                "arm": some["arm"],
                "metric": some["metric"],
                "n": len(some["values"]),
                "total": float(sum(some["values"])),
                "total_sq": float(sum(v * v for v in some["values"])),
                "minimum": float(min(some["values"])),
                "maximum": float(max(some["values"])),
                "total_nanos": 0,
            }
            for some in found
        ],
        schema_overrides={"pane": PANE},
    )


def _pane(at_s: int) -> datetime:
    return datetime.fromtimestamp(at_s - at_s % 10, UTC)
