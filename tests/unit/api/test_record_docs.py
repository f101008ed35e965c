"""Records that are answered as they are stored: one definition, described field by field."""

from dataclasses import fields
from typing import Any

import pytest
from pydantic import TypeAdapter

from api.record_docs import PLAIN, RECORDS
from api.record_examples import EXAMPLES
from schemas.records import (
    AbVerdict,
    Alert,
    ArmBelief,
    ArmCount,
    ArmPair,
    Comparison,
    SourceStretch,
)
from tests.support.api import Api

CLASSES = (AbVerdict, Alert, ArmBelief, ArmCount, ArmPair, Comparison, SourceStretch)


@pytest.fixture(scope="module")
def schemas() -> dict[str, Any]:
    found: dict[str, Any] = Api().app.openapi()["components"]["schemas"]
    return found


@pytest.mark.parametrize("cls", CLASSES)
def test_every_field_of_a_record_is_answered_and_described(
    cls: type[Any], schemas: dict[str, Any]
) -> None:
    component = schemas[cls.__name__]
    names = [field.name for field in fields(cls)]
    assert list(component["properties"]) == component["required"] == names
    assert all(component["properties"][name]["description"] for name in names)


@pytest.mark.parametrize("name", RECORDS)
def test_an_example_is_such_a_record_with_every_field(name: str, schemas: dict[str, Any]) -> None:
    cls = next(cls for cls in CLASSES if cls.__name__ == name)
    adapter: TypeAdapter[Any] = TypeAdapter(cls)
    example = schemas[name]["example"]
    assert example == EXAMPLES[name]
    assert adapter.dump_python(adapter.validate_python(example), mode="json") == {
        field.name: example[field.name] for field in fields(cls)
    }


def test_nothing_is_said_of_fields_that_no_record_has() -> None:
    assert PLAIN.keys() <= {field.name for cls in CLASSES for field in fields(cls)}
