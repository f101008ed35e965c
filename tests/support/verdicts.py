"""Made verdicts of the demo's A/B test, whose intervals shrink as events come."""

import math
from datetime import UTC, datetime, timedelta

from schemas.records import AbVerdict, ArmCount, Comparison

BEGIN = datetime(2026, 11, 24, 12, tzinfo=UTC)
METRICS = (
    # metric, role, direction, difference, spread of one event
    ("quality", "primary", "higher", 0.19, 0.5),
    ("error", "guardrail", "lower", 0.005, 0.08),
    ("latency_ms", "secondary", "lower", 1030.0, 900.0),
    ("cost_usd", "secondary", "lower", 0.0199, 0.02),
)


def verdict(events: int, status: str = "collecting", winner: str | None = None) -> AbVerdict:
    """After so many events in each of two arms."""
    return AbVerdict(
        ab_test_id="gpt4-for-law",
        org_id="demo",
        capability="professional_law",
        as_of=BEGIN + timedelta(seconds=events),
        status=status,  # type: ignore[arg-type]  # tests pass one of the statuses
        winner=winner,
        decided_at=None,
        decision=f"{winner} is better" if winner else None,
        srm_p_value=0.8,
        alpha=0.05,
        arms=(
            ArmCount("mixtral", "mixtral-8x7b-instruct", events),
            ArmCount("gpt4", "gpt-4-1106-preview", events),
        ),
        comparisons=tuple(comparison(*each, events) for each in METRICS),
    )


def comparison(
    metric: str, role: str, direction: str, difference: float, spread: float, events: int
) -> Comparison:
    """With an interval of about the width that sequential tests have; none below 10 events."""
    known = events >= 10
    half = spread * math.sqrt(2 / events) * math.sqrt(2 * math.log(20 * (1 + events) ** 0.5))
    sign = 1 if direction == "higher" else -1
    clear = known and abs(difference) > half
    good = "better" if sign * difference > 0 else "worse"
    return Comparison(
        metric=metric,
        role=role,  # type: ignore[arg-type]
        direction=direction,  # type: ignore[arg-type]
        arm="gpt4",
        baseline="mixtral",
        n_arm=events,
        n_baseline=events,
        mean_arm=0.7,
        mean_baseline=0.5,
        difference=difference if known else None,
        relative_difference=None,
        fixed_p_value=None,
        fixed_lower=None,
        fixed_upper=None,
        anytime_p_value=None,
        anytime_lower=difference - half if known else None,
        anytime_upper=difference + half if known else None,
        verdict=("no_estimate" if not known else good if clear else "undecided"),  # type: ignore[arg-type]
        note=None if known else "too few events",
    )
