"""Looking into broken bytes: as far as they go, and trusted only as a whole."""

import math
from typing import Any

import pytest

from schemas.catalog import committed
from schemas.inspect import inspect
from schemas.wire import HEADER, HEADER_BYTES
from tests.support.events import CODEC, case_result, feedback, inference

CATALOG = committed()
GOOD = CODEC.encode("InferenceEvent", inference())


@pytest.mark.parametrize(
    ("record", "value"),
    [
        ("InferenceEvent", inference(latency_ms=math.nan)),
        ("FeedbackEvent", feedback()),
        ("CaseResult", case_result()),
    ],
)
def test_a_whole_value_is_read_whatever_it_says(record: str, value: dict[str, Any]) -> None:
    found = inspect(CODEC.encode(record, value), CATALOG)
    assert (found.whole, found.record, found.org_id, found.left_bytes) == (True, record, "acme", 0)
    assert found.fields is not None
    assert found.fields["model_id"] == "small"


@pytest.mark.parametrize("size", range(HEADER_BYTES, len(GOOD)))
def test_of_a_cut_value_the_beginning_is_read_and_its_organisation_not_believed(size: int) -> None:
    found = inspect(GOOD[:size], CATALOG)
    assert found.org_id is None
    assert not found.whole
    assert found.fields is not None
    assert found.broken_at not in found.fields
    whole = inspect(GOOD, CATALOG).fields
    assert whole is not None
    assert dict(found.fields) == dict(list(whole.items())[: len(found.fields)])


def test_what_follows_a_value_makes_it_no_value() -> None:
    found = inspect(GOOD + b"more", CATALOG)
    assert (found.whole, found.org_id, found.left_bytes, found.broken_at) == (False, None, 4, None)


@pytest.mark.parametrize(
    ("payload", "schema_id", "left"),
    [
        (b"", None, 0),
        (b'{"a": 1}', None, 8),
        (HEADER.pack(0, 4_000_000_000) + b"xy", 4_000_000_000, 2),
    ],
)
def test_what_names_no_schema_stays_bytes(payload: bytes, schema_id: int | None, left: int) -> None:
    found = inspect(payload, CATALOG)
    assert (found.schema_id, found.fields, found.whole, found.left_bytes) == (
        schema_id,
        None,
        False,
        left,
    )
