"""Why `choose` answers what it answers, candidate by candidate."""

from collections.abc import Sequence
from dataclasses import dataclass

from rheostat_client.choice import Choice, Source
from rheostat_client.pool import Pool
from rheostat_client.requirements import Requirements
from rheostat_client.selections import Candidate, Update


@dataclass(frozen=True, slots=True)
class Standing:
    """One candidate: its probability of being chosen, and everything that speaks for or against.

    `propensity` 0: it cannot be chosen.
    """

    model_id: str
    model_version: str
    rank: int
    propensity: float
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a choice would be made from now. `str()` is a text for people.

    `source` None: nobody can be chosen. `looked_at`: one line for each place, in the order of
    preference. `choice`: what the unit gets, when one was named.
    """

    capability: str
    source: Source | None
    selection_id: str | None
    reason: str
    looked_at: tuple[str, ...]
    standings: tuple[Standing, ...]
    choice: Choice | None = None

    def __str__(self) -> str:
        lines = [f"{self.capability}: {self.source or 'nobody can be chosen'}. {self.reason}"]
        lines += [f"  - {line}" for line in self.looked_at]
        for s in self.standings:
            lines.append(f"  {s.propensity:7.2%}  {s.model_id} {s.model_version} (rank {s.rank})")
            lines += [f"             {reason}" for reason in s.reasons]
        if self.choice is not None:
            lines.append(f"  this unit: {self.choice.model_id} {self.choice.model_version}")
        return "\n".join(lines)


def standings(
    candidates: Sequence[Candidate], pool: Pool | None, requirements: Requirements
) -> tuple[Standing, ...]:
    """Every candidate in its order."""
    shares = {(c.model_id, c.model_version): c.propensity for c in pool.choices} if pool else {}
    return tuple(
        Standing(
            model_id=c.model_id,
            model_version=c.model_version,
            rank=c.rank,
            propensity=shares.get((c.model_id, c.model_version), 0.0),
            reasons=(*c.reasons, *requirements.unmet(c)),
        )
        for c in candidates
    )


def age(update: Update, now_ms: float) -> str:
    """How old an update is, and whether it has expired."""
    old = f"issued {(now_ms - update.issued_at_ms) / 1000:.0f} s ago"
    left_s = (update.expires_at_ms - now_ms) / 1000
    until = f"valid for {left_s:.0f} s" if left_s > 0 else f"expired {-left_s:.0f} s ago"
    return f"{old}, {until}"
