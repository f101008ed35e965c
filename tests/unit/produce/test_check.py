"""What is found wrong before sending is what the data lane would have rejected, at its line."""

from collections.abc import Iterator
from typing import Any

import pytest

from agents.errors import Problem
from infra.produce import check
from infra.produce.check import Checker
from infra.produce.fields import fields_of
from infra.produce.mapping import mapping
from infra.produce.rows import Row
from schemas.catalog import committed
from tests.support.events import CODEC, NOW_MS, WEEK_MS, inference


def checker() -> Checker:
    fields = fields_of("InferenceEvent", committed())
    return Checker(mapping("InferenceEvent", fields, (), (), "ms"), CODEC, WEEK_MS, NOW_MS)


def rows(*changes: dict[str, Any] | None) -> Iterator[Row | Problem]:
    for line, change in enumerate(changes, 2):
        if change is None:
            yield Problem(line, "the line", "is not JSON")
        else:
            yield Row(line, inference(**change), b"")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"latency_ms": -1}, "line 3: latency_ms: is -1; it must be from 0 to"),
        ({"latency_ms": float("nan")}, "line 3: latency_ms: is nan"),
        ({"quality": 2}, "line 3: quality: is 2; it must be from 0 to 1"),
        ({"model_id": "m" * 300}, "line 3: model_id: has 300 bytes"),
        ({"occurred_at": NOW_MS + WEEK_MS}, "line 3: occurred_at: is 604800000 ms ahead"),
        ({"occurred_at": NOW_MS - 2 * WEEK_MS}, "line 3: occurred_at: is 1209600000 ms before"),
        ({"model_id": "\ud800"}, "line 3: the line: "),
        ({"latency_ms": "soon"}, "line 3: latency_ms: is 'soon'"),
        (None, "line 3: the line: is not JSON"),
    ],
)
def test_a_bad_line_is_reported_and_its_neighbours_are_good(
    change: dict[str, Any] | None, expected: str
) -> None:
    (found,) = checker().check(rows({}, change, {"unit_id": "u-9"}))
    assert str(found.problems[0]).startswith(expected)
    assert list(found.lines) == [2, 4]
    assert list(found.keys) == ["user-1", "u-9"]
    assert [CODEC.decode(m, "InferenceEvent")["unit_id"] for m in found.messages] == [
        "user-1",
        "u-9",
    ]


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    changes: list[dict[str, Any] | None] = [{"quality": i % 3} for i in range(10)]
    (whole,) = checker().check(rows(*changes))
    monkeypatch.setattr(check, "CHUNK", 3)
    parts = list(checker().check(rows(*changes)))
    assert len(parts) == 4
    assert [m for part in parts for m in part.messages] == list(whole.messages)
    assert [p for part in parts for p in part.problems] == list(whole.problems)
