"""Writers of other versions: read by name, filled with defaults, refused when they cannot be."""

from typing import Any

import pytest

from schemas.catalog import FileCatalog, committed
from schemas.reasons import Reason
from streams.decode import decode
from streams.price import price_table
from streams.reduce import Context, reduce
from tests.support.events import WEEK_MS, batch, inference
from tests.support.events import encode as encode_newest
from tests.support.versions import (
    CATALOG,
    FIELDS,
    FOREIGN,
    NARROWER,
    NESTED,
    NEWER,
    OLDER,
    encode,
    version,
)

CONTEXT = Context(CATALOG, {"inference-events": "InferenceEvent"}, price_table(()), WEEK_MS)


def test_a_batch_of_all_versions_is_counted_in_full() -> None:
    value = {**inference(), "region": "eu", "retries": 3, "tags": ["a", "b"], "quality": 1}
    messages = [encode(s, value) for s in (OLDER, NEWER, NARROWER, NESTED)]
    messages += encode_newest("InferenceEvent", [inference(quality=1.0)])

    result = reduce([batch(messages * 3)], CONTEXT)

    assert not result.rejects
    assert result.events == {"inference-events": 15}
    assert sum(int(f["latency_ms.n"].sum()) for f in result.wide) == 15
    assert sum(float(f["latency_ms.total"].sum()) for f in result.wide) == 15 * 120.0
    assert sum(int(f["quality.n"].sum()) for f in result.wide) == 12


def test_a_known_schema_that_cannot_be_read_is_told_from_an_unknown_one() -> None:
    bad = encode(FOREIGN, {f["name"]: "x" for f in FIELDS})
    (good,) = encode_newest("InferenceEvent", [inference()])

    result = reduce([batch([good, bad, good])], CONTEXT)

    assert [(r.row, r.reason) for _, r in result.rejects] == [(1, Reason.INCOMPATIBLE_SCHEMA)]
    assert result.events == {"inference-events": 2}


@pytest.mark.parametrize(
    ("kind", "default"),
    [
        ("int", 7),
        ("double", 0.5),
        ("boolean", True),
        ("string", "none given"),
        ("string", ""),
        (["null", "string"], None),
        (["null", "double"], None),
    ],
)
def test_a_reader_s_new_field_holds_its_default(kind: Any, default: Any) -> None:
    later = version(300, [*FIELDS, {"name": "extra", "type": kind, "default": default}], number=2)
    catalog = FileCatalog({**committed().schemas, 300: later})
    old = encode_newest("InferenceEvent", [inference(), inference(event_id="e-2")])

    (records,) = decode(batch(old), "InferenceEvent", catalog).records

    rows = records.frame().to_dicts()
    assert [row["extra"] for row in rows] == [default] * 2
    assert [row["event_id"] for row in rows] == ["e-1", "e-2"]
    assert not records.bad.any()
