"""Picks the model that serves next, from memory."""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rheostat_client import ending, explain, fallback, forking
from rheostat_client.ab_tests import AbTests
from rheostat_client.assign import Arm, Assignment, NotAssigned, assign
from rheostat_client.choice import Choice
from rheostat_client.chooser import Chooser
from rheostat_client.closing import Closing
from rheostat_client.config import Config
from rheostat_client.follow import Follower
from rheostat_client.requirements import Requirements
from rheostat_client.shelf import RuleShelf
from rheostat_client.snapshot import Snapshot, default_path
from rheostat_client.table import Table

UPDATES = "selection-updates"
REGISTRY = "registry"


@dataclass(frozen=True, slots=True)
class SelectorOptions:
    """How a Selector behaves.

    `snapshot_path`: where the last known good updates are kept; "auto": in the user's cache folder;
    None: nowhere. `snapshot_max_age_s`: how long after its expiry an update may still serve before
    the rules do (Kafka forgets deletions after a day, hence the default). `follow`: False
    asks no Kafka at all (a test, a laptop). `follow_ab_tests`: whether the registry is followed,
    which `assign` without arms needs. `seed` makes draws for nobody in particular (no unit_id)
    repeatable.
    """

    snapshot_path: Path | str | None = "auto"
    snapshot_max_age_s: float = 86_400.0
    follow: bool = True
    follow_ab_tests: bool = True
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """How well a Selector is informed. `trouble`: what is going wrong now, if anything."""

    loaded: bool
    capabilities: int
    skipped_messages: int
    trouble: str | None


class Selector(Closing):
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
        chosen = options or SelectorOptions()
        self._seed = chosen.seed
        schemas = config.schemas()
        self._table = Table(config.org_id, schemas, _snapshot(config, chosen))
        self._tests = AbTests(config.org_id, schemas)
        self._chooser = Chooser(
            self._table.shelves,
            {name: RuleShelf(name, found) for name, found in fallback.checked(rules or {}).items()},
            chosen.snapshot_max_age_s,
            now_s,
            random.Random(chosen.seed),
        )
        self._followers: list[Follower] = []
        if chosen.follow:
            self._followers.append(Follower(config, UPDATES, self._table))
        if chosen.follow and chosen.follow_ab_tests:
            self._followers.append(Follower(config, REGISTRY, self._tests))
        self._following = False
        forking.watch(self)
        ending.at_exit(self)
        self._follow()

    def forked(self) -> None:
        """A child draws differently from its parent, and follows when it first chooses."""
        self._following = False
        self._table.restart()
        if self._seed is None:
            self._chooser.rng = random.Random()

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
        return self._chooser.choose(capability, unit_id, requirements)

    def explain(
        self,
        capability: str,
        unit_id: str | None = None,
        requirements: Requirements | None = None,
    ) -> explain.Explanation:
        """What `choose` would use now and why, candidate by candidate. Never raises NoChoice."""
        return self._chooser.explain(capability, unit_id, requirements)

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
        return self._tests.assign(ab_test_id, unit_id)

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
            capabilities=len(self._table.shelves),
            skipped_messages=sum(f.skipped for f in self._followers),
            trouble=next((f.trouble for f in self._followers if f.trouble), None),
        )

    def close(self) -> None:
        """Ends following and saves the snapshot; `choose` goes on with what is known."""
        self._following = True  # a choice does not start it again
        for follower in self._followers:
            follower.stop()
        for follower in self._followers:
            follower.close()

    def _follow(self) -> None:
        self._following = True
        for follower in self._followers:
            follower.start()


def _snapshot(config: Config, options: SelectorOptions) -> Snapshot | None:
    if options.snapshot_path is None:
        return None
    auto = options.snapshot_path == "auto"
    return Snapshot(default_path(config) if auto else Path(options.snapshot_path))
