"""What is known of one capability, ready to choose from: an update, or the rules."""

from collections.abc import Sequence

from rheostat_client.choice import Choice, Source
from rheostat_client.pool import Option, Pool
from rheostat_client.requirements import NONE, Requirements
from rheostat_client.selections import Candidate, Update

POOLS_MAX = 256
"""Different (source, requirements) of one capability that are kept ready."""


class Shelf:
    """An update with the pools made from it. `confirmed`: Kafka said so to this process."""

    __slots__ = ("_pools", "confirmed", "expires_ms", "live", "update")

    def __init__(self, update: Update, confirmed: bool) -> None:
        self.update = update
        self.confirmed = confirmed
        self.expires_ms = update.expires_at_ms if confirmed else 0
        self._pools: dict[tuple[Source, Requirements], Pool | None] = {}
        self.live = self.pool("live", NONE)
        """The pool for whoever asks for nothing special while the update is current."""

    def pool(self, source: Source, requirements: Requirements) -> Pool | None:
        """Who may serve; None: nobody."""
        key = (source, requirements)
        try:
            return self._pools[key]
        except KeyError:
            if len(self._pools) >= POOLS_MAX:
                self._pools.clear()
            made = _made(self.update, self.update.candidates, source, requirements)
            self._pools[key] = made
            return made


class RuleShelf:
    """The configured rules of one capability, with their pools."""

    __slots__ = ("_pools", "candidates", "capability")

    def __init__(self, capability: str, candidates: tuple[Candidate, ...]) -> None:
        self.capability = capability
        self.candidates = candidates
        self._pools: dict[Requirements, Pool | None] = {}

    def pool(self, requirements: Requirements) -> Pool | None:
        """Who may serve; None: nobody."""
        if requirements not in self._pools:
            if len(self._pools) >= POOLS_MAX:
                self._pools.clear()
            self._pools[requirements] = self._made(requirements)
        return self._pools[requirements]

    def _made(self, requirements: Requirements) -> Pool | None:
        fit = [c for c in self.candidates if not any(requirements.unmet(c))]
        if not fit:
            return None
        in_order = fit[0].weight == 0
        served = [fit[0]._replace(weight=1.0)] if in_order else fit
        options = [_option(self.capability, None, c, "rules", c.reasons[0]) for c in served]
        return Pool(self.capability, options)


def _made(
    update: Update, candidates: Sequence[Candidate], source: Source, requirements: Requirements
) -> Pool | None:
    options = [
        _option(update.capability, update.selection_id, c, source, _reason(c))
        for c in candidates
        if c.serves and not any(requirements.unmet(c))
    ]
    return Pool(update.capability, options) if options else None


def _option(
    capability: str, selection_id: str | None, c: Candidate, source: Source, reason: str
) -> Option:
    # The pool fills in the propensity: it depends on who else is in it.
    choice = Choice(capability, c.model_id, c.model_version, selection_id, 1.0, reason, source)
    return Option(choice, c.weight)


def _reason(candidate: Candidate) -> str:
    why = candidate.reasons[0] if candidate.reasons else "eligible"
    return f"rank {candidate.rank}: {why}"
