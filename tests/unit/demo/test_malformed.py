"""Every malformed record is filed under its reason, and nothing else is."""

import pytest

from infra.demo.malformed import REASONS, Malformation, malform
from schemas.catalog import committed
from streams.price import price_table
from streams.reduce import Context, reduce
from tests.support.events import CODEC, WEEK_MS, batch, encode, inference

CONTEXT = Context(committed(), {"inference-events": "InferenceEvent"}, price_table(()), WEEK_MS)


@pytest.mark.parametrize("kind", Malformation)
def test_each_ends_with_its_reason_and_its_neighbours_count(kind: Malformation) -> None:
    event = inference(capability="high_school_physics")
    (good,) = encode("InferenceEvent", [event])
    bad = malform(kind, event, CODEC, retention_days=7)
    reduced = reduce((batch([good, bad, good]),), CONTEXT)
    ((_, reject),) = reduced.rejects
    assert (reject.row, reject.reason) == (1, REASONS[kind])


def test_every_kind_has_a_reason_of_its_own() -> None:
    assert set(REASONS) == set(Malformation)
    assert len(set(REASONS.values())) == len(REASONS)
