"""Other methods of an A/B test over the API: without ClickHouse, without calls, and documented."""

from dataclasses import fields
from typing import Any

import pytest

from agents import ab_methods
from agents.policy.method_rows import MethodRow
from agents.policy.planned_looks import LookRow
from api.ab_methods import EXAMPLE, MethodsBody
from schemas.entities import AbTest
from sinks.clickhouse import ClickHouse
from sinks.errors import Backpressure
from tests.support.api import Api, EmptyClickHouse
from tests.support.trials import TEST

METHODS = "/ab-tests/t/methods/"


@pytest.fixture
def api() -> Api:
    made = Api(clickhouse=EmptyClickHouse)
    made.put(TEST)
    return made


def asked(api: Api) -> dict[str, Any]:
    answer = api.client("viewer", TEST.org_id).get(METHODS)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_without_calls_each_row_says_that_there_are_none(api: Api) -> None:
    found = asked(api)
    assert found["why_none"] is None
    assert found["rows"]
    assert all("no values" in row["note"] for row in found["rows"])


@pytest.mark.parametrize("error", [Backpressure("ClickHouse is full"), ZeroDivisionError()])
def test_what_cannot_be_read_is_told_and_asked_again_later(
    api: Api, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    questions: list[str] = []

    def fails(clickhouse: ClickHouse, test: AbTest) -> ab_methods.Read:
        questions.append(test.ab_test_id)
        raise error

    monkeypatch.setattr(ab_methods, "read", fails)
    found = asked(api)
    assert found["rows"] == []
    assert ("ClickHouse is full" in found["why_none"]) == isinstance(error, Backpressure)
    assert asked(api)["why_none"] == found["why_none"]
    assert questions == ["t"], "kept for a while"
    monkeypatch.undo()
    api.forward(seconds=61)
    assert asked(api)["why_none"] is None


def test_the_example_of_the_documentation_is_such_an_answer(api: Api) -> None:
    assert MethodsBody.model_validate(EXAMPLE).model_dump(mode="json") == EXAMPLE
    schemas = api.app.openapi()["components"]["schemas"]
    # The document is written without its nulls.
    assert schemas["MethodsBody"]["example"]["rows"][0]["value"] == EXAMPLE["rows"][0]["value"]
    names = {field.name for field in fields(MethodRow)}
    assert schemas["MethodRow"]["properties"].keys() == names
    for row in EXAMPLE["rows"]:
        assert row.keys() == names
    looks = {field.name for field in fields(LookRow)}
    assert schemas["LookRow"]["properties"].keys() == looks
    assert all(row.keys() == looks for row in EXAMPLE["group_sequential"])
