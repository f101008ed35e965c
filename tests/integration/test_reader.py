"""The query side on the real engine: values as they were written, one organisation at a time."""

import random
import time
import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from statistics import mean
from typing import Any

import pytest

from schemas.catalog import committed
from schemas.convert import to_record
from schemas.entities import Model, Price
from schemas.records import ControlRecord
from schemas.topics import Topic
from sinks.clickhouse import ClickHouse
from sinks.migrate import TableOptions, apply
from sinks.reader import Coordinate, Reader, Span
from sinks.rows import Messages
from sinks.tables import TABLES
from streams.emit import Envelope, partials
from streams.price import price_table
from streams.reduce import Context, reduce
from tests.support.demo import GPT, selection
from tests.support.events import CODEC, NOW_MS, WEEK_MS, batch, encode, inference, never_skipped
from tests.support.servers import ClickHouseServer
from tests.support.verdicts import verdict

pytestmark = pytest.mark.integration
NOW = datetime.fromtimestamp(NOW_MS / 1000, UTC)
TODAY_MS = int(time.time() * 1000)
"""Rows and dead letters expire, panes do later: these have to be of today."""
HOUR = Span(NOW - timedelta(hours=1), NOW + timedelta(minutes=1))
PRICED = Model(
    "acme", "small", "1", "us", ("chat",), prices=(Price(datetime(2020, 1, 1, tzinfo=UTC), 1, 2),)
)


@pytest.fixture
def reader(clickhouse: ClickHouseServer) -> Reader:
    name = f"reader_{uuid.uuid4().hex[:8]}"
    apply(ClickHouse(clickhouse.url), TableOptions(database=name))
    return Reader(ClickHouse(clickhouse.url, name))


def store(reader: Reader, topic: Topic, values: Sequence[bytes]) -> None:
    """Writes messages as the sink does, at offsets from 0 on."""
    spec = TABLES[topic]
    raw = replace(batch(values), oldest_ms=TODAY_MS, newest_ms=TODAY_MS)
    keys = [b"key"] * len(values)
    messages = Messages(raw, 0, range(len(values)), keys, committed(), WEEK_MS, skip=never_skipped)
    reader.clickhouse.insert(spec.table, spec.rows(messages), uuid.uuid4().hex)


def publish(reader: Reader, topic: Topic, *records: ControlRecord) -> None:
    store(reader, topic, [CODEC.encode(type(r).__name__, to_record(r)) for r in records])


def count(reader: Reader, events: Sequence[dict[str, Any]]) -> None:
    """Puts events into metric_panes as the data lane and the sink do."""
    context = Context(
        committed(), {"inference-events": "InferenceEvent"}, price_table((PRICED,)), WEEK_MS
    )
    reduced = reduce((batch(encode("InferenceEvent", events)),), context)
    envelope = Envelope("test", NOW, ())
    sent = partials(reduced.wide, reduced.tidy, envelope, 1, CODEC)
    store(reader, Topic.METRIC_PARTIALS, [out.value for out in sent])


def test_rolling_metrics_are_those_of_the_events(reader: Reader) -> None:
    rng = random.Random(1)
    events = [
        inference(
            latency_ms=rng.lognormvariate(5, 1),
            quality=rng.random(),
            error_type="timeout" if i % 10 == 0 else None,
            input_tokens=i,
            output_tokens=1,
        )
        for i in range(500)
    ]
    count(reader, events[:200])
    count(reader, events[200:])
    (found,) = reader.model_metrics("acme", HOUR)
    ordered = sorted(e["latency_ms"] for e in events)
    cost = [(e["input_tokens"] * 1 + 2) / 1e6 for e in events]
    assert (found.model_id, found.model_version, found.calls) == ("small", "1", 500)
    assert found.error_rate == pytest.approx(0.1)
    assert found.quality == pytest.approx(mean(e["quality"] for e in events))
    assert found.latency_p50_ms == pytest.approx(ordered[249], rel=0.011)
    assert found.latency_p95_ms == pytest.approx(ordered[474], rel=0.011)
    assert found.cost_usd_mean == pytest.approx(mean(cost))
    assert found.cost_usd_total == pytest.approx(sum(cost))


