"""Which model serves a request, as an agent system asks: the client package chooses.

Its Selector follows the published selections and the registry's A/B tests; the demo decides only
which units take part in the test, by a hash of the unit that is independent of the client's draws.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rheostat_client import NotAssigned, Rule, Selector
from schemas.entities import AbTest, Entity, Model, SelectionPolicy

TEST_SHARE = 0.75
"""Share of the tested capability's units that take part in the test."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Who serves and why. `propensity`: the probability with which this model was chosen."""

    model_id: str
    model_version: str
    propensity: float
    ab_test_id: str | None = None
    arm: str | None = None
    selection_id: str | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What the demo's own registry file says, as far as an agent system would know it."""

    test: AbTest
    policies: Mapping[str, SelectionPolicy]
    versions: Mapping[str, str]

    @classmethod
    def of(cls, entities: Sequence[Entity]) -> "Facts":
        """From a registry file with one A/B test."""
        (test,) = (e for e in entities if isinstance(e, AbTest))
        policies = {e.capability: e for e in entities if isinstance(e, SelectionPolicy)}
        versions = {e.model_id: e.model_version for e in entities if isinstance(e, Model)}
        return cls(test, policies, versions)

    @property
    def rules(self) -> dict[str, list[Rule]]:
        """Who serves while nothing was published yet: the policies' fallback, in order."""
        return {
            name: [Rule(model, self.versions[model]) for model in policy.fallback]
            for name, policy in self.policies.items()
        }


def uniform(salt: str, unit_id: str) -> float:
    """A number in [0, 1) that is the same for the same unit and salt everywhere."""
    digest = hashlib.blake2b(f"{salt}\0{unit_id}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest) >> 11) / 2**53


def takes_part(test: AbTest, capability: str, unit_id: str) -> bool:
    """Whether the unit is in the test."""
    return capability == test.capability and (
        uniform(f"{test.ab_test_id} entry", unit_id) < TEST_SHARE
    )


def choose(selector: Selector, facts: Facts, capability: str, unit_id: str) -> Choice:
    """An arm of the A/B test, or what the client's Selector says."""
    if takes_part(facts.test, capability, unit_id):
        found = selector.assign(facts.test.ab_test_id, unit_id)
        if not isinstance(found, NotAssigned) and found.model_id and found.model_version:
            return Choice(
                found.model_id, found.model_version, found.propensity, found.ab_test_id, found.arm
            )
    chosen = selector.choose(capability, unit_id)
    return Choice(
        chosen.model_id,
        chosen.model_version,
        chosen.propensity,
        selection_id=chosen.selection_id,
    )
