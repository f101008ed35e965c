"""The columnar decoder against fastavro, record by record."""

import io
import math
from typing import Any

import fastavro
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.catalog import committed
from streams.decode import decode
from tests.support.events import batch, encode, inference

SCHEMA = committed().newest("InferenceEvent")
text = st.text(max_size=80)
some_text = st.none() | text
number = st.floats(width=64)
some_number = st.none() | number
token = st.integers(-(2**31), 2**31 - 1)

events = st.fixed_dictionaries(
    {
        "event_id": text,
        "occurred_at": st.integers(-(2**63), 2**63 - 1),
        "org_id": text,
        "model_id": text,
        "model_version": text,
        "capability": text,
        "ab_test_id": some_text,
        "arm": some_text,
        "unit_id": text,
        "propensity": some_number,
        "selection_id": some_text,
        "latency_ms": number,
        "ttft_ms": some_number,
        "input_tokens": token,
        "output_tokens": token,
        "cached_input_tokens": token,
        "cost_usd": some_number,
        "quality": some_number,
        "error_type": some_text,
    }
)


def same(ours: Any, theirs: Any) -> bool:
    if isinstance(theirs, float) and math.isnan(theirs):
        return isinstance(ours, float) and math.isnan(ours)
    return bool(ours == theirs)


def messages_of(values: list[dict[str, Any]]) -> list[bytes]:
    return encode("InferenceEvent", values)


@given(st.lists(events, min_size=1, max_size=20))
@settings(deadline=None)
def test_columns_hold_what_was_written(values: list[dict[str, Any]]) -> None:
    decoded = decode(batch(messages_of(values)), "InferenceEvent", committed())

    assert not decoded.rejects
    (records,) = decoded.records
    rows = records.frame().to_dicts()
    for row, value in zip(rows, values, strict=True):
        assert {k for k in value if not same(row[k], value[k])} == set()


@given(st.lists(events, min_size=1, max_size=6), st.data())
@settings(deadline=None, max_examples=300)
def test_damage_stays_in_its_record(values: list[dict[str, Any]], data: st.DataObject) -> None:
    """Whatever happens to one message's bytes, its neighbours decode as before."""
    messages = messages_of(values)
    victim = data.draw(st.integers(0, len(messages) - 1))
    body = bytearray(messages[victim][5:])
    at = data.draw(st.integers(0, len(body)))
    match data.draw(st.sampled_from(["cut", "grow", "change"])):
        case "cut":
            body = body[:at]
        case "grow":
            body[at:at] = data.draw(st.binary(min_size=1, max_size=20))
        case _:
            body[at : at + 4] = data.draw(st.binary(min_size=4, max_size=4))
    messages[victim] = messages[victim][:5] + bytes(body)

    decoded = decode(batch(messages), "InferenceEvent", committed())

    (records,) = decoded.records
    rows = records.frame().to_dicts()
    for i, value in enumerate(values):
        if i != victim:
            assert not records.bad[i]
            assert all(same(rows[i][k], value[k]) for k in value)
    readable, canonical = fastavro_reads(bytes(body))
    assert readable or records.bad[victim]
    assert not (canonical and records.bad[victim])


def fastavro_reads(body: bytes) -> tuple[bool, bool]:
    """(whether fastavro takes the bytes, whether it would write them so), texts as bytes.

    Padded numbers are the difference: no writer makes them, and we refuse them as union branches.
    """
    lenient = fastavro.parse_schema(_texts_as_bytes(dict(SCHEMA.source)), named_schemas={})
    source = io.BytesIO(body)
    try:
        value: Any = fastavro.schemaless_reader(source, lenient, None)
    except (ValueError, TypeError, IndexError, EOFError, OverflowError, StopIteration):
        return False, False
    ints = [value[f"{kind}_tokens"] for kind in ("input", "output", "cached_input")]
    whole = source.tell() == len(body) and all(-(2**31) <= i < 2**31 for i in ints)
    again = io.BytesIO()
    if whole:
        fastavro.schemaless_writer(again, lenient, value)
    return whole, whole and again.getvalue() == body


def _texts_as_bytes(source: Any) -> Any:
    if isinstance(source, dict):
        kept = {k: v for k, v in source.items() if k != "logicalType"}
        return {k: v if k == "name" else _texts_as_bytes(v) for k, v in kept.items()}
    if isinstance(source, list):
        return [_texts_as_bytes(part) for part in source]
    return "bytes" if source == "string" else source


def test_an_older_writer_is_filled_up_with_nulls() -> None:
    """A writer that did not know a nullable field yet."""
    from schemas.catalog import FileCatalog, writer_schema

    source = dict(SCHEMA.source)
    source["fields"] = [f for f in source["fields"] if f["name"] not in {"quality", "arm"}]
    old = writer_schema(77, 0, source)
    catalog = FileCatalog({**committed().schemas, 77: old})
    out = io.BytesIO(b"\x00\x00\x00\x00\x4d")
    out.seek(5)
    fastavro.schemaless_writer(out, old.parsed, inference())
    newer = encode("InferenceEvent", [inference(quality=0.5, arm="a")])

    decoded = decode(batch([out.getvalue(), *newer]), "InferenceEvent", catalog)

    by_row = {r.rows.tolist()[0]: r.frame().to_dicts()[0] for r in decoded.records}
    assert by_row[0]["quality"] is None
    assert by_row[0]["arm"] is None
    assert by_row[1]["quality"] == 0.5
    assert by_row[0]["latency_ms"] == by_row[1]["latency_ms"] == 120.0


def test_an_empty_batch_has_no_records() -> None:
    assert decode(batch([]), "InferenceEvent", committed()).records == ()
