"""Damaged bytes by the ten thousand: the columnar decoder decides as fastavro does.

And whatever stands in a topic, every message is counted once or rejected once.
"""

import io
import random
import struct
from collections.abc import Callable, Sequence
from typing import Any

import fastavro
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.catalog import committed
from schemas.wire import NOT_AVRO
from streams.columns import Records
from streams.decode import decode
from streams.price import price_table
from streams.reduce import Context, reduce
from tests.support.events import WEEK_MS, batch, case_result, encode, feedback, inference, score

TOPICS = {
    "inference-events": "InferenceEvent",
    "feedback-events": "FeedbackEvent",
    "case-results": "CaseResult",
}
CONTEXT = Context(committed(), TOPICS, price_table(()), WEEK_MS)
HOSTILE = [
    b"\xff" * 10,
    b"\x80" * 9 + b"\x01",  # 2^63: the most a varint of ten bytes should hold
    b"\xfe\xff\xff\xff\x0f",  # 2^31 - 1
    b"\x80\x80\x80\x80\x10",  # 2^31
    b"\x01",  # -1
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",  # -2^63
    b"\x00" * 8,
    b"\x04",  # a union has no third branch
]
"""Lengths, numbers and branches that a writer never writes."""


def lenient(avro: Any) -> Any:
    """The schema with texts as bytes and times as integers: what the bytes say, before meaning."""
    if isinstance(avro, dict):
        kept = {k: v for k, v in avro.items() if k != "logicalType"}
        return {k: v if k == "name" else lenient(v) for k, v in kept.items()}
    if isinstance(avro, list):
        return [lenient(part) for part in avro]
    return "bytes" if avro == "string" else avro


SCHEMAS = {
    record: fastavro.parse_schema(
        lenient(dict(committed().newest(record).source)), named_schemas={}
    )
    for record in ("InferenceEvent", "FeedbackEvent")
}


def reference(message: bytes, record: str) -> tuple[dict[str, Any] | None, bool]:
    """(what fastavro reads, whether a writer would write exactly these bytes)."""
    schema: Any = SCHEMAS[record]
    source = io.BytesIO(message)
    source.seek(5)
    try:
        value: Any = fastavro.schemaless_reader(source, schema, None)
    except NOT_AVRO:
        return None, False
    ints = [value[f["name"]] for f in schema["fields"] if f["type"] == "int"]
    if source.tell() != len(message) or any(not -(2**31) <= i < 2**31 for i in ints):
        return None, False
    again = io.BytesIO()
    fastavro.schemaless_writer(again, schema, value)
    return value, again.getvalue() == message[5:]


def mutated(message: bytes, rng: random.Random) -> bytes:
    """The message with its header and one to three wounds."""
    body = bytearray(message[5:])
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(body) + 1)
        match rng.randrange(5):
            case 0:
                body = body[:at]
            case 1:
                body[at:at] = rng.randbytes(rng.randint(1, 4))
            case 2:
                body[at : at + 1] = rng.choice(HOSTILE)
            case 3:
                del body[at : at + rng.randint(1, 3)]
            case _:
                body[at : at + 1] = rng.randbytes(1)
    return message[:5] + bytes(body)


def some_inference(rng: random.Random) -> dict[str, Any]:
    text = rng.choice(["", "x", "süß", "n" * 63, "n" * 64, "y" * 300])
    return inference(
        event_id=f"e-{rng.random()}",
        ab_test_id=rng.choice([None, "t", text]),
        arm=rng.choice([None, "a"]),
        model_id=rng.choice(["small", text or "m"]),
        propensity=rng.choice([None, 0.5]),
        ttft_ms=rng.choice([None, 1e300]),
        input_tokens=rng.choice([0, 63, 64, 2**31 - 1]),
        quality=rng.choice([None, rng.random()]),
        error_type=rng.choice([None, "timeout"]),
    )


def some_feedback(rng: random.Random) -> dict[str, Any]:
    return feedback(arm=rng.choice([None, "a"]), value=rng.choice([0.0, -1e9, rng.random()]))