def test_what_was_not_measured_is_none(reader: Reader) -> None:
    count(reader, [inference(model_id="unpriced")])
    (found,) = reader.model_metrics("acme", HOUR)
    assert (found.calls, found.error_rate) == (1, 0.0)
    assert (found.quality, found.cost_usd_mean, found.cost_usd_total) == (None, None, None)


def test_only_the_span_the_capability_and_the_organisation_are_seen(reader: Reader) -> None:
    count(
        reader,
        [
            inference(),
            inference(capability="code"),
            inference(occurred_at=NOW_MS - 2 * 3_600_000),
            inference(org_id="other"),
            inference(ab_test_id="t", arm="a"),
        ],
    )
    assert [m.calls for m in reader.model_metrics("acme", HOUR)] == [3]
    assert [m.calls for m in reader.model_metrics("acme", HOUR, "code")] == [1]
    assert reader.model_metrics("nobody", HOUR) == []
    assert reader.model_metrics("acme' OR '1' = '1", HOUR) == []
    assert reader.counted("acme") == {"": 3, "t": 1}
    assert reader.counted("other") == {"": 1}


def test_the_newest_verdict_and_selection_come_back_as_they_were_published(reader: Reader) -> None:
    newest = verdict(700, "decided", "gpt4")
    publish(reader, Topic.AB_VERDICTS, verdict(5), newest, verdict(100))
    assert reader.latest_verdicts("demo") == [newest]
    assert reader.latest_verdicts("acme") == []
    update = selection("gsm8k", GPT, 9)
    other = selection("law", None, 1)
    publish(
        reader,
        Topic.SELECTION_UPDATES,
        update,
        selection("gsm8k", None, 5),
        other,
        selection("gsm8k", GPT, 20, org_id="acme"),
    )
    assert reader.latest_selections("demo") == [update, other]


def test_stored_rows_by_test_and_rows_that_are_there_twice(reader: Reader) -> None:
    values = [
        inference(event_id=f"run-{i}", occurred_at=TODAY_MS, ab_test_id="t" if i else None, arm="a")
        for i in range(3)
    ]
    values[0]["arm"] = None
    store(reader, Topic.INFERENCE_EVENTS, encode("InferenceEvent", values))
    assert reader.stored("acme", "run-") == {"": 1, "t": 2}
    assert reader.stored("acme", "run-1") == {"t": 1}
    assert reader.stored("other", "run-") == {}
    assert reader.stored_twice("acme", "run-") == 0
    store(reader, Topic.INFERENCE_EVENTS, encode("InferenceEvent", values))
    assert reader.stored_twice("acme", "run-") == 3


def test_dead_letters_of_the_records_asked_for(reader: Reader) -> None:
    letters = [
        {
            "source_topic": topic,
            "source_partition": partition,
            "source_offset": offset,
            "source_timestamp": TODAY_MS,
            "key": None,
            "value": b"\xff",
            "reason_code": reason,
            "reason": "text",
            "field": None,
            "rejected_at": TODAY_MS,
        }
        for topic, partition, offset, reason in (
            ("a", 0, 1, "bad_utf8"),
            ("a", 1, 1, "bad_utf8"),
            ("a", 1, 2, "too_old"),
            ("b", 0, 1, "too_old"),
        )
    ]
    store(reader, Topic.DEAD_LETTERS, encode("DeadLetter", letters))
    asked = [Coordinate(0, 1), Coordinate(1, 1), Coordinate(1, 3)]
    assert reader.dead_letters("a", asked) == {"bad_utf8": 2}
    assert reader.dead_letters("a", []) == {}
