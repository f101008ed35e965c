"""Differences of datasets and suites, as people read them."""

from dataclasses import replace

import pytest
from rich.console import Console

from infra.datasets import differing
from infra.differences import differences, readable
from schemas.suites import GenerationParameters, ScorerUse, Split
from tests.support.runs import DATASET, T0


def printed(*found: object) -> str:
    console = Console(width=80)
    with console.capture() as said:
        console.print(differences(found))  # type: ignore[arg-type]
    return said.get()


def test_splits_of_datasets_are_compared_by_their_names() -> None:
    before = replace(DATASET, splits=(Split("dev", 1000), Split("old", 1)), licence="MIT")
    after = replace(DATASET, splits=(Split("test", 20), Split("dev", 2000)), licence="MIT")
    found = differing(before, after)
    assert [(d.field, d.before, d.after) for d in found] == [
        ("split dev", "1,000 cases", "2,000 cases"),
        ("split old", "1 case", None),
        ("split test", None, "20 cases"),
    ]
    rows = [line.split("  ")[0] for line in printed(*found).splitlines()]
    assert "split test" in printed(*found)
    assert not any("Split(" in row for row in rows)
    assert differing(before, before) == ()
    assert printed() == "no difference\n"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        ((), "none"),
        (("a", "b"), "a, b"),
        (3, "3"),
        (T0, "2026-11-24T12:00:00+00:00"),
        (ScorerUse("f1", 0.5), "scorer f1, weight 0.5, options {}"),
        (GenerationParameters(seed=1, stop=("x",)), "seed 1, stop x, extra {}"),
    ],
)
def test_values_are_told_in_words(value: object, text: str) -> None:
    assert readable(value) == text
