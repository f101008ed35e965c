"""Choosing from what is known: no threads, no Kafka, no clock of its own."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from rheostat_client import explain, rules
from rheostat_client.choice import Choice, Source
from rheostat_client.errors import InvalidValue, NoChoice
from rheostat_client.pool import Pool
from rheostat_client.requirements import NONE, Requirements
from rheostat_client.shelf import RuleShelf, Shelf


@dataclass(slots=True)
class Chooser:
    """Looks into `shelves` (which others keep up to date), then into the configured `rules`.

    `now_s`: seconds since 1970. `snapshot_max_age_s`: how long after its expiry an update serves.
    """

    shelves: Mapping[str, Shelf]
    rules: Mapping[str, RuleShelf]
    snapshot_max_age_s: float
    now_s: Callable[[], float]
    rng: random.Random = field(default_factory=random.Random)

    def choose(
        self, capability: str, unit_id: str | None, requirements: Requirements | None
    ) -> Choice:
        """See Selector.choose."""
        shelf = self.shelves.get(capability)
        pool = None
        if requirements is None and shelf is not None and self.now_s() * 1000 < shelf.expires_ms:
            pool = shelf.live
        if pool is None:
            pool = self._found(capability, shelf, NONE if requirements is None else requirements)
        if unit_id is None:
            return pool.at_random(self.rng)
        if type(unit_id) is not str or not 0 < len(unit_id) <= rules.SAFE_CHARACTERS:
            rules.text("unit_id", unit_id)
        try:
            return pool.for_unit(unit_id)
        except UnicodeEncodeError:
            rules.text("unit_id", unit_id)
            raise

    def explain(
        self, capability: str, unit_id: str | None, requirements: Requirements | None
    ) -> explain.Explanation:
        """See Selector.explain."""
        rules.text("capability", capability)
        wanted = requirements or NONE
        shelf, configured = self.shelves.get(capability), self.rules.get(capability)
        source, pool, looked_at = self._look(capability, shelf, wanted)
        update = None if shelf is None or source == "rules" else shelf.update
        listed = update or configured
        return explain.Explanation(
            capability=capability,
            source=source,
            selection_id=update.selection_id if update else None,
            reason=update.reason if update else "",
            looked_at=tuple(looked_at),
            standings=explain.standings(listed.candidates if listed else (), pool, wanted),
            choice=pool.for_unit(unit_id) if pool is not None and unit_id else None,
        )

    def _found(self, capability: str, shelf: Shelf | None, requirements: Requirements) -> Pool:
        rules.text("capability", capability)
        if not isinstance(requirements, Requirements):
            raise InvalidValue("requirements", "must be Requirements", requirements)
        _, pool, looked_at = self._look(capability, shelf, requirements)
        if pool is None:
            raise NoChoice(capability, looked_at)
        return pool

    def _look(
        self, capability: str, shelf: Shelf | None, requirements: Requirements
    ) -> tuple[Source | None, Pool | None, list[str]]:
        """The first place that has somebody, and what was found in each."""
        looked_at = []
        if shelf is None:
            looked_at.append("updates: none for this capability, neither from Kafka nor from disk")
        else:
            source, said = self._standing(shelf)
            if source is not None and (pool := shelf.pool(source, requirements)) is not None:
                return source, pool, [f"{source}: {said}"]
            nobody = "" if source is None else ", but no candidate may serve this request"
            looked_at.append(f"{source or 'snapshot'}: {said}{nobody}")
        configured = self.rules.get(capability)
        pool = None if configured is None else configured.pool(requirements)
        if pool is not None:
            return "rules", pool, [*looked_at, "rules: the configured ones apply"]
        missing = "none configured" if configured is None else "none meets the requirements"
        return None, None, [*looked_at, f"rules: {missing}"]

    def _standing(self, shelf: Shelf) -> tuple[Source | None, str]:
        """What an update is good for now; None: it is too old for anything."""
        now_ms = self.now_s() * 1000
        said = explain.age(shelf.update, now_ms)
        if now_ms < shelf.expires_ms:
            return "live", said
        if now_ms > shelf.update.expires_at_ms + self.snapshot_max_age_s * 1000:
            return None, f"{said}, which is too long"
        return "snapshot", said if shelf.confirmed else f"{said}, not confirmed by Kafka"
