"""Templates: what is put where, and that nothing else can be reached through them."""

from dataclasses import replace
from typing import Any

import pytest

from agents.evaluation.render import (
    PROMPT_CHARS_MAX,
    MissingVariable,
    PromptTooLong,
    TemplateInvalid,
    render,
    variables,
)
from schemas.suites import PromptMessage, ScorerUse, Suite

SUITE = Suite(
    "acme",
    "facts",
    "1",
    "chat",
    "qa",
    "facts",
    "1",
    (PromptMessage("system", "Be brief."), PromptMessage("user", "{question}")),
    (ScorerUse("exact_match"),),
    examples=(PromptMessage("user", "1 + 1?"), PromptMessage("assistant", "2")),
)


def filled(template: str, **fields: Any) -> str:
    [message] = render(
        replace(SUITE, prompt=(PromptMessage("user", template),), examples=()), fields
    )
    return message.content


def test_examples_stand_between_the_system_message_and_the_case() -> None:
    assert [(m.role, m.content) for m in render(SUITE, {"question": "2 + 2?"})] == [
        ("system", "Be brief."),
        ("user", "1 + 1?"),
        ("assistant", "2"),
        ("user", "2 + 2?"),
    ]


def test_an_assistant_message_after_the_case_stays_there() -> None:
    prefilled = replace(SUITE, prompt=(*SUITE.prompt, PromptMessage("assistant", "The answer:")))
    assert [m.role for m in render(prefilled, {"question": "?"})][-2:] == ["user", "assistant"]


def test_texts_go_in_as_they_are_and_other_values_as_json() -> None:
    assert filled("{a}|{b}|{c}", a='ü "x"', b=[1, "ü"], c=False) == 'ü "x"|[1, "ü"]|false'
    assert filled("{a}", a="") == ""


def test_doubled_braces_are_braces() -> None:
    assert filled('{{"answer": "{a}"}}', a="x") == '{"answer": "x"}'
    assert filled("{{{a}}}", a="x") == "{x}"
    assert filled("{{a}}", a="x") == "{a}"


def test_a_value_is_never_read_as_a_template() -> None:
    assert filled("{a}{b}", a="{b}", b="{{a}}") == "{b}{{a}}"


def test_a_missing_variable_names_itself_and_the_fields_there_are() -> None:
    with pytest.raises(MissingVariable, match=r"no field 'text'; it has: question, id") as caught:
        filled("{text}", question="?", id=1, nothing=None)
    assert caught.value.variable == "text"
    assert caught.value.fields == ("question", "id")
    with pytest.raises(MissingVariable, match="'nothing'"):
        filled("{nothing}", nothing=None)


@pytest.mark.parametrize(
    "template",
    [
        "{a.__class__}",  # a name like any other, of a field that is not there
        "{a.__class__.__mro__}",
    ],
)
def test_attributes_cannot_be_reached(template: str) -> None:
    with pytest.raises(MissingVariable):
        filled(template, a="x")


@pytest.mark.parametrize(
    ("template", "at"),
    [
        ("{a!r}", 1),
        ("{a:>1000000000}", 1),
        ("{a[0]}", 1),
        ("{}", 1),
        ("{0}", 1),
        ("{ a }", 1),
        ("x { y", 3),
        ("x } y", 3),
        ("{a{b}}", 1),
        ("{" + "a" * 200 + "}", 1),
        ("ok {a} then {\n}", 13),
    ],
)
def test_what_is_no_variable_is_refused_with_its_place(template: str, at: int) -> None:
    with pytest.raises(TemplateInvalid, match=f"at character {at};") as caught:
        filled(template, a="x", b="y")
    assert caught.value.at == at - 1


def test_a_short_template_cannot_make_an_endless_prompt() -> None:
    with pytest.raises(PromptTooLong, match="longer than"):
        filled("{a}" * 30_000, a="x" * 100_000)
    half = PROMPT_CHARS_MAX // 2 + 1
    two = replace(SUITE, prompt=(PromptMessage("user", "{a}"), PromptMessage("user", "{a}")))
    with pytest.raises(PromptTooLong):
        render(two, {"a": "x" * half})


def test_variables_are_named_once_and_in_order() -> None:
    assert variables("{b} {{c}} {a}{b}") == ("b", "a")
