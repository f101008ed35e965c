"""Which calls the health of a test is about, and how its queries are put."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from schemas.entities import AbTest
from sinks.ab_bounded import only, place
from sinks.clickhouse import ClickHouse
from sinks.errors import Backpressure

SECONDS_MAX = 40
"""ClickHouse ends a query that takes longer."""
TOTAL_S = 60.0
"""All queries about a test together: another test waits until they are done."""
UNITS_MAX = 250_000
"""Of a test with twice as many, what costs most is asked of every second unit, and so on."""


@dataclass(frozen=True, slots=True)
class Extent:
    """Calls of the test: how many, the first and the last (ms since 1970), the longest latency.

    `units`: about how many there are. What costs most is asked of one in `one_in` of them.
    """

    calls: int
    units: int
    first_ms: int
    last_ms: int
    slowest_ms: float

    @property
    def one_in(self) -> int:
        return max(self.units // UNITS_MAX, 1)


@dataclass(frozen=True, slots=True)
class Scope:
    """The calls and outcomes of a test in the arms that it has. `ends_s`: by time.monotonic, when
    its queries have to be done."""

    clickhouse: ClickHouse
    org_id: str
    ab_test_id: str
    capability: str
    arms: Sequence[str]
    ends_s: float = math.inf

    @classmethod
    def of(cls, clickhouse: ClickHouse, test: AbTest) -> "Scope":
        """With TOTAL_S from now on."""
        arms = [arm.arm for arm in test.arms]
        ends_s = time.monotonic() + TOTAL_S
        return cls(clickhouse, test.org_id, test.ab_test_id, test.capability, arms, ends_s)

    def rows(self, sql: str, named: Mapping[str, Any], metric: str = "") -> list[tuple[Any, ...]]:
        """With CALLS for 'FROM .. WHERE ..' of the test's calls, and of a metric RECORDS for that
        of the records which have it and VALUE for its value there.

        Raises Backpressure, also when time is up; SinkBroken.
        """
        left_s = self.ends_s - time.monotonic()
        if left_s <= 0:
            raise Backpressure(f"the calls of {self.ab_test_id} took more than {TOTAL_S:g} s")
        table, value = place(metric) if metric else ("inference_events", "")
        kind = only(table, "metric")
        records = f"{_OF_TEST.replace('TABLE', table)} {kind} AND {value} IS NOT NULL"
        filled = (
            sql.replace("CALLS", _OF_TEST.replace("TABLE", "inference_events"))
            .replace("RECORDS", records)
            .replace("TABLE", table)
            .replace("KIND", kind)
            .replace("VALUE", f"assumeNotNull({value})")
        )
        every = {
            "database": self.clickhouse.database,
            "org_id": self.org_id,
            "ab_test_id": self.ab_test_id,
            "capability": self.capability,
            "arms": list(self.arms),
            "metric": metric,
            **named,
        }
        seconds = math.ceil(min(left_s, SECONDS_MAX))
        return self.clickhouse.rows(f"{filled}SETTINGS max_execution_time = {seconds}", every)


def extent(scope: Scope) -> Extent | None:
    """None: the test has no calls. Raises Backpressure, SinkBroken."""
    rows = scope.rows(_EXTENT, {})
    return Extent(*rows[0]) if rows else None


_OF_TEST = """FROM {database:Identifier}.TABLE
        WHERE org_id = {org_id:String} AND ab_test_id = {ab_test_id:String}
          AND arm IN {arms:Array(String)}"""
_EXTENT = """
SELECT
    count(),
    uniqCombined(unit_id),
    toUnixTimestamp64Milli(min(occurred_at)),
    toUnixTimestamp64Milli(max(occurred_at)),
    max(latency_ms)
CALLS
HAVING count() > 0
"""
