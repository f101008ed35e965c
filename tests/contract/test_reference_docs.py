"""The committed reference pages say what the code says."""

import re
from pathlib import Path

import pytest

from infra.docs.pages import FOLDER, rendered, write
from schemas.catalog import committed
from schemas.opentelemetry import FEEDBACK_EVENT, INFERENCE_EVENT, Counterpart

TEXTS = rendered()


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_a_page_is_not_stale(name: str) -> None:
    path = FOLDER / name
    assert path.exists(), f"{name} is missing; run: make docs"
    assert path.read_text() == TEXTS[name], f"{name} is stale; run: make docs"


def test_there_are_no_pages_of_things_that_are_gone() -> None:
    assert {path.name for path in FOLDER.glob("*.md")} == set(TEXTS)


def test_writing_again_changes_nothing_and_removes_what_is_gone(tmp_path: Path) -> None:
    (tmp_path / "old.md").touch()
    assert len(list(write(tmp_path))) == len(TEXTS)
    assert list(write(tmp_path)) == []
    assert not (tmp_path / "old.md").exists()


def test_links_between_pages_lead_somewhere() -> None:
    for name, text in TEXTS.items():
        for target in re.findall(r"\]\((?!https?:)([^)]+)\)", text):
            page, _, anchor = target.partition("#")
            assert page in TEXTS, f"{name} links to {target}"
            assert not anchor or f"\n## {anchor}\n" in TEXTS[page].lower(), f"{name}: {target}"


def test_opentelemetry_names_cover_every_field() -> None:
    fields = [f["name"] for f in committed().newest("InferenceEvent").source["fields"]]
    assert list(INFERENCE_EVENT) == fields
    feedback = {f["name"] for f in committed().newest("FeedbackEvent").source["fields"]}
    assert feedback - set(fields) - {"observed_at"} == set(FEEDBACK_EVENT)


@pytest.mark.parametrize("found", [*INFERENCE_EVENT.values(), *FEEDBACK_EVENT.values()])
def test_what_is_ours_is_named_so(found: Counterpart) -> None:
    assert found.name.startswith("rheostat.") == (found.kind == "ours")
