"""Every case of every standard suite: it can be asked, and answered rightly."""

import json
import re
from collections import Counter
from typing import Any

import pytest

from agents.evaluation.datasets.contents import described
from agents.evaluation.outcome import outcome
from agents.evaluation.render import render
from agents.evaluation.scorers.base import Found, Scorer
from agents.evaluation.scorers.registry import scorer
from agents.evaluation.scorers.run import as_score
from agents.evaluation.suites.standard import Prepared, standard
from schemas.commands import Change
from schemas.entities import Entity
from schemas.suites import Suite
from tests.support.commands import Registry

ALL = standard("acme")
DATASETS = {p.draft.dataset_id: p for p in ALL.datasets}
SUITES = {suite.suite_id: suite for suite in ALL.suites}
FIVE = {
    "text-generation",
    "code-generation",
    "question-answering",
    "summarisation",
    "classification",
}
DIFFICULTIES = {"easy", "medium", "hard"}


def fields_of(dataset_id: str) -> list[dict[str, Any]]:
    return [json.loads(case.fields) for case in DATASETS[dataset_id].cases]


def passes(suite: Suite, fields: dict[str, Any], answer: str) -> bool | None:
    """As the engine scores it."""
    scores = []
    for use in suite.scorers:
        found = scorer(use.scorer)
        assert isinstance(found, Scorer)
        options = found.options.model_validate_json(use.options)
        said = found.score(answer, fields, options)
        assert isinstance(said, Found), said
        scores.append(as_score(use, found.version, said))
    return outcome(scores, suite.scorers, suite.pass_threshold).passed


def test_there_are_the_five_and_humaneval() -> None:
    assert set(SUITES) == set(DATASETS) == FIVE | {"humaneval"}
    assert len(DATASETS["humaneval"].cases) == 164


@pytest.mark.parametrize("prepared", ALL.datasets, ids=lambda p: p.draft.dataset_id)
def test_cases_are_enough_unique_and_alike(prepared: Prepared) -> None:
    assert len(prepared.cases) >= 50
    assert prepared.draft.source
    assert prepared.draft.licence in ("Apache-2.0", "MIT")
    ids = [case.case_id for case in prepared.cases]
    assert len(set(ids)) == len(ids)
    assert len({case.fields for case in prepared.cases}) == len(ids)
    names = {tuple(json.loads(case.fields)) for case in prepared.cases}
    assert len(names) == 1
    assert all(v for case in prepared.cases for v in json.loads(case.fields).values())
    assert described(prepared.draft, prepared.cases).fields == names.pop()


@pytest.mark.parametrize("name", sorted(FIVE))
def test_difficulties_are_told_and_mixed(name: str) -> None:
    found = Counter(tag for c in DATASETS[name].cases for tag in c.tags if tag in DIFFICULTIES)
    assert found.total() == len(DATASETS[name].cases)
    assert min(found[d] for d in DIFFICULTIES) >= 10


def test_the_registry_accepts_all_of_it() -> None:
    entities: list[Entity] = [*(described(p.draft, p.cases) for p in ALL.datasets), *ALL.suites]
    registry = Registry()
    sent = registry.send(*(Change("create", e.key, None, e) for e in entities))
    assert sent.outcome.status == "accepted", sent.outcome.problems


@pytest.mark.parametrize("suite", ALL.suites, ids=lambda s: s.suite_id)
def test_every_prompt_can_be_rendered_and_does_not_give_the_answer_away(suite: Suite) -> None:
    for fields in fields_of(suite.dataset_id):
        text = "\n".join(m.content for m in render(suite, fields))
        for name in ("solution", "answer", "test"):
            value = fields.get(name)
            if isinstance(value, str) and len(value.split()) > 5:
                assert value not in text


@pytest.mark.parametrize("name", ["text-generation", "summarisation", "classification"])
def test_the_reference_passes_and_nonsense_does_not(name: str) -> None:
    suite = SUITES[name]
    for fields in fields_of(suite.dataset_id):
        assert passes(suite, fields, fields["answer"]) is True, fields
        assert passes(suite, fields, "purple") is False, fields


def test_answers_pass_and_follow_from_their_text() -> None:
    suite = SUITES["question-answering"]
    for case in DATASETS["question-answering"].cases:
        fields = json.loads(case.fields)
        for answer in fields["answer"]:
            assert passes(suite, fields, answer) is True, fields
        assert passes(suite, fields, "purple") is False
        if "lookup" in case.tags:
            plain = fields["context"].casefold()
            assert any(a.casefold() in plain for a in fields["answer"]) or re.search(
                r"\d", fields["answer"][0]
            ), fields
    texts: dict[str | None, set[str]] = {}
    for case in DATASETS["question-answering"].cases:
        texts.setdefault(case.cluster, set()).add(json.loads(case.fields)["context"])
    assert len(texts) == 13
    assert all(len(found) == 1 for found in texts.values())


def test_topics_are_balanced_and_those_of_the_scorer() -> None:
    labels = json.loads(SUITES["classification"].scorers[0].options)["labels"]
    found = Counter(fields["answer"] for fields in fields_of("classification"))
    assert found == dict.fromkeys(labels, 12)


def test_summaries_are_much_shorter_than_their_texts() -> None:
    for fields in fields_of("summarisation"):
        words = len(fields["answer"].split())
        assert 5 <= words <= 25, fields["answer"]
        assert words < 0.6 * len(fields["text"].split())


def test_instructions_name_the_words_that_are_required() -> None:
    for fields in fields_of("text-generation"):
        for word in re.findall(r"\\b([a-z]+)\\b", fields["required"]):
            assert word in fields["instruction"].casefold(), (word, fields["instruction"])
        if fields["forbidden"] != "(?!)":
            for word in re.findall(r"\\b([a-z]+)\\b", fields["forbidden"]):
                assert word in fields["instruction"].casefold()


@pytest.mark.parametrize("name", ["code-generation", "humaneval"])
def test_solutions_pass_their_tests_and_empty_ones_do_not(name: str) -> None:
    """In this process: solutions are ours or HumanEval's, and the sandbox has tests of its own."""
    for fields in fields_of(name):
        space: dict[str, Any] = {}
        exec(fields["solution"] + "\n" + fields["test"], space)
        space["check"](space[fields["entry_point"]])
        with pytest.raises(Exception):  # noqa: B017, PT011 - whatever the test makes of it
            space["check"](lambda *_: NotImplemented)
