"""Which model serves a request: an arm of the A/B test, or what the current selection names. Pure.

Both choices hash the unit, so they do not depend on order or on anybody's random numbers. Salts
differ, so that being in a test, its arm and the selection's draw are independent.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from schemas.entities import AbTest, SelectionPolicy
from schemas.records import Candidate, SelectionUpdate

TEST_SHARE = 0.75
"""Share of the tested capability's units that take part in the test."""
EXPLORED = 0.2
"""Share of the selection's traffic that is spread evenly instead of by weight."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Who serves and why. `propensity`: the probability with which this model was chosen."""

    model_id: str
    model_version: str
    propensity: float
    ab_test_id: str | None = None
    arm: str | None = None
    selection_id: str | None = None


def uniform(salt: str, unit_id: str) -> float:
    """A number in [0, 1) that is the same for the same unit and salt everywhere."""
    digest = hashlib.blake2b(f"{salt}\0{unit_id}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest) >> 11) / 2**53


def takes_part(test: AbTest, capability: str, unit_id: str) -> bool:
    """Whether the unit is in the test."""
    return capability == test.capability and (
        uniform(f"{test.ab_test_id} entry", unit_id) < TEST_SHARE
    )


def by_test(test: AbTest, versions: Mapping[str, str], unit_id: str) -> Choice:
    """The unit's arm. `versions`: the model versions by model id."""
    total = sum(arm.weight for arm in test.arms)
    arm = test.arms[_draw([a.weight for a in test.arms], uniform(test.ab_test_id, unit_id))]
    share = arm.weight / total
    return Choice(arm.model_id, versions[arm.model_id], share, test.ab_test_id, arm.arm)


def by_selection(
    update: SelectionUpdate | None, policy: SelectionPolicy, default: Choice, unit_id: str
) -> Choice:
    """A candidate, drawn by weight. `default`: who serves while there is no selection.

    A selection gives nothing to a model that nobody has measured yet, and says that its first
    calls have to come from elsewhere. Here they come from EXPLORED: that share of the traffic is
    spread evenly over those that are eligible or have too few samples to tell.
    """
    if update is None:
        return default
    shares = _shares(update, policy)
    if not shares:
        return default
    # The capability alone salts the draw: a unit keeps its model while the shares stay.
    point = uniform(f"selection {update.capability}", unit_id)
    candidate, share = shares[_draw([share for _, share in shares], point)]
    return Choice(
        candidate.model_id, candidate.model_version, share, selection_id=update.selection_id
    )


def _shares(update: SelectionUpdate, policy: SelectionPolicy) -> list[tuple[Candidate, float]]:
    """Candidates that get traffic, with their shares; sums to 1, or empty."""
    open_to = [c for c in update.candidates if c.eligible or c.samples < policy.min_samples]
    if not any(c.weight > 0 for c in open_to):
        return []
    return [(c, (1 - EXPLORED) * c.weight + EXPLORED / len(open_to)) for c in open_to]


def _draw(weights: Sequence[float], point: float) -> int:
    """The place whose share of the weights holds `point` in [0, 1)."""
    left = point * sum(weights)
    for place, weight in enumerate(weights):
        left -= weight
        if left < 0:
            return place
    return len(weights) - 1
