"""Which arm of an A/B test a unit belongs to: a pure function, the same in every process.

The arm with the smallest  -ln(u) / weight  wins, where

    u = (n + 0.5) / 2^53,  n = the top 53 bits of the first 8 bytes (big-endian) of
        BLAKE2b("rheostat-assign" 0x00 ab_test_id 0x00 arm 0x00 unit_id), UTF-8, digest size 8

(weighted rendezvous hashing: Thaler and Ravishankar 1998; the race of exponential variables makes
the probabilities weight / sum of weights). The test's id salts the hash, so tests are independent
of each other. When weights change, only units move that the changed arms gain or lose.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

from rheostat_client import rules
from rheostat_client.errors import InvalidValue

PURPOSE = b"rheostat-assign"
_WEIGHT = rules.Range(0, 1e12)


@dataclass(frozen=True, slots=True)
class Arm:
    """One arm; `weight` is its share relative to the others', 0: nobody.

    `model_id` and `model_version`: what serves this arm, where that is what the test compares.
    """

    arm: str
    weight: float = 1.0
    model_id: str | None = None
    model_version: str | None = None


@dataclass(frozen=True, slots=True)
class Assignment:
    """A unit's arm. Hand it to `Reporter.inference`, so that the call is counted for the arm."""

    ab_test_id: str
    arm: str
    unit_id: str
    propensity: float
    model_id: str | None = None
    model_version: str | None = None
    capability: str | None = None


@dataclass(frozen=True, slots=True)
class NotAssigned:
    """The unit takes part in no arm, and why: serve it as if there were no test."""

    ab_test_id: str
    reason: str


def assign(
    ab_test_id: str, unit_id: str, arms: Sequence[Arm], capability: str | None = None
) -> Assignment:
    """The unit's arm. The order of `arms` does not matter. Raises InvalidValue."""
    rules.text("ab_test_id", ab_test_id)
    rules.text("unit_id", unit_id)
    total = _checked_total(arms)
    best: Arm | None = None
    shortest = math.inf
    for arm in sorted(arms, key=lambda a: a.arm):
        if arm.weight > 0:
            wait = -math.log(_uniform(ab_test_id, arm.arm, unit_id)) / arm.weight
            if wait < shortest:
                shortest, best = wait, arm
    if best is None:
        raise InvalidValue("arms", "must hold an arm with a weight above 0", tuple(arms))
    return Assignment(
        ab_test_id=ab_test_id,
        arm=best.arm,
        unit_id=unit_id,
        propensity=best.weight / total,
        model_id=best.model_id,
        model_version=best.model_version,
        capability=capability,
    )


def _checked_total(arms: Sequence[Arm]) -> float:
    total = 0.0
    for arm in arms:
        rules.text("arm", arm.arm)
        total += rules.number(f"weight of {arm.arm}", arm.weight, _WEIGHT)
    if len({arm.arm for arm in arms}) != len(arms):
        raise InvalidValue("arms", "must have different names", tuple(a.arm for a in arms))
    return total


def _uniform(ab_test_id: str, arm: str, unit_id: str) -> float:
    """A number in (0, 1) that belongs to this unit and arm of this test."""
    message = b"\0".join((PURPOSE, ab_test_id.encode(), arm.encode(), unit_id.encode()))
    digest = hashlib.blake2b(message, digest_size=8).digest()
    return ((int.from_bytes(digest, "big") >> 11) + 0.5) / 2**53
