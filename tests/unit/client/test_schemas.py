"""The client's copy of the contract is the contract."""

import json
from pathlib import Path

import pytest

import rheostat_client
from rheostat_client import rules, wire
from rheostat_client.errors import MalformedMessage, UnknownSchema
from schemas.catalog import committed
from schemas.reasons import MAX_AHEAD_MS, MAX_TEXT_BYTES
from schemas.wire import Codec
from streams.rules import CUSTOM_METRIC, RESERVED_METRICS, RULES
from tests.support.events import inference

OURS = Path(rheostat_client.__file__).parent / "schemas"
THEIRS = Path("schemas").resolve()
NEEDED = {"InferenceEvent", "FeedbackEvent", "SelectionUpdate", "RegistryFact"}
CODEC = Codec(committed())


def test_every_version_of_what_the_client_needs_is_copied_to_the_byte() -> None:
    ours, theirs = (json.loads((f / "ids.json").read_text()) for f in (OURS, THEIRS))
    assert ours == {key: entry for key, entry in theirs.items() if entry["record"] in NEEDED}, (
        "copy the changed schemas/*.avsc and their lines of ids.json to the client"
    )
    for entry in ours.values():
        copied = (OURS / entry["file"]).read_bytes()
        assert copied == (THEIRS / entry["file"]).read_bytes(), entry["file"]
    assert {p.name for p in OURS.glob("*.avsc")} == {e["file"] for e in ours.values()}


def test_the_rules_are_the_data_lane_s() -> None:
    assert (rules.TEXT_BYTES_MAX, rules.AHEAD_MS_MAX) == (MAX_TEXT_BYTES, MAX_AHEAD_MS)
    assert set(rules.RESERVED_METRICS) == set(RESERVED_METRICS)
    assert rules.CUSTOM_METRIC.pattern.replace(r"\Z", "$") == CUSTOM_METRIC
    for record, own in (("InferenceEvent", rules.INFERENCE), ("FeedbackEvent", rules.FEEDBACK)):
        theirs = RULES[record]
        assert set(own.texts) == set(theirs.required)
        assert set(own.optional_texts) == set(theirs.optional)
        ranges = {**own.numbers, **own.optional_numbers}
        assert {n: (r.low, r.high, r.above) for n, r in ranges.items()} == {
            n: (r.low, r.high, r.above) for n, r in theirs.ranges.items()
        }


def test_both_codecs_write_the_same_bytes() -> None:
    value = inference(occurred_at=1_790_000_000_000)
    ours = wire.encode(wire.packaged().newest("InferenceEvent"), value)
    assert ours == CODEC.encode("InferenceEvent", value)


@pytest.mark.parametrize(
    ("payload", "error"),
    [
        (b"", MalformedMessage),
        (b"\x01\x00\x00\x00\x01", MalformedMessage),
        (b"\x00\x00\x00\x00\x63", UnknownSchema),
        (b"\x00\x00\x00\x00\x06", MalformedMessage),  # a SelectionUpdate: another record
        (b"\x00\x00\x00\x00\x01\x04ab", MalformedMessage),
        (CODEC.encode("InferenceEvent", inference()) + b"x", MalformedMessage),
    ],
)
def test_what_is_not_a_message_is_told(payload: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        wire.decode(payload, "InferenceEvent", wire.packaged())