@pytest.mark.parametrize(
    ("record", "make", "seed"),
    [("InferenceEvent", some_inference, 1), ("FeedbackEvent", some_feedback, 2)],
)
def test_thousands_of_wounds_are_judged_as_fastavro_judges(
    record: str, make: Callable[[random.Random], dict[str, Any]], seed: int
) -> None:
    """Every second message is untouched: its values and its verdict must not move.

    fastavro also takes numbers that are longer than need be. No writer makes them; we may refuse
    such a record, but where we take it, it must say the same.
    """
    rng = random.Random(seed)
    whole = encode(record, [make(rng) for _ in range(12_000)])
    messages = [mutated(m, rng) if i % 2 else m for i, m in enumerate(whole)]

    (records,) = decode(batch(messages), record, committed()).records

    columns = columns_of(records)
    taken, refused, padded = 0, 0, 0
    for i, message in enumerate(messages):
        value, canonical = reference(message, record)
        if records.bad[i]:
            assert not canonical, message.hex(" ")
            refused += value is None
            padded += value is not None
            continue
        assert value is not None, message.hex(" ")
        assert {k: v for k, v in value.items() if not same(columns[k][i], v)} == {}
        taken += 1
    assert not records.bad[::2].any()
    assert min(taken - len(messages) // 2, refused) > 500
    assert padded < 200


def columns_of(records: Records) -> dict[str, list[Any]]:
    """Plain values, None for null, texts as bytes."""
    columns: dict[str, list[Any]] = {}
    for name, texts in records.texts.items():
        values: list[Any] = records.slices(texts.start, texts.length).to_list()
        columns[name] = masked(values, texts.present)
    for name, numbers in records.numbers.items():
        columns[name] = masked(numbers.values.tolist(), numbers.present)
    return columns


def masked(values: list[Any], present: Any) -> list[Any]:
    return (
        values
        if present is None
        else [v if p else None for v, p in zip(values, present, strict=True)]
    )


def same(ours: Any, theirs: Any) -> bool:
    if isinstance(theirs, float) and isinstance(ours, float):
        return struct.pack("<d", ours) == struct.pack("<d", theirs)
    return type(ours) is type(theirs) and bool(ours == theirs)


GOOD = {
    "inference-events": encode("InferenceEvent", [inference(), inference(arm="a", quality=0.5)]),
    "feedback-events": encode("FeedbackEvent", [feedback(), feedback(value=-1.0)]),
    "case-results": encode("CaseResult", [case_result(), case_result(scores=[score()] * 3)]),
}
ALL_GOOD = [message for messages in GOOD.values() for message in messages]
anything = st.one_of(
    st.none(),
    st.binary(max_size=40),
    st.sampled_from(ALL_GOOD),
    st.builds(lambda i, body: struct.pack(">bI", 0, i) + body, st.integers(0, 12), st.binary()),
    st.builds(
        lambda message, seed: mutated(message, random.Random(seed)),
        st.sampled_from(ALL_GOOD),
        st.integers(0, 2**32),
    ),
)


@given(st.sampled_from(sorted(TOPICS)), st.lists(anything, max_size=25))
@settings(deadline=None, max_examples=300)
def test_every_message_is_counted_once_or_rejected_once(
    topic: str, messages: Sequence[bytes | None]
) -> None:
    result = reduce([batch(messages, topic)], CONTEXT)

    rejected = [reject.row for _, reject in result.rejects]
    assert len(set(rejected)) == len(rejected)
    assert sum(result.events.values()) + len(rejected) == len(messages)
    n = sum(int(frame["error.n"].sum()) for frame in result.wide)
    if topic == "feedback-events":
        n = sum(int(frame["n"].sum()) for frame in result.tidy)
    assert n == result.events.get(topic, 0)


@given(st.sampled_from(sorted(TOPICS)), st.lists(anything, min_size=1, max_size=12), st.data())
@settings(deadline=None, max_examples=150)
def test_a_message_s_verdict_does_not_depend_on_its_neighbours(
    topic: str, messages: list[bytes | None], data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(messages) - 1))

    alone = reduce([batch([messages[at]], topic)], CONTEXT)
    among = reduce([batch(messages, topic)], CONTEXT)

    verdict = [(r.reason, r.text) for _, r in among.rejects if r.row == at]
    assert verdict == [(r.reason, r.text) for _, r in alone.rejects]


def test_numpy_agrees_that_nothing_is_read_beyond_the_last_message() -> None:
    """A length that reaches to the end of memory, in the very last message."""
    for hostile in HOSTILE:
        message = GOOD["inference-events"][0][:5] + hostile
        (records,) = decode(batch([message]), "InferenceEvent", committed()).records
        assert np.array_equal(records.bad, [True])
