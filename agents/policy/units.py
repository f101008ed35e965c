"""What ClickHouse found of a test's units: values that a verdict is computed from, without I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from agents.policy.sources import Stretches
from agents.policy.trial import Cell
from streams.statistics.clusters import UnitSums, design_effect
from streams.statistics.estimates import NoEstimate


@dataclass(frozen=True, slots=True)
class UnitFindings:
    """Sums over units by arm and metric, as of `as_of`, from the records in `sources`.

    `adjusted`: where the test has a covariate, sums of one pair a unit: its mean of the metric as
    total, its mean of the covariate before the test as size. `units`: by arm; `crossed`: units with
    calls in more than one arm. `failure`: why there is nothing newer; None: nothing is wrong.
    """

    sums: Mapping[Cell, UnitSums] = field(default_factory=dict)
    adjusted: Mapping[Cell, UnitSums] = field(default_factory=dict)
    units: Mapping[str, int] = field(default_factory=dict)
    crossed: int = 0
    sources: Stretches = ()
    as_of: datetime | None = None
    failure: str | None = None

    def failed(self, why: str) -> "UnitFindings":
        """The same numbers, which could not be renewed."""
        return replace(self, failure=why)

    def effect(self, arm: str, metric: str) -> float | None:
        """The design effect; None: not known."""
        sums = self.sums.get(Cell(arm, metric)) if self.sums else None
        if sums is None:
            return None
        found = design_effect(sums)
        return None if isinstance(found, NoEstimate) else found


ABSENT = UnitFindings(
    failure="sums by unit come from ClickHouse, and this worker has not asked it yet"
)
