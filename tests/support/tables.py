"""ClickHouse tables of a test's own, filled as the data lane and the sinks fill them."""

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import polars as pl

from api.app import create_app
from api.clickhouses import ClickHouses
from schemas.catalog import committed
from schemas.convert import to_record
from schemas.entities import Model, Price
from schemas.records import ControlRecord
from schemas.topics import Topic
from sinks.clickhouse import ClickHouse
from sinks.migrate import TableOptions, apply
from sinks.rows import Messages
from sinks.tables import TABLES
from streams.emit import Envelope, partials
from streams.partials import from_record
from streams.price import price_table
from streams.reduce import Context, reduce
from tests.support.api import Api
from tests.support.events import CODEC, NOW_MS, WEEK_MS, batch, encode, never_skipped

YEAR_2020 = datetime(2020, 1, 1, tzinfo=UTC)
COUNTED = {
    "InferenceEvent": Topic.INFERENCE_EVENTS,
    "FeedbackEvent": Topic.FEEDBACK_EVENTS,
    "CaseResult": Topic.CASE_RESULTS,
}
PRICED = Model("acme", "small", "1", "us", ("chat",), prices=(Price(YEAR_2020, 1, 2),))


@dataclass(frozen=True, slots=True)
class Tables:
    """One database."""

    url: str
    database: str

    @classmethod
    def new(cls, url: str) -> "Tables":
        """All tables, empty."""
        name = f"test_{uuid.uuid4().hex[:8]}"
        apply(ClickHouse(url), TableOptions(database=name))
        return cls(url, name)

    def connect(self) -> ClickHouse:
        return ClickHouse(self.url, self.database)

    def store(
        self, topic: Topic, values: Sequence[bytes], first_offset: int = 0, key: str = "key"
    ) -> None:
        """Writes messages of partition 0."""
        spec, now_ms = TABLES[topic], int(time.time() * 1000)
        raw = replace(batch(values), oldest_ms=now_ms, newest_ms=now_ms)
        offsets = range(first_offset, first_offset + len(values))
        keys = [key.encode()] * len(values)
        messages = Messages(raw, 0, offsets, keys, committed(), WEEK_MS, skip=never_skipped)
        self.connect().insert(spec.table, spec.rows(messages), uuid.uuid4().hex)

    def publish(
        self, topic: Topic, *records: ControlRecord, first_offset: int = 0, key: str = "key"
    ) -> None:
        values = [CODEC.encode(type(r).__name__, to_record(r)) for r in records]
        self.store(topic, values, first_offset, key)

    def count(
        self, events: Sequence[dict[str, Any]], record: str = "InferenceEvent"
    ) -> list[pl.DataFrame]:
        """Puts events into metric_panes; the tidy frames that were sent."""
        topic = COUNTED[record]
        context = Context(committed(), {topic: record}, price_table((PRICED,)), WEEK_MS)
        newest_ms = max((e["occurred_at"] for e in events), default=NOW_MS)
        raw = replace(
            batch(encode(record, events), topic), oldest_ms=newest_ms, newest_ms=newest_ms
        )
        reduced = reduce((raw,), context)
        assert not reduced.rejects, reduced.rejects
        envelope = Envelope("test", datetime.fromtimestamp(newest_ms / 1000, UTC), ())
        sent = partials(reduced.wide, reduced.tidy, envelope, 1, CODEC)
        values = [out.value for out in sent]
        self.store(Topic.METRIC_PARTIALS, values)
        return [from_record(CODEC.decode(value, "MetricPartials")).frame for value in values]

    def serve(self, api: Api) -> Api:
        """The same API, asking these tables, at the time that it is."""
        api.memory.now = datetime.now(UTC)
        api.services = replace(api.services, clickhouse=ClickHouses(self.connect, 4))
        api.app = create_app(api.services)
        return api
