"""Where fields come from: columns, constants, own names, defaults; and mistakes in the options."""

from typing import Any

import pytest

from infra.errors import OperatorError
from infra.produce.fields import fields_of
from infra.produce.mapping import DEFAULTS, FieldMapping, mapping, row_id
from infra.produce.rows import Row
from schemas.catalog import committed
from tests.support.events import CODEC, NOW_MS

CALL: dict[str, Any] = {
    "org_id": "acme",
    "model_id": "small",
    "model_version": "1",
    "capability": "chat",
    "latency_ms": 5,
    "input_tokens": 1,
    "output_tokens": 2,
}


def how(*maps: str, sets: tuple[str, ...] = (), record: str = "InferenceEvent") -> FieldMapping:
    return mapping(record, fields_of(record, committed()), maps, sets, "auto")


def row(line: int = 1, /, **values: Any) -> Row:
    return Row(line, values, repr(values).encode())


def test_a_map_beats_a_set_beats_the_own_name_beats_the_default() -> None:
    found, problems = how("model_id=m", sets=("org_id=other",)).event(row(**CALL, m="big"), NOW_MS)
    assert problems == []
    assert (found["model_id"], found["org_id"], found["capability"]) == ("big", "other", "chat")
    assert (found["occurred_at"], found["cached_input_tokens"]) == (NOW_MS, 0)
    assert found["unit_id"] == found["event_id"]
    assert found["quality"] is None


def test_nested_columns_and_factors() -> None:
    values = {**CALL, "latency_ms": None, "usage": {"seconds": 1.5}}
    found, _ = how("latency_ms=usage.seconds*1000").event(row(**values), NOW_MS)
    assert found["latency_ms"] == 1500.0


def test_a_column_whose_name_holds_a_star_is_still_a_column() -> None:
    found, _ = how("model_id=a*2").event(row(**CALL, **{"a*2": "m"}), NOW_MS)
    assert found["model_id"] == "m"


def test_event_ids_are_the_same_for_the_same_line_only() -> None:
    assert row_id("InferenceEvent", row(1, a=1)) == row_id("InferenceEvent", row(1, a=1))
    ids = {
        row_id(record, each)
        for record in DEFAULTS
        for each in (row(1, a=1), row(2, a=1), row(1, a=2))
    }
    assert len(ids) == 6


def test_feedback_is_of_its_inference_s_unit() -> None:
    record = "FeedbackEvent"
    values = {k: CALL[k] for k in ("org_id", "model_id", "model_version", "capability")}
    found, problems = how(sets=("metric=thumbs_up",), record=record).event(
        row(**values, inference_id="call-7", value="true"), NOW_MS
    )
    assert problems == []
    assert (found["unit_id"], found["value"], found["observed_at"]) == ("call-7", 1.0, NOW_MS)
    assert CODEC.decode(CODEC.encode(record, found), record)["metric"] == "thumbs_up"


def test_every_problem_of_a_row_is_reported_with_its_column() -> None:
    values = {**CALL, "t": "long", "input_tokens": 0.5, "capability": ""}
    _, problems = how("latency_ms=t").event(row(9, **values), NOW_MS)
    assert [str(p) for p in problems] == [
        "line 9: latency_ms (column t): is 'long'; it must be a number",
        "line 9: input_tokens: is 0.5; it must be a whole number",
        "line 9: capability: has no value",
    ]


def test_fields_that_nothing_fills_are_known_before_reading() -> None:
    assert how("model_id=m", sets=("org_id=a",)).missing({"m", "capability"}) == [
        "model_version",
        "latency_ms",
        "input_tokens",
        "output_tokens",
    ]


@pytest.mark.parametrize(
    ("maps", "sets", "text"),
    [
        (("modle_id=m",), (), "did you mean model_id"),
        (("zzz=m",), (), "there is no field zzz; fields: event_id"),
        (("model_id",), (), "is not FIELD=VALUE"),
        (("model_id=",), (), "is not FIELD=VALUE"),
        (("model_id=a", "model_id=b"), (), "gives model_id twice"),
        (("model_id=a",), ("model_id=b",), "by --map and by --set"),
    ],
)
def test_mistakes_in_options_say_what_is_wrong(
    maps: tuple[str, ...], sets: tuple[str, ...], text: str
) -> None:
    with pytest.raises(OperatorError, match=text):
        how(*maps, sets=sets)
