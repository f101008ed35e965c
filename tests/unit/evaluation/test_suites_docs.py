"""docs/suites.md: its suite is one, and its table of the standard suites is true."""

import re
from pathlib import Path

from agents.evaluation.suites.standard import standard
from agents.registry.file import parse
from schemas.suites import Dataset, Split, Suite
from tests.support.commands import Registry, change

TEXT = (Path(__file__).parents[3] / "docs" / "suites.md").read_text()
QUIZ = Dataset("acme", "quiz", "1", "0" * 64, 1, ("answer", "question"), (Split("test", 1),))


def test_the_suite_is_accepted() -> None:
    [block] = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    [suite] = parse(block, "docs").entities
    assert isinstance(suite, Suite)
    assert Registry(QUIZ).send(change("create", suite)).facts


def test_the_table_tells_the_number_of_cases_and_the_scorers() -> None:
    told = dict(re.findall(r"^\| ([a-z-]+) \| (\d+) \|", TEXT, re.MULTILINE))
    found = standard("acme")
    assert told == {p.draft.dataset_id: str(len(p.cases)) for p in found.datasets}
    for suite in found.suites:
        [row] = re.findall(rf"^\| {suite.suite_id} \|.*$", TEXT, re.MULTILINE)
        assert all(f"`{use.scorer}`" in row for use in suite.scorers), row
