"""Picks the model that serves next, from memory."""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from rheostat_client import ending, explain, fallback, forking, rules
from rheostat_client.ab_tests import AbTests
from rheostat_client.assign import Arm, Assignment, NotAssigned, assign
from rheostat_client.choice import Choice, Source
from rheostat_client.config import Config
from rheostat_client.errors import InvalidValue, NoChoice
from rheostat_client.follow import Follower
from rheostat_client.pool import Pool
from rheostat_client.requirements import NONE, Requirements
from rheostat_client.shelf import RuleShelf, Shelf
from rheostat_client.snapshot import Snapshot, default_path
from rheostat_client.table import Table

UPDATES = "selection-updates"
REGISTRY = "registry"


@dataclass(frozen=True, slots=True)
class SelectorOptions:
    """How a Selector behaves.

    `snapshot_path`: where the last known good updates are kept; "auto": in the user's cache folder;
    None: nowhere. `snapshot_max_age_s`: how long after its expiry an update may still serve before
    the rules do (Kafka forgets deletions after a day, hence the default). `follow_ab_tests`:
    whether the registry is followed, which `assign` without arms needs. `seed` makes draws for
    nobody in particular (no unit_id) repeatable.
    """

    snapshot_path: Path | str | None = "auto"
    snapshot_max_age_s: float = 86_400.0
    follow_ab_tests: bool = True
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """How well a Selector is informed. `trouble`: what is going wrong now, if anything."""

    loaded: bool
    capabilities: int
    skipped_messages: int
    trouble: str | None


class Selector:
    """Follows the selections of one organisation in the background and chooses from them.

    The constructor returns at once, whether Kafka is there or not. `choose` reads memory only. It
    uses, in this order: the live update; the last known good one; the configured `rules`; and says
    which in `source`. Thread-safe. A forked child follows for itself from its first choice on.

    Raises InvalidValue for wrong rules or a configuration that librdkafka refuses.
    """

    def __init__(
        self,
        config: Config,
        rules: fallback.Rules | None = None,
        options: SelectorOptions | None = None,
        *,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._options = options or SelectorOptions()
        self._now_s = now_s
        checked = fallback.checked(rules or {})
        self._rules = {name: RuleShelf(name, found) for name, found in checked.items()}
        schemas = config.schemas()
        self._table = Table(config.org_id, schemas, _snapshot(config, self._options))
        self._shelves = self._table.shelves
        self._tests = AbTests(config.org_id, schemas)
        self._followers = [Follower(config, UPDATES, self._table)]
        if self._options.follow_ab_tests:
            self._followers.append(Follower(config, REGISTRY, self._tests))
        self._rng = random.Random(self._options.seed)
        self._following = False
        forking.watch(self)
        ending.at_exit(self)
        self._follow()

    def forked(self) -> None:
        """A child draws differently from its parent, and follows when it first chooses."""
        self._following = False
        self._table.restart()
        if self._options.seed is None:
            self._rng = random.Random()

    def choose(
        self,
        capability: str,
        unit_id: str | None = None,
        requirements: Requirements | None = None,
    ) -> Choice:
        """The model that should serve this unit.

        The same unit gets the same model for as long as that model's share does not shrink; without
        a unit every call is a fresh draw. Raises NoChoice when nothing known or configured may
        serve, InvalidValue for a wrong argument.
        """
        if not self._following:
            self._follow()
        shelf = self._shelves.get(capability)
        pool = None
        if requirements is None and shelf is not None and self._now_s() * 1000 < shelf.expires_ms:
            pool = shelf.live
        if pool is None:
            pool = self._found(capability, shelf, requirements or NONE)
        if unit_id is None:
            return pool.at_random(self._rng)
        if type(unit_id) is not str or not 0 < len(unit_id) <= rules.SAFE_CHARACTERS:
            rules.text("unit_id", unit_id)
        try:
            return pool.for_unit(unit_id)
        except UnicodeEncodeError:
            rules.text("unit_id", unit_id)
            raise

    def explain(
        self,
        capability: str,
        unit_id: str | None = None,
        requirements: Requirements | None = None,
    ) -> explain.Explanation:
        """What `choose` would use now and why, candidate by candidate. Never raises NoChoice."""
        rules.text("capability", capability)
        wanted = requirements or NONE
        shelf = self._shelves.get(capability)
        source, pool, looked_at = self._look(capability, shelf, wanted)
        configured = self._rules.get(capability)
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

    def assign(
        self, ab_test_id: str, unit_id: str, arms: Sequence[Arm] | None = None
    ) -> Assignment | NotAssigned:
        """The unit's arm of an A/B test: of `arms`, or of the registry's running test.

        Hand the assignment to `Reporter.inference`. Raises InvalidValue.
        """
        if arms is not None:
            return assign(ab_test_id, unit_id, arms)
        if not self._following:
            self._follow()
        rules.text("unit_id", unit_id)
        return self._tests.assign(rules.text("ab_test_id", ab_test_id), unit_id)

    def wait_ready(self, timeout_s: float = 10.0) -> bool:
        """Waits until everything that Kafka holds is known; False when that took too long."""
        self._follow()
        deadline = time.monotonic() + timeout_s
        return all(f.loaded.wait(max(0.0, deadline - time.monotonic())) for f in self._followers)

    @property
    def status(self) -> Status:
        """How well informed the choices are."""
        return Status(
            loaded=all(f.loaded.is_set() for f in self._followers),
            capabilities=len(self._shelves),
            skipped_messages=sum(f.skipped for f in self._followers),
            trouble=next((f.trouble for f in self._followers if f.trouble), None),
        )

    def close(self) -> None:
        """Ends following and saves the snapshot; `choose` goes on with what is known."""
        self._following = True  # a choice does not start it again
        for follower in self._followers:
            follower.close()

    def _follow(self) -> None:
        self._following = True
        for follower in self._followers:
            follower.start()

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
        configured = self._rules.get(capability)
        pool = configured.pool(requirements) if configured is not None else None
        if pool is not None:
            return "rules", pool, [*looked_at, "rules: the configured ones apply"]
        missing = "none configured" if configured is None else "no rule meets the requirements"
        return None, None, [*looked_at, f"rules: {missing}"]

    def _standing(self, shelf: Shelf) -> tuple[Source | None, str]:
        """What an update is good for now; None: it is too old for anything."""
        now_ms = self._now_s() * 1000
        said = explain.age(shelf.update, now_ms)
        if now_ms < shelf.expires_ms:
            return "live", said
        if now_ms > shelf.update.expires_at_ms + self._options.snapshot_max_age_s * 1000:
            return None, f"{said}, which is too long"
        return "snapshot", said if shelf.confirmed else f"{said}, not confirmed by Kafka"

    def __enter__(self) -> "Selector":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> "Selector":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await asyncio.get_running_loop().run_in_executor(None, self.close)


def _snapshot(config: Config, options: SelectorOptions) -> Snapshot | None:
    if options.snapshot_path is None:
        return None
    auto = options.snapshot_path == "auto"
    return Snapshot(default_path(config) if auto else Path(options.snapshot_path))
