"""docs/endpoints.md: its code runs, its tables are the code's."""

import re
from pathlib import Path
from typing import Any

import orjson
import yaml

from agents.evaluation.runner.adapters import adapters
from agents.evaluation.runner.adapters.base import Question
from agents.evaluation.runner.failures import ERRORS
from infra.scripted_endpoint.play import Call, play
from infra.scripted_endpoint.script import from_mapping
from schemas.suites import PromptMessage

TEXT = (Path(__file__).parents[3] / "docs/endpoints.md").read_text()


def block(language: str, mark: str) -> str:
    """The block of code that holds the mark."""
    found: list[str] = re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)
    return next(code for code in found if mark in code)


def test_the_adapter_of_the_docs_works() -> None:
    names: dict[str, Any] = {}
    exec(compile(block("python", "class Echo"), "docs/endpoints.md", "exec"), names)
    adapter = names["Echo"]()
    question = Question("http://m", "small", (PromptMessage("user", "hi"),), {"n": 1})
    made = adapter.request(question)
    assert (made.url, orjson.loads(made.body)["text"]) == ("http://m/generate", "hi")
    reading = adapter.reading()
    for event in (b'{"token": "a"}', b'{"token": "b", "tokens": 2}', b'{"done": true}'):
        reading.data(event)
    assert (reading.answer().text, reading.answer().output_tokens) == ("ab", 2)
    whole = adapter.reading()
    whole.body(b'{"text": "ab"}')
    assert whole.answer().text == "ab"


def test_the_script_of_the_docs_is_one() -> None:
    script = from_mapping(yaml.safe_load(block("yaml", "seed: 1")))
    call = Call("openai-chat", "good", "What is 2 + 2?")
    rule = script.rule(call.model, call.prompt)
    assert rule is not None
    assert play(script, rule, call, 0).text in {"4", "6"}


def test_every_error_is_in_the_table_with_its_executions() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \|", TEXT, re.MULTILINE)
    assert {name: int(count) for name, count in rows} == {
        name: kind.executions for name, kind in ERRORS.items()
    }


def test_every_api_style_is_in_the_docs() -> None:
    assert all(f"`{style}`" in TEXT for style in adapters())
