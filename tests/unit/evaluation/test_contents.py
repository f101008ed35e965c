"""What a dataset holds, and the messages it is cut into."""

import hashlib
import json
from typing import Any

import pytest

from agents.evaluation.datasets import contents as module
from agents.evaluation.datasets.contents import contents, dataset_case, described, parts
from agents.evaluation.datasets.errors import CaseInvalid
from schemas.suites import Split
from tests.support.datasets import CODEC, DRAFT, encoded, facts, questions


def test_the_hash_is_that_of_its_documented_form() -> None:
    cases = [
        dataset_case("a", {"y": 1, "x": "ü"}, "dev", ("t",), "c"),
        dataset_case("b", {"x": 0.5}),
    ]
    text = '["a","{\\"x\\":\\"ü\\",\\"y\\":1}","dev",["t"],"c"]\n["b","{\\"x\\":0.5}","",[],null]\n'
    assert contents(cases).content_sha256 == hashlib.sha256(text.encode()).hexdigest()


def test_equal_content_has_an_equal_hash_whatever_the_order_of_fields() -> None:
    one, other = {"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"d": 3, "c": 2}, "a": 1}
    hashes = {contents([dataset_case("1", f)]).content_sha256 for f in (one, other)}
    assert len(hashes) == 1


@pytest.mark.parametrize(
    "changed",
    [
        dataset_case("q1", {"q": "x"}),
        dataset_case("q", {"q": "y"}),
        dataset_case("q", {"q": "x"}, "dev"),
        dataset_case("q", {"q": "x"}, tags=("t",)),
        dataset_case("q", {"q": "x"}, cluster=""),
    ],
)
def test_every_part_of_a_case_counts(changed: Any) -> None:
    case = dataset_case("q", {"q": "x"})
    assert contents([changed]) != contents([case])


def test_the_order_of_cases_counts() -> None:
    cases = questions(3)
    assert contents(cases).content_sha256 != contents(cases[::-1]).content_sha256


def test_the_dataset_tells_what_its_cases_have() -> None:
    dataset = described(DRAFT, [*questions(4), dataset_case("last", {"answer": 1, "more": 2})])
    assert dataset.cases == 5
    assert dataset.fields == ("answer",)
    assert dataset.splits == (Split("dev", 2), Split("test", 2))
    with pytest.raises(CaseInvalid, match="at least one case"):
        described(DRAFT, [])


@pytest.mark.parametrize(
    ("given", "field", "words"),
    [
        ({"fields": {}}, "fields", "at least one field"),
        ({"fields": {"x": float("nan")}}, "fields", "cannot be written as JSON"),
        ({"fields": {"x": object()}}, "fields", "cannot be written as JSON"),
        ({"fields": {"x": "\ud800"}}, "fields", "surrogate"),
        ({"fields": {"x": "a" * 100_000}}, "fields", "more than 100,000"),
        ({"case_id": ""}, "case_id", "at least 1 character"),
        ({"case_id": "a/b"}, "case_id", "pattern"),
        ({"case_id": "a\nb"}, "case_id", "pattern"),
        ({"split": "a" * 300}, "split", "at most 256"),
        ({"tags": ("\udc00",)}, "tags", "surrogate|unicode|string"),
        ({"tags": (1,)}, "tags.0", "string"),
    ],
)
def test_a_case_that_cannot_be_one_says_which_field_and_why(
    given: dict[str, Any], field: str, words: str
) -> None:
    with pytest.raises(CaseInvalid, match=words) as caught:
        dataset_case(**{"case_id": "x", "fields": {"x": 1}, **given})
    assert caught.value.field.startswith(field)


@pytest.mark.parametrize("name", ["list", "object"])
def test_nesting_ends_where_every_reader_can_follow(name: str) -> None:
    deep: Any = 1
    for _ in range(100):
        deep = [deep] if name == "list" else {"x": deep}
    assert dataset_case("x", {"x": deep, "y": 1})
    with pytest.raises(CaseInvalid, match="nested more than 100 deep"):
        dataset_case("x", {"x": [deep]})


def test_endless_nesting_is_refused() -> None:
    deep: Any = 1
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(CaseInvalid, match="nested more than 100 deep"):
        dataset_case("x", {"x": deep})


def test_parts_are_bounded_and_hold_every_case_once_and_in_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "PART_BYTES_MAX", 2_000)
    cases = [dataset_case(str(i), {"x": "ü" * (i * 37 % 600)}) for i in range(50)]
    found = list(parts(facts(cases), cases))
    assert [case for part in found for case in part.cases] == cases
    assert [part.first for part in found] == [
        sum(len(p.cases) for p in found[:i]) for i in range(len(found))
    ]
    assert all(len(value) <= 2_200 for value in encoded(facts(cases), cases))
    assert list(parts(facts(cases), cases)) == found


def test_many_small_cases_are_cut_too_and_a_huge_one_stands_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "PART_CASES_MAX", 4)
    cases = questions(9)
    assert [len(part.cases) for part in parts(facts(cases), cases)] == [4, 4, 1]
    monkeypatch.setattr(module, "PART_BYTES_MAX", 10)
    assert [len(part.cases) for part in parts(facts(cases), cases)] == [1] * 9


def test_a_message_reads_back_as_it_was() -> None:
    cases = questions(2)
    [value] = encoded(facts(cases), cases)
    part = CODEC.decode(value, "DatasetPart")
    assert json.loads(part["cases"][1]["fields"]) == {"question": "question 1", "answer": 1}
