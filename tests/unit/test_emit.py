"""What leaves the data lane: whole, in the right partition, of one form whatever it came from."""

from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from schemas.catalog import committed
from schemas.reasons import Reason
from streams.emit import Envelope, dead_letter, partials, target_partition
from streams.partials import from_record, merge
from streams.price import price_table
from streams.reduce import Context, reduce
from streams.types import Coordinates, InvalidRecord, OffsetSpan, RawBatch
from tests.support.events import (
    CODEC,
    NOW_MS,
    WEEK_MS,
    batch,
    case_result,
    encode,
    feedback,
    inference,
)

RECORDS = {
    "inference-events": "InferenceEvent",
    "feedback-events": "FeedbackEvent",
    "case-results": "CaseResult",
}
CONTEXT = Context(committed(), RECORDS, price_table(()), WEEK_MS)
NOW = datetime.fromtimestamp(NOW_MS / 1000, UTC)
ENVELOPE = Envelope("w", NOW, (OffsetSpan("inference-events", 0, 0, 9),))


def emitted(*batches: RawBatch) -> pl.DataFrame:
    reduced = reduce(batches, CONTEXT)
    assert not reduced.rejects
    sent = partials(reduced.wide, reduced.tidy, ENVELOPE, 4, CODEC)
    return merge([from_record(CODEC.decode(m.value, "MetricPartials")).frame for m in sent])


def test_topics_with_different_metrics_leave_together() -> None:
    """Evaluation results never have a quality, these calls have no first-token time."""
    calls = batch(encode("InferenceEvent", [inference(quality=0.5, cost_usd=0.1)] * 3))
    results = batch(encode("CaseResult", [case_result(ttft_ms=3.0)] * 2), "case-results")
    likes = batch(encode("FeedbackEvent", [feedback()] * 4), "feedback-events")

    rows = emitted(calls, results, likes).select("metric", "source", "n").rows()

    counts = {(metric, source): n for metric, source, n in rows}
    assert counts[("quality", "production")] == 3
    assert counts[("ttft_ms", "evaluation")] == 2
    assert counts[("exact_match", "evaluation")] == 2
    assert counts[("thumbs_up", "production")] == 4
    assert counts[("error", "production")] == 3
    assert ("quality", "evaluation") not in counts
    assert ("ttft_ms", "production") not in counts


@pytest.mark.parametrize(
    ("metric", "field"),
    [("ttft_ms", "ttft_ms"), ("quality", "quality"), ("cost_usd", "cost_usd")],
)
def test_missing_is_not_zero(metric: str, field: str) -> None:
    """No value and no price: no row. A value of 0: a row with a total of 0."""
    absent = emitted(batch(encode("InferenceEvent", [inference()])))
    zero = emitted(batch(encode("InferenceEvent", [inference(**{field: 0.0})])))

    assert metric not in absent["metric"].to_list()
    (row,) = zero.filter(pl.col("metric") == metric).to_dicts()
    assert (row["n"], row["total"], row["minimum"], row["maximum"]) == (1, 0.0, 0.0, 0.0)


def test_a_metric_that_some_events_lack_counts_those_that_have_it() -> None:
    values = [inference(quality=q) for q in (None, 0.25, None, 0.75)]
    (row,) = emitted(batch(encode("InferenceEvent", values))).filter(metric="quality").to_dicts()
    assert (row["n"], row["total"], row["minimum"]) == (2, 1.0, 0.25)


@pytest.mark.parametrize(
    ("org", "java"),
    [("21", -973932308), ("foobar", -790332482), ("a-little-bit-long-string", -985981536)],
)
def test_partials_go_where_a_producer_s_key_would_send_them(org: str, java: int) -> None:
    """Hashes from Apache Kafka's own UtilsTest.testMurmur2; the partitioner drops the sign."""
    assert target_partition(org, 7) == (java & 0x7FFFFFFF) % 7


def test_large_partials_leave_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    from streams import emit

    monkeypatch.setattr(emit, "PARTIALS_BYTES_MAX", 20_000)
    values = [inference(model_id=f"m-{i}", latency_ms=float(i)) for i in range(64)]
    reduced = reduce([batch(encode("InferenceEvent", values))], CONTEXT)
    sent = list(partials(reduced.wide, [], ENVELOPE, 1, CODEC))
    back = [from_record(CODEC.decode(m.value, "MetricPartials")) for m in sent]

    assert len(sent) > 2
    assert max(len(m.value) for m in sent) < 40_000
    assert sum(p.events for p in back) == 64
    assert len({p.batch_id for p in back}) == len(sent)
    (total,) = (
        merge([p.frame for p in back]).filter(metric="latency_ms").select("total").sum().row(0)
    )
    assert total == sum(range(64))


@pytest.mark.parametrize("timestamp_ms", [-1, 0, NOW_MS, 2**62])
@pytest.mark.parametrize("value", [None, b"", b"\xff" * 10])
def test_a_dead_letter_holds_what_came(timestamp_ms: int, value: bytes | None) -> None:
    """Also of a topic where producers choose the timestamps."""

    def locate(i: int) -> Coordinates:
        return Coordinates(3, 41 + i, timestamp_ms, b"\xfe")

    raw = RawBatch("p-inference-events", [b"x", value], locate, NOW_MS, NOW_MS)
    reject = InvalidRecord(1, Reason.EMPTY_VALUE, "the value is null")

    letter: dict[str, Any] = CODEC.decode(dead_letter(raw, reject, NOW, CODEC).value, "DeadLetter")

    assert (letter["source_topic"], letter["source_partition"]) == ("p-inference-events", 3)
    assert (letter["source_offset"], letter["key"], letter["value"]) == (42, b"\xfe", value)
    assert (letter["reason_code"], letter["rejected_at"]) == ("empty_value", NOW)
    assert 1970 <= letter["source_timestamp"].year <= 9999
