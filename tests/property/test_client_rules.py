"""What the client accepts the data lane counts; what it refuses would have been a dead letter."""

import json
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rheostat_client import InferenceEvent, InferenceHandle, InvalidValue
from rheostat_client.events import feedback_record, inference_record
from rheostat_client.rules import DAY_MS, TOKENS_MAX
from schemas.catalog import committed
from streams.decode import decode
from streams.validate import validate
from tests.support.events import NOW_MS, WEEK_MS, batch, encode

texts = st.one_of(
    st.sampled_from(["", "a", "ü" * 128, "ü" * 129, "x" * 256, "x" * 257, "\0", "a\n", "q.w_1"]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=300),
)
maybe = st.one_of(st.none(), texts)
edges = [0.0, -0.0, 1.0, 1.5, -1e-9, 1e6, 1e6 + 1, DAY_MS, DAY_MS + 1, 5e-324]
odd = [float("nan"), float("inf"), -float("inf")]
numbers = st.one_of(st.sampled_from([*edges, *odd]), st.floats())
maybe_number = st.one_of(st.none(), numbers)
tokens = st.one_of(st.sampled_from([0, -1, TOKENS_MAX]), st.integers(-(2**31), TOKENS_MAX))
drifts_ms = st.one_of(
    st.sampled_from([0, 300_000, 300_001, -WEEK_MS, -WEEK_MS - 1]),
    st.integers(-2 * WEEK_MS, 2 * WEEK_MS),
)
TEXTS = ("event_id", "model_id", "model_version", "capability", "unit_id")
OPTIONAL = ("ab_test_id", "arm", "selection_id", "error_type")

inferences = st.fixed_dictionaries(
    {name: st.one_of(st.just("ok"), texts) for name in TEXTS}
    | {name: st.one_of(st.none(), maybe) for name in OPTIONAL}
    | dict.fromkeys(("input_tokens", "output_tokens", "cached_input_tokens"), tokens)
    | dict.fromkeys(("ttft_ms", "cost_usd", "quality", "propensity"), maybe_number)
    | {"latency_ms": numbers}
)
sparse = st.fixed_dictionaries(
    {},
    optional={  # one or two odd fields, so that many are valid
        **dict.fromkeys(TEXTS, texts),
        **dict.fromkeys(OPTIONAL, maybe),
        **dict.fromkeys(("ttft_ms", "cost_usd", "quality", "propensity"), maybe_number),
        "latency_ms": numbers,
    },
)
GOOD = {**dict.fromkeys(TEXTS, "ok"), "latency_ms": 1.0}


def counted(record: str, value: dict[str, Any]) -> bool:
    """Whether the data lane counts a message that arrives at NOW_MS."""
    raw = batch(encode(record, [value]))
    decoded = decode(raw, record, committed())
    return bool(decoded.records) and not validate(decoded.records[0], raw, WEEK_MS).rejects


def accepted(values: dict[str, Any], drift_ms: int) -> bool:
    """Whether the client takes the event; what it takes is what was said."""
    at = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=NOW_MS + drift_ms)
    try:
        event = InferenceEvent(**values, occurred_at=at)
        record = inference_record(event, "acme", NOW_MS, WEEK_MS)
    except InvalidValue:
        return False
    assert {name: record[name] for name in values} == values
    assert record["occurred_at"] == NOW_MS + drift_ms
    return True


@given(st.one_of(inferences, sparse.map(lambda found: {**GOOD, **found})), drifts_ms)
def test_inference_events(values: dict[str, Any], drift_ms: int) -> None:
    defaults = {f.name: f.default for f in fields(InferenceEvent)}
    whole = {**defaults, **values, "org_id": "acme", "occurred_at": NOW_MS + drift_ms}
    assert accepted(values, drift_ms) == counted("InferenceEvent", whole)


@given(
    st.one_of(st.sampled_from(["thumbs_up", "quality", "error", "ttft_ms", "Bad"]), texts),
    numbers,
    st.one_of(st.just("user"), texts),
    drifts_ms,
)
def test_feedback_events(metric: str, value: float, source: str, drift_ms: int) -> None:
    handle = InferenceHandle("e-1", NOW_MS + drift_ms, "acme", "m", "1", "chat", "u")
    expected = {
        **json.loads(str(handle)),
        "inference_id": "e-1",
        "occurred_at": NOW_MS + drift_ms,
        "observed_at": NOW_MS,
        "metric": metric,
        "value": value,
        "source": source,
    }
    try:
        record = feedback_record(handle, (metric, value, source), NOW_MS, NOW_MS, WEEK_MS)
    except InvalidValue:
        assert not counted("FeedbackEvent", expected)
    else:
        assert counted("FeedbackEvent", record)
        assert (record["metric"], record["value"], record["source"]) == (metric, value, source)
