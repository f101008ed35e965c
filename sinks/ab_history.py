"""What ClickHouse remembers of one A/B test's verdicts. Pages of all of them: sinks.decisions."""

from datetime import datetime

from schemas.records import AbVerdict
from sinks import stored
from sinks.clickhouse import ClickHouse
from sinks.decisions import VERDICTS, Wanted, page


def newest(clickhouse: ClickHouse, org_id: str, ab_test_id: str) -> AbVerdict | None:
    """The last verdict; None: there is none. Raises Backpressure, SinkBroken."""
    found = page(clickhouse, VERDICTS, Wanted(org_id, {"ab_test_id": ab_test_id}))
    return found[0].record if found else None


def decided(clickhouse: ClickHouse, org_id: str, ab_test_id: str) -> AbVerdict | None:
    """The last verdict that carries a person's decision; the newest one may not yet, as the monitor
    publishes too. None: nobody decided. Raises Backpressure, SinkBroken."""
    named = {"database": clickhouse.database, "org_id": org_id, "ab_test_id": ab_test_id}
    found = [stored.VERDICTS.record(row) for row in clickhouse.rows(_DECIDED, named)]
    return found[0] if found else None


def began_ms(clickhouse: ClickHouse, org_id: str, ab_test_id: str) -> int | None:
    """The event time of the first call that verdicts count, since 1970; None: no verdict says.
    Raises Backpressure, SinkBroken."""
    named = {"database": clickhouse.database, "org_id": org_id, "ab_test_id": ab_test_id}
    return next((row[0] for row in clickhouse.rows(_BEGAN, named)), None)


def timeline(
    clickhouse: ClickHouse, org_id: str, ab_test_id: str, until: datetime, limit: int
) -> list[AbVerdict]:
    """From the first verdict to before `until` (aware), the last one of each of `limit` equal
    pieces of that time, oldest first. Raises Backpressure, SinkBroken."""
    named = {"database": clickhouse.database, "org_id": org_id, "ab_test_id": ab_test_id}
    until_ms = int(until.timestamp() * 1000)
    since_ms = next((row[0] for row in clickhouse.rows(_FIRST, named)), until_ms)
    step = max(-(-(until_ms - since_ms) // limit), 1)
    rows = clickhouse.rows(_TIMELINE, {**named, "since": since_ms, "until": until_ms, "step": step})
    return [stored.VERDICTS.record(row) for row in reversed(rows)]


_DECIDED = f"""
SELECT {stored.VERDICTS.columns}
FROM {{database:Identifier}}.ab_verdicts
WHERE org_id = {{org_id:String}} AND ab_test_id = {{ab_test_id:String}} AND decided_by IS NOT NULL
ORDER BY as_of DESC, src_offset DESC
LIMIT 1
"""
_BEGAN = """
SELECT toUnixTimestamp64Milli(min(started_at)) AS began
FROM {database:Identifier}.ab_verdicts
WHERE org_id = {org_id:String} AND ab_test_id = {ab_test_id:String}
HAVING began IS NOT NULL AND count() > 0
"""
_FIRST = """
SELECT toUnixTimestamp64Milli(min(as_of))
FROM {database:Identifier}.ab_verdicts
WHERE org_id = {org_id:String} AND ab_test_id = {ab_test_id:String}
HAVING count() > 0
"""
_TIMELINE = f"""
SELECT {stored.VERDICTS.columns}
FROM {{database:Identifier}}.ab_verdicts
WHERE org_id = {{org_id:String}} AND ab_test_id = {{ab_test_id:String}}
  AND toUnixTimestamp64Milli(as_of) >= {{since:Int64}}
  AND toUnixTimestamp64Milli(as_of) < {{until:Int64}}
ORDER BY as_of DESC, src_offset DESC
LIMIT 1 BY intDiv(toUnixTimestamp64Milli(as_of) - {{since:Int64}}, {{step:Int64}})
"""
