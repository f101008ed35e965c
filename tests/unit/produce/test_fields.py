"""Raw values made into fields: what is taken, and what is refused with its reason."""

from typing import Any

import pytest

from infra.produce.fields import Field, NotConvertible, convert, fields_of, time_ms
from schemas.catalog import committed

AT_MS = 1_764_000_000_000


def test_the_schema_tells_kind_and_nullability() -> None:
    fields = fields_of("InferenceEvent", committed())
    assert fields["occurred_at"] == Field("occurred_at", "time", False)
    assert fields["ab_test_id"] == Field("ab_test_id", "text", True)
    assert fields["input_tokens"] == Field("input_tokens", "int", False)
    assert fields["quality"] == Field("quality", "double", True)


@pytest.mark.parametrize(
    ("raw", "time_format"),
    [
        (AT_MS // 1000, "auto"),
        (float(AT_MS // 1000), "auto"),
        (str(AT_MS // 1000), "auto"),
        (AT_MS, "auto"),
        (AT_MS * 1000, "auto"),
        (AT_MS * 1_000_000, "auto"),
        (AT_MS * 1000, "us"),
        ("2025-11-24T16:00:00Z", "auto"),
        ("2025-11-24 16:00:00", "iso"),
        ("2025-11-24T17:00:00+01:00", "auto"),
        ("24/11/2025 16h00", "%d/%m/%Y %Hh%M"),
        ("24/11/2025 17h00 +0100", "%d/%m/%Y %Hh%M %z"),
    ],
)
def test_times_of_many_forms_are_the_same_moment(raw: Any, time_format: str) -> None:
    assert time_ms(raw, time_format) == AT_MS


@pytest.mark.parametrize(
    ("raw", "time_format"),
    [
        ("yesterday", "auto"),
        ("", "iso"),
        ("nan", "auto"),
        ("inf", "s"),
        (True, "auto"),
        (None, "auto"),
        ([], "auto"),
        (1e300, "auto"),
        ("2025-11-24", "%d/%m/%Y"),
    ],
)
def test_what_is_no_time_is_refused(raw: Any, time_format: str) -> None:
    with pytest.raises(NotConvertible, match="it must be a time"):
        time_ms(raw, time_format)


@pytest.mark.parametrize(
    ("kind", "raw", "factor", "expected"),
    [
        ("text", "a", None, "a"),
        ("text", 7, None, "7"),
        ("double", "0.5", None, 0.5),
        ("double", "0.5", 1000.0, 500.0),
        ("double", True, None, 1.0),
        ("double", "False", None, 0.0),
        ("int", "7", None, 7),
        ("int", 7.0, None, 7),
        ("int", 1.5, 1000.0, 1500),
    ],
)
def test_values_become_the_field_s(kind: Any, raw: Any, factor: Any, expected: Any) -> None:
    found = convert(Field("f", kind, False), raw, factor, "auto")
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("kind", "raw"),
    [
        ("text", True),
        ("text", 1.5),
        ("text", {"a": 1}),
        ("double", "many"),
        ("double", []),
        ("int", 1.5),
        ("int", True),
        ("int", "nan"),
        ("int", 2**31),
        ("int", -(2**31) - 1),
    ],
)
def test_values_that_cannot_be_are_refused_and_shown(kind: Any, raw: Any) -> None:
    with pytest.raises(NotConvertible, match="must be"):
        convert(Field("f", kind, False), raw, None, "auto")
