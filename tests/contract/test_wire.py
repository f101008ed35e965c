"""The wire codec: Confluent's framing around Avro, for every record."""

import struct
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.catalog import committed
from schemas.errors import MalformedMessage, UnknownSchema
from schemas.wire import Codec, schema_id_of
from tests.support.avro_values import values
from tests.support.events import inference

CODEC = Codec(committed())
RECORDS = sorted({schema.record for schema in committed().schemas.values()})


def unnamed(value: Any) -> Any:
    """Without the names that tell a union's records apart."""
    if isinstance(value, tuple):
        return unnamed(value[1])
    if isinstance(value, dict):
        return {k: unnamed(v) for k, v in value.items()}
    return [unnamed(v) for v in value] if isinstance(value, list) else value


@pytest.mark.parametrize("record", RECORDS)
@given(data=st.data())
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_record_comes_back_as_it_went(record: str, data: st.DataObject) -> None:
    schema = committed().newest(record)
    value = data.draw(values(dict(schema.source)))

    payload = CODEC.encode(record, value)

    assert payload[:5] == struct.pack(">bI", 0, schema.schema_id)
    assert unnamed(CODEC.decode(payload, record)) == unnamed(value)


GOOD = CODEC.encode("InferenceEvent", inference())


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x00",
        b"\x00\x00\x00\x00",
        b"\x01" + GOOD[1:],
        GOOD[:5],
        GOOD[:-1],
        GOOD + b"\x00",
        GOOD + GOOD,
        GOOD[:5] + b"\xff" * 12,
        GOOD[:5] + b"\x80" * 9 + b"\x02" + GOOD[5:],
        GOOD.replace(b"acme", b"a\xffme"),
    ],
)
def test_what_is_no_message_is_refused(payload: bytes) -> None:
    with pytest.raises(MalformedMessage):
        CODEC.decode(payload, "InferenceEvent")


def test_every_cut_is_refused() -> None:
    for end in range(len(GOOD)):
        with pytest.raises(MalformedMessage):
            CODEC.decode(GOOD[:end], "InferenceEvent")


def test_an_id_that_nobody_registered_is_told_apart() -> None:
    with pytest.raises(UnknownSchema):
        CODEC.decode(struct.pack(">bI", 0, 2**32 - 1) + GOOD[5:], "InferenceEvent")


def test_another_record_is_refused_by_name() -> None:
    with pytest.raises(MalformedMessage, match="expected FeedbackEvent, found InferenceEvent"):
        CODEC.decode(GOOD, "FeedbackEvent")


def test_a_value_that_does_not_fit_is_refused() -> None:
    for change in ({"latency_ms": "slow"}, {"org_id": None}):
        with pytest.raises(MalformedMessage):
            CODEC.encode("InferenceEvent", inference(**change))


def test_the_id_is_big_endian_and_unsigned() -> None:
    assert schema_id_of(b"\x00\x80\x00\x00\x01") == 2**31 + 1
