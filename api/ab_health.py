"""Whether an A/B test is sound, for many requests. Its numbers take seconds with a million units,
and are given up after sinks.ab_extent.TOTAL_S."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from agents.ab_health import Health, judged
from agents.ab_versions import weights_changed
from api.clickhouses import ClickHouses
from api.desk import Desk, fault
from schemas.entities import AbTest
from schemas.records import AbVerdict
from sinks.ab_health import Measured, measured
from streams.statistics.estimates import NoEstimate


@dataclass(slots=True)
class HealthDesk:
    """The health of tests; of one process, on its event loop."""

    _numbers: Desk[Measured | None] = field(
        default_factory=lambda: Desk(lambda c, test: measured(c, test, weights_changed(c, test)))
    )

    async def of(
        self,
        clickhouses: ClickHouses,
        test: AbTest,
        verdict: AbVerdict | None,
        clock: Callable[[], datetime],
    ) -> Health | NoEstimate:
        """From numbers that may be some time old (`as_of`), and this verdict."""
        counted = await self._numbers.of(clickhouses, test, clock)
        if isinstance(counted.found, NoEstimate):
            return counted.found
        try:
            return judged(test, verdict, counted.found, counted.began_at)
        except Exception as error:  # ours, which must not take the results with it
            return fault(test, error)
