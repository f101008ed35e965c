"""What models were measured to do, for the answers about them: read at most every KEPT_S for each
organisation, so that reading a model does not cost a query."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from api.clickhouses import ClickHouses
from sinks.clickhouse import ClickHouse
from sinks.errors import Backpressure, SinkBroken
from sinks.measured import Measured, MeasuredQuestion, measured

SPAN = timedelta(days=30)
KEPT = timedelta(seconds=30)
KEPT_ABSENT = timedelta(seconds=5)
PATIENCE_S = 2.0
"""How long an answer waits for the query; the query goes on, for the answers after it."""
ORGANISATIONS = 500
VersionName = tuple[str, str]
"""(model_id, model_version)."""


@dataclass(frozen=True, slots=True)
class Known:
    """`absent_because`: why nothing is known; None: what is not there was not measured."""

    at: datetime
    by_version: dict[VersionName, list[Measured]] = field(default_factory=dict)
    absent_because: str | None = None

    @property
    def until(self) -> datetime:
        """When it is asked for again."""
        return self.at + (KEPT if self.absent_because is None else KEPT_ABSENT)


class Measurements:
    """For the event loop's thread."""

    def __init__(self, clickhouse: ClickHouses, clock: Callable[[], datetime]) -> None:
        self._clickhouse = clickhouse
        self._clock = clock
        self._known: dict[str, Known] = {}
        self._asking: dict[str, asyncio.Task[Known]] = {}

    async def of(self, org_id: str) -> Known:
        """What there is about an organisation's models. Takes PATIENCE_S at most."""
        known = self._known.get(org_id)
        if known is not None and self._clock() < known.until:
            return known
        asking = self._asking.get(org_id)
        if asking is None or asking.done():
            asking = asyncio.create_task(self._ask(org_id))
            self._asking[org_id] = asking
            asking.add_done_callback(partial(self._done, org_id))
        done, _ = await asyncio.wait([asking], timeout=PATIENCE_S)
        if done:
            return asking.result()
        return Known(self._clock(), {}, f"ClickHouse did not answer within {PATIENCE_S:g} s")

    async def _ask(self, org_id: str) -> Known:
        now = self._clock()
        asked = MeasuredQuestion(org_id, now - SPAN, now)

        def question(clickhouse: ClickHouse) -> list[Measured]:
            return measured(clickhouse, asked)

        try:
            rows = await self._clickhouse.ask(question)
        except (Backpressure, SinkBroken) as error:
            return Known(now, {}, str(error).partition(":")[0])
        found: dict[VersionName, list[Measured]] = {}
        for row in rows:
            found.setdefault((row.model_id, row.model_version), []).append(row)
        return Known(now, found)

    def _done(self, org_id: str, asking: asyncio.Task[Known]) -> None:
        self._asking.pop(org_id, None)
        if asking.cancelled() or asking.exception() is not None:
            return
        if len(self._known) >= ORGANISATIONS:
            self._known.clear()
        self._known[org_id] = asking.result()
