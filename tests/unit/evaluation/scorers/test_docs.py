"""The page on scorers names every scorer with its version and every option; its code runs."""

import re
import textwrap
from pathlib import Path
from typing import Any

import pytest

from agents.evaluation.scorers.base import Absent, Found, Scorer
from agents.evaluation.scorers.registry import OURS, scorer
from agents.evaluation.scorers.run import judge

PAGE = (Path(__file__).parents[4] / "docs/scorers.md").read_text()
ROWS = dict(re.findall(r"^\| `(\w+)` \| .* \| (.*) \|$", PAGE, re.MULTILINE))


def test_every_scorer_has_its_row() -> None:
    assert set(ROWS) == set(OURS)
    assert {scorer(name).version for name in OURS} == {"1"}, "the page says: all of version 1"


@pytest.mark.parametrize("name", sorted(OURS))
def test_every_option_stands_in_its_row(name: str) -> None:
    fields = scorer(name).options.model_fields
    known = {field.alias or option for option, field in fields.items()}
    row = ROWS[name]
    named = set(re.findall(r"`(\w+)`", row)) | ({"reference"} if "reference" in row else set())
    assert named == known


def test_the_scorer_of_ones_own_runs() -> None:
    start = PAGE.index("    from agents.evaluation.scorers.base import Absent")
    block = PAGE[start : PAGE.index("\nInstall it in the same environment", start)]
    names: dict[str, Any] = {"__name__": "my_scorers"}
    exec(compile(textwrap.dedent(block), "docs/scorers.md", "exec"), names)
    found = names["cites_sources"]
    assert isinstance(found, Scorer)
    options = found.options.model_validate({"at_least": 2})
    cited = judge(found, options, "see [1] and [2]", {"sources": ["[1]", "[2]"]})
    assert cited == Found(1.0, explanation="2 sources are cited")
    assert isinstance(judge(found, options, "x", {}), Absent)
