"""What datasets and suites must be, and what they may become."""

from dataclasses import replace
from typing import Any

import pytest

from schemas.entities import AbTest, Arm, MetricGoal
from schemas.suites import Dataset, GenerationParameters, PromptMessage, ScorerUse, Split, Suite
from tests.support.commands import Registry, change

DATASET = Dataset(
    "acme", "facts", "1", "0" * 64, 3, ("question", "answer"), (Split("dev", 1), Split("test", 2))
)
SUITE = Suite(
    "acme",
    "quiz",
    "1",
    "chat",
    "qa",
    "facts",
    "1",
    (PromptMessage("system", "Be brief."), PromptMessage("user", "{question}")),
    (ScorerUse("exact_match"),),
    "test",
)
TEST = AbTest(
    "acme",
    "sizes",
    "chat",
    "user",
    (Arm("a", "small"), Arm("b", "large")),
    "a",
    (MetricGoal("quality", "primary", "higher"),),
    suite_id="quiz",
    suite_version="1",
)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("content_sha256", "1" * 64),
        ("cases", 4),
        ("fields", ("question",)),
        ("splits", ()),
        ("tags", ("eu",)),
        ("source", "x"),
        ("licence", "CC0-1.0"),
        ("description", "x"),
    ],
)
def test_a_version_of_a_dataset_never_changes(field: str, value: Any) -> None:
    registry = Registry(DATASET)
    changed = replace(DATASET, **{field: value})
    assert [f for f, _ in registry.refusal(change("update", changed))] == [field]
    registry.send(change("delete", DATASET))
    [(_, text)] = registry.refusal(change("create", changed))
    assert "create a new version" in text
    assert registry.send(change("create", DATASET)).facts


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("prompt", (PromptMessage("user", "{question}?"),)),
        ("scorers", (ScorerUse("f1"),)),
        ("parameters", GenerationParameters(0.5)),
        ("split", None),
        ("epochs", 2),
        ("description", "x"),
    ],
)
def test_a_version_of_a_suite_never_changes(field: str, value: Any) -> None:
    registry = Registry(DATASET, SUITE)
    changed = replace(SUITE, **{field: value})
    assert [f for f, _ in registry.refusal(change("update", changed))] == [field]
    assert registry.send(change("create", replace(changed, suite_version="2"))).facts


@pytest.mark.parametrize(
    ("given", "field", "words"),
    [
        ({"dataset_version": "2"}, "dataset_version", "acme has no dataset facts 2"),
        ({"dataset_id": "other"}, "dataset_version", "import it first"),
        ({"org_id": "globex"}, "dataset_version", "globex has no dataset"),
        ({"split": "train"}, "split", "no split 'train'; its splits: dev, test"),
        (
            {"prompt": (PromptMessage("user", "{question} {text}"),)},
            "prompt[0].content",
            "has a field 'text'; all have: question, answer",
        ),
        (
            {"examples": (PromptMessage("user", "{text}"), PromptMessage("assistant", "x"))},
            "examples[0].content",
            "'text'",
        ),
    ],
)
def test_a_suite_needs_its_dataset(given: dict[str, Any], field: str, words: str) -> None:
    [(where, text)] = Registry(DATASET).refusal(change("create", replace(SUITE, **given)))
    assert where == field
    assert words in text


def test_both_may_come_in_one_command_in_any_order() -> None:
    assert Registry().send(change("create", SUITE), change("create", DATASET)).facts


def test_what_others_need_is_not_deleted() -> None:
    registry = Registry(DATASET, SUITE, TEST)
    assert registry.refusal(change("delete", DATASET)) == [("", "the suite quiz 1 asks its cases")]
    assert registry.refusal(change("delete", SUITE)) == [("", "the A/B test sizes runs on it")]
    assert registry.send(change("delete", TEST)).facts
    assert registry.send(change("delete", SUITE), change("delete", DATASET)).facts
    [(field, _)] = registry.refusal(change("restore", SUITE))
    assert field == "dataset_version"


@pytest.mark.parametrize(
    ("given", "field", "words"),
    [
        ({"prompt": (PromptMessage("user", "{question"),)}, "prompt[0].content", "character 1"),
        ({"prompt": (PromptMessage("user", "{a!r}"),)}, "prompt[0].content", "no name"),
        ({"prompt": (PromptMessage("system", "x"),)}, "prompt", "message of the user"),
        ({"examples": (PromptMessage("system", "x"),)}, "examples[0].role", "turns of"),
        ({"scorers": (ScorerUse("f1", options="{"),)}, "scorers[0].options", "is not JSON"),
        ({"scorers": (ScorerUse("f1"), ScorerUse("f1"))}, "scorers[1]", "given twice"),
        ({"scorers": (ScorerUse("f1", 0.0),)}, "scorers", "weight above 0"),
        ({"parameters": GenerationParameters(extra="{]")}, "parameters.extra", "is not JSON"),
        ({"reducer": "pass_at_k"}, "reducer_k", "needs it"),
        ({"reducer_k": 1}, "reducer_k", "mean has no k"),
        ({"reducer": "pass_k", "reducer_k": 2}, "reducer_k", "exceeds the 1 epochs"),
    ],
)
def test_a_suite_that_contradicts_itself(given: dict[str, Any], field: str, words: str) -> None:
    refused = Registry(DATASET).refusal(change("create", replace(SUITE, **given)))
    assert any(where == field and words in text for where, text in refused), refused


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"fields": ("a", "a")}, "fields[1]"),
        ({"splits": (Split("a", 1), Split("a", 1))}, "splits[1]"),
        ({"splits": (Split("a", 4),)}, "splits"),
    ],
)
def test_a_dataset_that_contradicts_itself(given: dict[str, Any], field: str) -> None:
    [(where, _)] = Registry().refusal(change("create", replace(DATASET, **given)))
    assert where == field
