"""What the monitor works with: the statistics of a test, and who asks for sums by unit."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol

import polars as pl

from agents.policy.sources import Position
from agents.policy.units import UnitFindings
from schemas.entities import AbTest
from schemas.records import AbVerdict


class Statistics(Protocol):
    """The pure statistics behind the monitor. States are values: functions return new ones."""

    def zero(self, test: AbTest) -> Any:
        """The state of a test that saw nothing."""
        ...

    def apply(self, state: Any, test: AbTest, rows: pl.DataFrame, at: Position) -> Any:
        """The state with the rows of one message: tidy without sketches, of this test only."""
        ...

    def judge(
        self, state: Any, test: AbTest, now: datetime, units: UnitFindings | None
    ) -> tuple[Any, AbVerdict]:
        """The verdict, and the state that remembers what it decided. `units`: None: not known."""
        ...

    def wakes_at(self, state: Any, test: AbTest) -> datetime | None:
        """When it must be judged although nothing new came; None: never."""
        ...

    def began_at(self, state: Any) -> datetime | None:
        """Event time of the first call; None: there was none."""
        ...

    def adopt(self, state: Any, verdict: AbVerdict) -> Any:
        """The state with the decision of a person that the verdict carries, if it is news; else the
        very same state."""
        ...

    def dump(self, state: Any) -> Mapping[str, Any]:
        """The state as JSON values."""
        ...

    def load(self, value: Mapping[str, Any]) -> Any:
        """The inverse of `dump`."""
        ...


class TrialKey(NamedTuple):
    """An A/B test of an organisation."""

    org_id: str
    ab_test_id: str


class Followed(NamedTuple):
    """A test, and when its first call was."""

    key: TrialKey
    test: AbTest
    began_at: datetime


class Units(Protocol):
    """Who asks ClickHouse for sums by unit. Neither method waits."""

    def follow(self, tests: Sequence[Followed]) -> None:
        """The tests to ask for from now on."""
        ...

    def latest(self, key: TrialKey) -> UnitFindings | None:
        """The newest answer; the same object until there is another. None: never asked."""
        ...


class NoUnits:
    """Nobody asks."""

    def follow(self, tests: Sequence[Followed]) -> None:
        """Nothing to do."""

    def latest(self, key: TrialKey) -> UnitFindings | None:  # noqa: ARG002  Units' signature
        return None
