"""New weights for the arms of a running A/B test whose allocation follows the results.

They go through the registry like every change of a test: producers follow it, and the split of
traffic is compared with the weights that were in force (agents.policy.split). Weights hold for
`allocation.period_s` at least. An arm that breaks a guardrail gets no more than the floor.
"""

import uuid
from dataclasses import replace
from datetime import datetime, timedelta

from scipy.special import ndtri

from agents.policy.allocation import Believed, shares
from schemas.commands import Change, RegistryCommand
from schemas.entities import AbTest
from schemas.records import AbVerdict, RegistryFact
from streams.statistics.bandit import floored
from streams.statistics.sequential import VALUES_MIN

AUTHOR = "A/B monitor"
EXPIRES_S = 30.0
CHANGE_MIN = 0.01
"""Smaller changes of a share are not worth moving units."""
DIGITS = 4
_IDS = uuid.UUID("1a9f4c2e-51f5-5bd2-8f6a-6f0f7cf0a3d1")


def due(
    fact: RegistryFact, test: AbTest, verdict: AbVerdict, looked_at: datetime | None, now: datetime
) -> bool:
    """Whether a period is over. `looked_at`: when the weights were last looked at."""
    if test.allocation.method == "fixed" or test.status != "running":
        return False
    since = fact.accepted_at if looked_at is None else max(fact.accepted_at, looked_at)
    over = (now - since).total_seconds() >= test.allocation.period_s
    return over and verdict.status == "collecting"


def reweighed(
    fact: RegistryFact, test: AbTest, verdict: AbVerdict, now: datetime
) -> RegistryCommand | None:
    """The command that changes the weights; None: they stay.

    They stay until every arm has VALUES_MIN values of every primary metric.
    """
    weights = _weights(fact, test, verdict)
    total = sum(arm.weight for arm in test.arms)
    if weights is None or all(
        abs(weights[arm.arm] - arm.weight / total) < CHANGE_MIN for arm in test.arms
    ):
        return None
    arms = tuple(replace(arm, weight=round(weights[arm.arm], DIGITS)) for arm in test.arms)
    change = Change("update", test.key, fact.version, replace(test, arms=arms))
    return RegistryCommand(
        command_id=str(uuid.uuid5(_IDS, f"{test.key}/{fact.version}/{now.timestamp():.0f}")),
        author=AUTHOR,
        org_id=test.org_id,
        submitted_at=now,
        expires_at=now + timedelta(seconds=EXPIRES_S),
        changes=(change,),
    )


def _weights(fact: RegistryFact, test: AbTest, verdict: AbVerdict) -> dict[str, float] | None:
    goal = next((goal for goal in test.metrics if goal.role == "primary"), None)
    if goal is None or any(_values(verdict, arm.arm) < VALUES_MIN for arm in test.arms):
        return None
    sign = 1.0 if goal.direction == "higher" else -1.0
    known = {b.arm: b for b in verdict.beliefs if b.metric == goal.metric}
    if any(arm.arm not in known for arm in test.arms):
        return None
    choices = [
        Believed(sign * b.mean, (b.upper - b.lower) / 2 / _reach(test))
        for b in (known[arm.arm] for arm in test.arms)
    ]
    found = shares(test.allocation, choices, f"{test.key}/{fact.version}")
    broken = {c.arm for c in verdict.comparisons if c.guard == "broken"}
    kept = [
        0.0 if arm.arm in broken else share for arm, share in zip(test.arms, found, strict=True)
    ]
    if any(kept):
        found = floored(kept, min(test.allocation.floor, 1 / len(kept)))
    return {arm.arm: share for arm, share in zip(test.arms, found, strict=True)}


def _reach(test: AbTest) -> float:
    """Standard errors from the middle to the end of a credible interval."""
    return -float(ndtri(test.alpha / 2))


def _values(verdict: AbVerdict, arm: str) -> int:
    """The fewest values of a primary metric that an arm has."""
    counts = [
        n
        for c in verdict.comparisons
        if c.role == "primary"
        for name, n in ((c.arm, c.n_arm), (c.baseline, c.n_baseline))
        if name == arm
    ]
    return min(counts, default=0)
