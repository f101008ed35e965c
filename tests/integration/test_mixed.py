"""Everything at once in one batch: versions, topics, organisations, late data, duplicates."""

import random
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest

from infra.settings import Settings
from schemas.topics import Topic
from tests.support.events import encode, feedback, inference
from tests.support.lanes import Lanes, now_ms, running
from tests.support.servers import ClickHouseServer, Kafka, wait_until
from tests.support.versions import CATALOG, NARROWER, NESTED, NEWER, OLDER
from tests.support.versions import encode as encode_as

pytestmark = pytest.mark.integration
DAY_MS = 86_400_000
SCHEMAS = (None, OLDER, NEWER, NARROWER, NESTED)


@pytest.fixture
def lanes(kafka: Kafka, settings: Settings, clickhouse: ClickHouseServer) -> Lanes:
    return Lanes.create(kafka, settings, clickhouse)


def message(number: int, value: dict[str, Any]) -> bytes:
    """The event as one of the versions would write it."""
    schema = SCHEMAS[number % len(SCHEMAS)]
    if schema is None:
        return encode("InferenceEvent", [value])[0]
    return encode_as(schema, {**value, "region": "eu", "retries": 1, "tags": ["t"], "quality": 1})


def test_versions_topics_organisations_late_data_and_duplicates(lanes: Lanes) -> None:
    """Deltas to panes of event time: no order, no lateness and no mixture changes a count."""
    rng = random.Random(11)
    start = now_ms() // 10_000 * 10_000
    sent: list[tuple[bytes | None, bytes | None]] = []
    by_pane: Counter[tuple[str, datetime]] = Counter()
    for number in range(1000):
        org = f"org-{rng.randrange(7)}"
        at = start - rng.choice([0, 5, 25, 3_700]) * 1000 - rng.choice([0, 0, 1, 3, 6]) * DAY_MS
        value = inference(event_id=f"e-{number}", org_id=org, occurred_at=at, arm=None)
        twice = 2 if number % 10 == 0 else 1  # a producer that sends twice sends two events
        sent += [(org.encode(), message(number, value))] * twice
        pane = datetime.fromtimestamp(at // 10_000 * 10, UTC)
        by_pane[org, pane] += twice
    rng.shuffle(sent)
    times = {"occurred_at": start, "observed_at": start}
    liked = encode("FeedbackEvent", [feedback(org_id=f"org-{i % 7}", **times) for i in range(70)])

    with running(lanes.worker(catalog=CATALOG), lanes.writer(catalog=CATALOG)) as died:
        lanes.produce(Topic.INFERENCE_EVENTS, sent[:600])
        lanes.produce(Topic.FEEDBACK_EVENTS, [(b"u", value) for value in liked])
        lanes.produce(Topic.INFERENCE_EVENTS, sent[600:])
        wait_until(lambda: bool(died) or lanes.panes() >= len(sent))
        wait_until(lambda: bool(died) or lanes.panes("thumbs_up") >= 70)
        wait_until(lambda: bool(died) or lanes.count("inference_events") >= len(sent))
    assert died == []

    assert lanes.letters() == []
    assert lanes.count("inference_events", "uniqExact(src_partition, src_offset)") == len(sent)
    assert lanes.count("inference_events", "uniqExact(event_id)") == 1000
    sql = (
        "SELECT org_id, pane, sum(n) FROM {db}.metric_panes WHERE metric = 'latency_ms' "
        "GROUP BY org_id, pane"
    )
    found = {(org, pane.replace(tzinfo=UTC)): n for org, pane, n in lanes.rows(sql)}
    assert found == by_pane
    hours = lanes.count("metric_hours", "sum(n)", "metric = 'latency_ms'")
    assert hours == len(sent)
    quality = lanes.count("inference_events", "countIf(quality IS NOT NULL)")
    assert lanes.panes("quality") == quality > 0
    assert lanes.panes("thumbs_up") == 70
    assert lanes.count("inference_events", "countIf(latency_ms = 120)") == len(sent)
