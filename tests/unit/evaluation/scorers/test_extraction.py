"""Numbers, choices, labels and JSON found in what models write around them."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from agents.evaluation.scorers import choices, labels
from agents.evaluation.scorers.fences import blocks, code
from agents.evaluation.scorers.labels import pair
from agents.evaluation.scorers.numbers import NumericOptions, numbers
from agents.evaluation.scorers.registry import scorer
from tests.support.scorers import reason, said, value


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The total is $1,234.50.", [1234.5]),
        ("-3 or −4 or +5", [-3, -4, 5]),
        ("5 - 3 = 2", [5, 3, 2]),
        ("2020-21", [2020, 21]),
        ("GPT-4", [4]),
        ("1,2,3", [1, 2, 3]),
        ("12,345,678 and 1234,567", [12345678, 1234, 567]),
        ("12’000", [12000]),
        (r"so \boxed{\frac{3}{4}}, not 7", [0.75]),
        ("3/4", [0.75]),
        ("10 / 0", []),
        ("1.5e3 m", [1500]),
        ("12 %", [12]),
        ("2 million people", [2e6]),
        ("3k", [3000]),
        ("3 m", [3]),
        ("3 M", [3e6]),
        ("-$5", [-5]),
        (".5", [0.5]),
        ("1e400", []),
        ("#### 42", [42]),
        ("none", []),
        ("", []),
    ],
)
def test_numbers(text: str, found: list[float]) -> None:
    assert [n.value for n in numbers(text, NumericOptions())] == pytest.approx(found)


@pytest.mark.parametrize(
    ("answer", "options", "expected"),
    [
        ("It is 1,000.0000001", {}, 1.0),
        ("1000 of 2000", {}, 0.0),
        ("1000 of 2000", {"pick": "first"}, 1.0),
        ("1000 of 2000", {"pick": "any"}, 1.0),
        ("1000 of 2000", {"pick": "only"}, 0.0),
        ("1000, yes, 1000", {"pick": "only"}, 1.0),
        ("990", {"relative": 0.01}, 1.0),
        ("989", {"relative": 0.01}, 0.0),
        ("1005", {"absolute": 5}, 1.0),
        ("1 km", {"units": {"km": 1000}}, 1.0),
        ("1.000,0", {"decimal": ","}, 1.0),
        ("no idea", {}, 0.0),
    ],
)
def test_numeric(answer: str, options: dict[str, Any], expected: float) -> None:
    assert value("numeric", answer, options, answer=1000) == expected


def test_percent_and_references() -> None:
    assert value("numeric", "12%", {"percent": "fraction"}, answer=0.12) == 1.0
    assert value("numeric", "0.75", answer=["3/4", "7"]) == 1.0
    assert "holds no number" in reason("numeric", "1", answer="many")


CHOICES = ["large", "very large", "Paris", "a cat"]


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("B", "B"),
        ("(b)", "B"),
        ("**B**", "B"),
        ("The answer is (C).", "C"),
        ("Answer: **D**", "D"),
        ("Option A is wrong, so the correct answer is B.", "B"),
        (r"$\boxed{B}$", "B"),
        ("B) very large", "B"),
        ("I think it is very large", "B"),
        ("Paris", "C"),
        ("A cat is nice", "D"),
        ("A or B", None),
        ("A. large\nB. small", "A"),
        ("", None),
        ("I do not know", None),
    ],
)
def test_choices(answer: str, letter: str | None) -> None:
    found = choices.extract(answer, dict(zip("ABCD", CHOICES, strict=True)))
    if answer.startswith("A. large"):
        # Two lines name two letters; of the texts only one stands there.
        assert found == "A"
        return
    assert found == letter


@pytest.mark.parametrize("reference", ["B", "(b)", "very large", 1])
def test_the_right_choice_is_a_letter_a_text_or_an_index(reference: object) -> None:
    assert value("multiple_choice", "B", choices=CHOICES, answer=reference) == 1.0
    assert value("multiple_choice", "A", choices=CHOICES, answer=reference) == 0.0


def test_multiple_choice_that_cannot_be_judged() -> None:
    assert "none of the choices" in reason("multiple_choice", "A", choices=CHOICES, answer="red")
    assert "no list of 2 to 26 choices" in reason("multiple_choice", "A", answer="A")
    assert value("multiple_choice", "A", {"choices": None}, answer="A") == 1.0
    found = said("multiple_choice", "dunno", choices=CHOICES, answer="A")
    assert (getattr(found, "value", None), getattr(found, "label", None)) == (0.0, "none")


WORDS = {"positive": (), "negative": ("bad",), "not toxic": (), "toxic": ()}


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("Positive.", "positive"),
        ("Sentiment: bad", "negative"),
        ("It is not toxic", "not toxic"),
        ("toxic", "toxic"),
        ("negative or positive?", None),
        ("I'd say\npositive", "positive"),
        ("**Label:** negative\nas it is not positive", "negative"),
        ("", None),
    ],
)
def test_labels(answer: str, label: str | None) -> None:
    assert labels.extract(answer, WORDS) == label


def test_classification() -> None:
    options = {"labels": ["spam", "ham"]}
    found = said("classification", "It is ham", options, answer="SPAM")
    assert (getattr(found, "value", None), getattr(found, "label", None)) == (0.0, "spam → ham")
    assert pair("spam → ham") == ("spam", "ham")
    assert pair(getattr(said("classification", "?", options, answer="ham"), "label", None)) == (
        "ham",
        None,
    )
    assert pair("else") is None
    assert "none of the labels" in reason("classification", "ham", options, answer="eggs")
    assert value(
        "classification", "ham", {"labels_field": "all"}, all=["spam", "ham"], answer="ham"
    )


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"labels": ["one"]}, "two labels at least"),
        ({"labels": ["a b", "A-B", "AB!"]}, "have to differ"),
        ({"labels": ["x → y", "z"]}, "no label may be"),
        ({}, "either labels or labels_field"),
    ],
)
def test_label_options(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        scorer("classification").options.model_validate(options)


def test_fences() -> None:
    text = "a\n```python\nx = 1\n```\nb\n~~~~\ny\n~~~~\n```json\n{}"
    assert blocks(text) == [("python", "x = 1\n"), ("", "y\n"), ("json", "{}")]
    assert code(text, frozenset({"python"})) == "x = 1\n"
    assert code("x = 1", frozenset({"python"})) == "x = 1"
    assert code("```\ny\n```", frozenset({"python"})) == "y\n"


SCHEMA = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}


@pytest.mark.parametrize(
    ("answer", "within", "expected", "label"),
    [
        ('{"n": 1}', "whole", 1.0, "valid"),
        ('{"n": "1"}', "whole", 0.0, "invalid"),
        ('Here:\n```json\n{"n": 1}\n```', "fenced", 1.0, "valid"),
        ('Here:\n```json\n{"n": 1}\n```', "whole", 0.0, "no JSON"),
        ('It is {"n": 1}, I think', "fenced", 0.0, "no JSON"),
        ('It is {"n": 1}, I think', "anywhere", 1.0, "valid"),
        ('{"n": NaN}', "whole", 0.0, "no JSON"),
        ('{"n": 1, "n": 2}', "whole", 0.0, "no JSON"),
        ('{"n": 1', "whole", 0.0, "no JSON"),
        ("", "anywhere", 0.0, "no JSON"),
        ("[" * 100_000, "anywhere", 0.0, "no JSON"),
        ('{"n": ' + "9" * 10_000 + "}", "whole", 0.0, "no JSON"),
    ],
)
def test_json_schema(answer: str, within: str, expected: float, label: str) -> None:
    found = said("json_schema", answer, {"schema": SCHEMA, "within": within})
    assert (getattr(found, "value", None), getattr(found, "label", None)) == (expected, label)


def test_schemas_that_cannot_judge() -> None:
    with pytest.raises(ValidationError, match="no JSON schema"):
        scorer("json_schema").options.model_validate({"schema": {"type": "strange"}})
    with pytest.raises(ValidationError, match="either schema or schema_field"):
        scorer("json_schema").options.model_validate({})
    assert "no JSON schema" in reason("json_schema", "1", {"schema_field": "s"}, s={"type": 1})
    assert "a schema is an object" in reason("json_schema", "1", {"schema_field": "s"})
    remote = {"schema": {"$ref": "http://192.0.2.1/schema.json"}}
    assert "which it does not hold" in reason("json_schema", "1", remote)
    deep: dict[str, Any] = {"$ref": "#/$defs/a", "$defs": {"a": {"items": {"$ref": "#/$defs/a"}}}}
    nested = json.dumps(1)
    for _ in range(300):
        nested = f"[{nested}]"
    assert said("json_schema", nested, {"schema": deep})
