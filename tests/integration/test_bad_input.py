"""Bad input through both lanes on real parts: one dead letter each, and its neighbours count."""

import math
import struct
from typing import Any

import pytest

from infra.settings import Settings
from schemas.reasons import MAX_AHEAD_MS, MAX_TEXT_BYTES, Reason
from schemas.topics import Topic
from tests.support.events import WEEK_MS, case_result, encode, feedback, inference, score
from tests.support.lanes import Lanes, now_ms, running
from tests.support.servers import ClickHouseServer, Kafka, wait_until

pytestmark = pytest.mark.integration
MEGABYTE = 1_000_000
Case = tuple[bytes | None, bytes | None, Reason]
"""Key, value, and the code of the dead letter."""


@pytest.fixture
def lanes(kafka: Kafka, settings: Settings, clickhouse: ClickHouseServer) -> Lanes:
    return Lanes.create(kafka, settings, clickhouse)


def event(**changes: Any) -> bytes:
    return encode("InferenceEvent", [inference(**{"occurred_at": now_ms(), **changes})])[0]


def liked(**changes: Any) -> bytes:
    times = {"occurred_at": now_ms(), "observed_at": now_ms()}
    return encode("FeedbackEvent", [feedback(**{**times, **changes})])[0]


def result(**changes: Any) -> bytes:
    return encode("CaseResult", [case_result(**{"occurred_at": now_ms(), **changes})])[0]


def behind_id(body: bytes, schema_id: int = 1) -> bytes:
    return struct.pack(">bI", 0, schema_id) + body


