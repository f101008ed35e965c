"""Dead letters over the API: whose they are, what they say, and back on their topic once."""

import math
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from api.app import create_app
from infra.settings import Settings
from infra.topics import ensure
from infra.workers import kafka_config
from schemas.topics import Topic
from streams.errors import ReplayFailed
from streams.kafka import KafkaConfig
from streams.replay import LETTER_HEADER, Bytes, Replays
from tests.support.api import Api
from tests.support.events import CODEC, inference
from tests.support.servers import ClickHouseServer, Kafka, free_port, wait_until
from tests.support.tables import Tables

pytestmark = pytest.mark.integration
NOW = datetime(2026, 11, 24, tzinfo=UTC)
NAN = CODEC.encode("InferenceEvent", inference(latency_ms=math.nan))
THEIRS = CODEC.encode("InferenceEvent", inference(org_id="other", latency_ms=-1.0))
CUT = CODEC.encode("InferenceEvent", inference())[:30]


@pytest.fixture(scope="module")
def settings(kafka: Kafka, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    own = Settings(
        kafka_bootstrap=kafka.bootstrap,
        topic_prefix=kafka.new_prefix(),
        data_dir=tmp_path_factory.mktemp("letters"),
    )
    ensure(own)
    return own


def dead(settings: Settings, value: bytes | None, code: str, **more: Any) -> bytes:
    now_ms = int(time.time() * 1000)
    return CODEC.encode(
        "DeadLetter",
        {
            "source_topic": kafka_config(settings).topic(Topic.INFERENCE_EVENTS),
            "source_partition": 0,
            "source_offset": 7,
            "source_timestamp": now_ms,
            "key": b"user-1",
            "value": value,
            "reason_code": code,
            "reason": "it is wrong",
            "field": "latency_ms",
            "rejected_at": now_ms,
            **more,
        },
    )


@pytest.fixture(scope="module")
def tables(clickhouse: ClickHouseServer, settings: Settings) -> Tables:
    """Letters 0 to 4: acme's, another's, cut short, no bytes, and of a topic that is not ours."""
    found = Tables.new(clickhouse.url)
    letters = [
        dead(settings, NAN, "not_finite"),
        dead(settings, THEIRS, "out_of_range"),
        dead(settings, CUT, "malformed_body"),
        dead(settings, None, "empty_value", key=None),
        dead(settings, NAN, "not_finite", source_topic="somebody-elses"),
    ]
    for offset, letter in enumerate(letters):
        found.store(Topic.DEAD_LETTERS, [letter], offset)
    return found


@pytest.fixture
def api(tables: Tables, settings: Settings) -> Iterator[Api]:
    with Replays(kafka_config(settings)) as replays:
        found = tables.serve(Api())
        found.services = replace(found.services, kafka=kafka_config(settings), replays=replays)
        found.app = create_app(found.services)
        yield found


def ids(api: Api, role: Any, org_id: str = "acme", query: str = "") -> list[str]:
    answer = api.client(role, org_id).get(f"/dead-letters/{query}")
    assert answer.status_code == 200, answer.text
    return sorted(item["letter_id"] for item in answer.json()["items"])


def test_a_letter_belongs_to_whom_its_bytes_name_as_a_whole(api: Api) -> None:
    assert ids(api, "viewer") == ["0-0", "0-4"]
    assert ids(api, "viewer", "other") == ["0-1"]
    assert ids(api, "viewer", "third") == []
    assert ids(api, "operator") == ["0-0", "0-1", "0-2", "0-3", "0-4"]
    assert ids(api, "operator", query="?org_id=other") == ["0-1"]
    assert ids(api, "operator", query="?reason=malformed_body") == ["0-2"]
    assert ids(api, "operator", query="?topic=feedback-events") == []
    for name in ("0-1", "0-2", "0-3", "0-99"):
        assert api.client("admin").get(f"/dead-letters/{name}/").status_code == 404
        assert api.client("admin").post(f"/dead-letters/{name}/replay/").status_code == 404
    assert api.client("admin").get("/dead-letters/?org_id=other").status_code == 404
    assert api.client("admin").get("/dead-letters/nonsense/").status_code == 422


def test_pages_lead_to_every_letter_once(api: Api) -> None:
    client, seen, query = api.client("operator"), [], "?limit=2"
    while True:
        page = client.get(f"/dead-letters/{query}").json()
        seen += [item["letter_id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        query = f"?limit=2&cursor={page['next_cursor']}"
    assert sorted(seen) == ["0-0", "0-1", "0-2", "0-3", "0-4"]


def test_bytes_are_shown_decoded_as_far_as_they_go(api: Api) -> None:
    client = api.client("operator")
    whole = client.get("/dead-letters/0-0/").json()
    assert (whole["org_id"], whole["record"], whole["whole"]) == ("acme", "InferenceEvent", True)
    assert whole["fields"]["latency_ms"] == "nan"
    assert bytes.fromhex(whole["value_hex"]) == NAN
    cut = client.get("/dead-letters/0-2/").json()
    assert (cut["org_id"], cut["whole"]) == (None, False)
    assert cut["fields"]["event_id"] == "e-1"
    assert cut["broken_at"] is not None
    empty = client.get("/dead-letters/0-3/").json()
    assert (empty["value_bytes"], empty["value_hex"], empty["key_hex"]) == (None, None, None)


def test_the_bytes_go_back_once_however_often_it_is_asked(
    api: Api, settings: Settings, kafka: Kafka
) -> None:
    topic = kafka_config(settings).topic(Topic.INFERENCE_EVENTS)
    assert api.client("editor").post("/dead-letters/0-0/replay/").status_code == 403
    assert api.client("operator").post("/dead-letters/0-4/replay/").status_code == 409
    admin = api.client("admin")
    first = admin.post("/dead-letters/0-0/replay/")
    assert first.status_code == 200, first.text
    again = admin.post("/dead-letters/0-0/replay/").json()
    assert (first.json()["now"], again["now"]) == (True, False)
    assert again["replayed"] == first.json()["replayed"]
    assert again["replayed"]["author"].startswith("key:")
    (message,) = kafka.read_all(topic)
    assert (message.value(), message.key()) == (NAN, b"user-1")
    assert message.headers() == [(LETTER_HEADER, b"0-0")]
    (shown,) = [
        item for item in admin.get("/dead-letters/").json()["items"] if item["letter_id"] == "0-0"
    ]
    assert shown["replayed"] == again["replayed"]


def test_of_processes_that_replay_at_once_one_does(settings: Settings, kafka: Kafka) -> None:
    config = kafka_config(settings)
    topic = config.topic(Topic.FEEDBACK_EVENTS)
    record = Bytes(topic, b"k", b"bytes")

    def one(name: str) -> bool:
        with Replays(config) as replays:
            for _ in range(10):
                try:
                    return replays.replay("5-5", record, name, NOW)[1]
                except ReplayFailed:
                    time.sleep(0.2)
        raise AssertionError("never answered")

    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(one, ("a", "b", "c")))
    assert sorted(done) == [False, False, True]
    assert [m.value() for m in kafka.read_all(topic)] == [b"bytes"]


def test_a_new_process_knows_what_was_put_back(settings: Settings) -> None:
    config = kafka_config(settings)
    record = Bytes(config.topic(Topic.FEEDBACK_EVENTS), None, None)
    with Replays(config) as replays:
        replays.replay("9-9", record, "ann", NOW)
    with Replays(config) as later:
        wait_until(lambda: later.of("9-9") is not None)
        found = later.of("9-9")
        assert found is not None
        assert (found.author, found.at) == ("ann", NOW)


def test_without_kafka_nothing_is_half_done() -> None:
    with Replays(KafkaConfig(f"127.0.0.1:{free_port()}")) as replays, pytest.raises(ReplayFailed):
        replays.replay("1-1", Bytes("t", None, b""), "ann", NOW)
