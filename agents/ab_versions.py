"""The versions that an A/B test had, as far as ClickHouse remembers the registry."""

from dataclasses import dataclass, replace
from datetime import datetime

from pydantic import TypeAdapter, ValidationError

from agents.policy.periods import Stretch, Version, changes_of, from_first_call, stretches
from schemas.entities import AbTest
from sinks import ab_history, audit
from sinks.clickhouse import ClickHouse
from streams.statistics.estimates import NoEstimate

PAGE = 1000
VERSIONS_MAX = 20_000
"""A test whose weights change every 10 minutes has as many in 4 months."""


@dataclass(frozen=True, slots=True)
class TestVersion:
    """A version, and from when on it held."""

    __test__ = False  # no test of pytest's

    number: int
    since: datetime
    test: AbTest


def versions(clickhouse: ClickHouse, test: AbTest) -> list[TestVersion]:
    """Oldest first; those that cannot be read any more are left out. Raises Backpressure,
    SinkBroken."""
    found: list[TestVersion] = []
    before: int | None = None
    adapter = TypeAdapter(AbTest)
    while len(found) < VERSIONS_MAX:
        rows = audit.history(clickhouse, test.org_id, test.key, before, PAGE)
        for row in rows:
            try:
                known = adapter.validate_python(row.entity)
            except ValidationError:
                continue
            if row.deleted:
                known = replace(known, status="archived")
            if row.accepted_at is not None:
                found.append(TestVersion(row.version, row.accepted_at, known))
        if len(rows) < PAGE:
            break
        before = rows[-1].offset
    return found[::-1]


def history(clickhouse: ClickHouse, test: AbTest) -> list[Stretch] | NoEstimate:
    """The stretches of the test from its first version on, or from the first call that was counted,
    if that happened before. Raises Backpressure, SinkBroken."""
    known = versions(clickhouse, test)
    if len(known) >= VERSIONS_MAX:
        return NoEstimate(f"the test has more than {VERSIONS_MAX - 1:,} versions")
    if not known or known[0].number != 1:
        return NoEstimate("ClickHouse does not know the first version of the test")
    found = stretches([Version(each.since, each.test) for each in known])
    began_ms = ab_history.began_ms(clickhouse, test.org_id, test.ab_test_id)
    return found if began_ms is None else from_first_call(found, began_ms)


def weights_changed(clickhouse: ClickHouse, test: AbTest) -> bool | None:
    """Whether they did while the test ran. None: that is not known, or the test is offline or its
    weights follow the evidence, so that nobody asks. Raises Backpressure, SinkBroken."""
    if test.mode == "offline" or test.allocation.method != "fixed":
        return None
    found = history(clickhouse, test)
    return None if isinstance(found, NoEstimate) else changes_of(found) > 0