def bad_inferences() -> list[Case]:
    good, text = event(), event(model_id="XXXX")
    values: list[tuple[bytes | None, Reason]] = [
        (None, Reason.EMPTY_VALUE),
        (b"", Reason.EMPTY_VALUE),
        (b"corrupt \xde\xad\xbe\xef", Reason.NOT_WIRE_FORMAT),
        (b'{"event_id": "e-1"}', Reason.NOT_WIRE_FORMAT),
        (b"\x00\x00", Reason.NOT_WIRE_FORMAT),
        (behind_id(good[5:], 77_777), Reason.UNKNOWN_SCHEMA),
        (behind_id(good[5:], 2**32 - 1), Reason.UNKNOWN_SCHEMA),
        (liked(), Reason.WRONG_RECORD),
        (good[: len(good) // 2], Reason.MALFORMED_BODY),
        (good + b"\x00", Reason.MALFORMED_BODY),
        (good + good, Reason.MALFORMED_BODY),
        (behind_id(b"\x06e-1\x04" + good[10:]), Reason.MALFORMED_BODY),
        (behind_id(b"\xfe\xff\xff\xff\x0f" + good[6:]), Reason.MALFORMED_BODY),  # 2^31 - 1 bytes
        (behind_id(b"\x80\x80\x80\x80\x10" + good[6:]), Reason.MALFORMED_BODY),  # 2^31 bytes
        (behind_id(b"\x01" + good[6:]), Reason.MALFORMED_BODY),  # -1 bytes
        (behind_id(b"\xff" * 10 + good[6:]), Reason.MALFORMED_BODY),
        (behind_id(b"\x80" * 9 + b"\x06" + good[6:]), Reason.MALFORMED_BODY),
        (behind_id(b"\xff" * 9 + b"\x01" + good[6:]), Reason.MALFORMED_BODY),  # -2^63 bytes
        (good + b"\x00" * MEGABYTE, Reason.OVERSIZED),
        (event(unit_id="u" * MEGABYTE), Reason.OVERSIZED),
        (text.replace(b"XXXX", b"\xff\xfe\xfd\xfc"), Reason.BAD_UTF8),
        (text.replace(b"XXXX", b"\xf0\x9f\x98X"), Reason.BAD_UTF8),
        (event(latency_ms=math.nan), Reason.NOT_FINITE),
        (event(latency_ms=math.inf), Reason.NOT_FINITE),
        (event(ttft_ms=-math.inf), Reason.NOT_FINITE),
        (event(cost_usd=math.nan), Reason.NOT_FINITE),
        (event(latency_ms=-0.001), Reason.OUT_OF_RANGE),
        (event(quality=1.5), Reason.OUT_OF_RANGE),
        (event(input_tokens=-1), Reason.OUT_OF_RANGE),
        (event(occurred_at=now_ms() + MAX_AHEAD_MS + 60_000), Reason.FUTURE_TIME),
        (event(occurred_at=2**62), Reason.FUTURE_TIME),
        (event(occurred_at=now_ms() - WEEK_MS - 60_000), Reason.TOO_OLD),
        (event(occurred_at=-(2**63)), Reason.TOO_OLD),
        (event(org_id=""), Reason.MISSING_TEXT),
        (event(capability="c" * (MAX_TEXT_BYTES + 1)), Reason.TEXT_TOO_LONG),
    ]
    keys = [None, b"", b"user-1", b"\xff\xfe not text", b"k" * MEGABYTE]
    return [(keys[i % len(keys)], value, reason) for i, (value, reason) in enumerate(values)]


def bad_feedback() -> list[Case]:
    values: list[tuple[bytes | None, Reason]] = [
        (liked(metric="Thumbs Up!"), Reason.BAD_METRIC),
        (liked(metric="thumbs_up\n"), Reason.BAD_METRIC),
        (liked(metric="'; DROP TABLE metric_panes; --"), Reason.BAD_METRIC),
        (liked(metric="cost_usd"), Reason.BAD_METRIC),
        (liked(metric=""), Reason.MISSING_TEXT),
        (liked(metric="m" * 65), Reason.BAD_METRIC),
        (liked(value=math.nan), Reason.NOT_FINITE),
        (liked(value=1e200), Reason.OUT_OF_RANGE),
        (liked(observed_at=2**62), Reason.FUTURE_TIME),
        (event(), Reason.WRONG_RECORD),
    ]
    return [(b"user-1", value, reason) for value, reason in values]


def bad_results() -> list[Case]:
    good = result(run_id="XXXX")
    values: list[tuple[bytes | None, Reason]] = [
        (good[:-1], Reason.MALFORMED_BODY),
        (good + b"\x00", Reason.MALFORMED_BODY),
        (good.replace(b"XXXX", b"\xff\xfe\xfd\xfc"), Reason.BAD_UTF8),
        (result(scores=[score(metric="Not A Name")]), Reason.BAD_METRIC),
        (result(scores=[score(value=math.inf)]), Reason.NOT_FINITE),
        (result(scores=[score(), score(value=1e200)]), Reason.OUT_OF_RANGE),
    ]
    return [(b"run-1/case-1", value, reason) for value, reason in values]


def test_each_becomes_one_dead_letter_and_the_good_ones_count_once(lanes: Lanes) -> None:
    """Good and bad alternate, so that every bad one has good neighbours on both sides."""
    hot = {
        Topic.INFERENCE_EVENTS: (bad_inferences(), event, "inference_events"),
        Topic.FEEDBACK_EVENTS: (bad_feedback(), liked, "feedback_events"),
        Topic.CASE_RESULTS: (bad_results(), result, "case_results"),
    }
    expected: dict[tuple[str, int, int], Case] = {}
    good: dict[str, set[tuple[int, int]]] = {}
    for topic, (cases, make, table) in hot.items():
        messages: list[tuple[bytes | None, bytes | None]] = []
        for key, value, _ in cases:
            messages += [(key, make()), (key, value)]
        messages.append((b"k" * MEGABYTE, make()))
        places = lanes.produce(topic, messages)
        good[table] = set(places[::2])
        for place, case in zip(places[1::2], cases, strict=True):
            expected[(lanes.topic(topic), *place)] = case

    with running(lanes.worker(), lanes.writer()) as died:
        wait_until(lambda: bool(died) or len(lanes.letters()) >= len(expected))
        wait_until(lambda: bool(died) or lanes.count("dead_letters") >= len(expected))
        wait_until(lambda: bool(died) or all(lanes.count(t) >= len(p) for t, p in good.items()))
        everything = sum(len(places) for places in good.values())
        wait_until(lambda: bool(died) or lanes.panes() + lanes.panes("thumbs_up") >= everything)
    assert died == []

    letters = lanes.letters()
    assert len(letters) == len(expected)
    for letter in letters:
        coordinates = letter["source_topic"], letter["source_partition"], letter["source_offset"]
        key, value, reason = expected.pop(coordinates)
        assert (letter["reason_code"], letter["value"]) == (reason.value, value)
        assert letter["key"] == key
        assert letter["reason"]
    assert not expected
    stored(lanes, letters)
    for table, spots in good.items():
        found = lanes.rows(f"SELECT src_partition, src_offset FROM {{db}}.{table}")
        assert sorted(found) == sorted(spots)
    calls, results = len(good["inference_events"]), len(good["case_results"])
    assert lanes.panes("error") == lanes.panes("latency_ms") == calls + results
    assert lanes.panes("thumbs_up") == len(good["feedback_events"])
    assert lanes.panes("exact_match") == results


def stored(lanes: Lanes, letters: list[dict[str, Any]]) -> None:
    """The table of dead letters holds the same bytes, byte by byte."""
    sql = (
        "SELECT source_topic, source_partition, source_offset, reason_code, hex(key), "
        "isNull(key), hex(value), isNull(value) FROM {db}.dead_letters"
    )
    names = ("source_topic", "source_partition", "source_offset", "reason_code")
    expected = [(*(x[n] for n in names), *shown(x["key"]), *shown(x["value"])) for x in letters]
    assert sorted(lanes.rows(sql), key=str) == sorted(expected, key=str)


def shown(value: bytes | None) -> tuple[str | None, int]:
    return (None, 1) if value is None else (value.hex().upper(), 0)
