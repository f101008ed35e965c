"""What the API tells of an A/B test: read from ClickHouse, off the event loop."""

from agents import ab_results
from agents.ab_results import Results, beside
from api.ab_offline import run_of
from api.services import Services
from schemas.entities import AbTest
from schemas.records import AbVerdict
from sinks import ab_history
from sinks.clickhouse import ClickHouse


async def verdict_of(held: Services, test: AbTest) -> AbVerdict | None:
    """The last verdict; of an offline test, the one of the cases that are finished now."""
    if test.mode == "offline":
        return (await results_of(held, test)).verdict
    return await held.clickhouse.ask(lambda c: ab_history.newest(c, test.org_id, test.ab_test_id))


async def results_of(held: Services, test: AbTest) -> Results:
    """The last verdict and what belongs beside it; periods may be some time old."""
    if test.mode == "online":
        verdict = await verdict_of(held, test)
        if verdict is None:
            return Results(None)
        return beside(verdict, (await held.periods.of(held.clickhouse, test, held.clock)).found)
    now, run = held.clock(), run_of(held.evaluations, test)

    def question(clickhouse: ClickHouse) -> Results:
        stored = ab_history.newest(clickhouse, test.org_id, test.ab_test_id)
        return ab_results.offline(clickhouse, test, run, stored, now)

    return await held.clickhouse.ask(question)
