"""The views as text: what has to be readable at 80x24, and what plain lines say."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from infra.demo.feed import Bulletin
from infra.demo.lines import Lines
from infra.demo.state import Picture
from infra.demo.svg import save
from infra.demo.view import render
from schemas.records import AbVerdict, SelectionUpdate
from tests.support.demo import GPT, MIXTRAL, picture, selection
from tests.support.verdicts import verdict

STORY: tuple[SelectionUpdate | AbVerdict, ...] = (
    selection("gsm8k", MIXTRAL, 1, "first of the fallback order"),
    selection("gsm8k", GPT, 9, "its lower bound exceeds the score of the other"),
    verdict(5),
    verdict(100),
    verdict(700, "decided", "gpt4"),
)


def text(shown: Picture, width: int = 80, height: int = 24) -> list[str]:
    console = Console(
        record=True, width=width, height=height, file=io.StringIO(), color_system=None
    )
    console.print(render(shown, width, height), height=height)
    return console.export_text().splitlines()


def test_everything_asked_for_is_readable_on_80_by_24() -> None:
    lines = text(picture(*STORY))
    whole = "\n".join(lines)
    assert len(lines) == 24
    assert max(map(len, lines)) <= 80
    for expected in (
        "28:38 of 57:16 at 60x",
        "sent    7,126 162/s",
        "counted 7,004 158/s lag 6",
        "stored  6,890       lag 120",
        "10 unknown_schema",
        "mixtral-8x7b-instruct    3,020    0.679   0.3%   640 ms 2,110 ms       1.46",
        "A/B test gpt4-for-law: decided  mixtral 700 : gpt4 700  gpt4 wins",
        "gsm8k mixtral → gpt-4 90%",
        "its lower bound exceeds the score of the other",
        "1 subjects, 2 updates, 1 with a new leader",
        "latency and timeouts are derived",
    ):
        assert expected in whole, expected


def test_what_is_not_measured_is_a_dash_and_not_zero() -> None:
    gpt = next(line for line in text(picture(*STORY)) if GPT in line)
    assert gpt.rstrip("│ ").endswith("–")


def test_nothing_yet_is_said_and_not_drawn() -> None:
    whole = "\n".join(text(picture(models=False)))
    for expected in ("nothing counted yet", "collecting", "no selection published yet"):
        assert expected in whole


def test_too_few_events_show_the_note_instead_of_an_interval() -> None:
    quality = next(line for line in text(picture(verdict(5))) if "quality    " in line)
    assert "too few events" in quality
    assert "●" not in quality


def test_the_bar_lies_right_of_zero_when_better_whatever_the_direction() -> None:
    lines = text(picture(*STORY), 100)
    quality = next(line for line in lines if "+0.190" in line)
    latency = next(line for line in lines if "+1,030" in line)
    assert quality.index("┃") < quality.index("●")
    assert latency.index("●") < latency.index("┃")
    assert "━" not in latency[latency.index("┃") :]
    assert "━" not in quality[: quality.index("┃")]


def test_the_interval_is_seen_to_shrink() -> None:
    def bar(*events: int) -> int:
        lines = text(picture(*(verdict(n) for n in events)), 120)
        return next(line for line in lines if "+0.190" in line).count("━")

    assert bar(20) > bar(20, 60) > bar(20, 60, 150) > 0


def test_an_invalid_test_says_so() -> None:
    assert "invalid" in "\n".join(text(picture(verdict(100, "invalid"))))


@pytest.mark.parametrize("size", [(60, 20), (80, 24), (100, 30), (126, 36), (200, 60)])
def test_any_size_is_filled_and_never_exceeded(size: tuple[int, int]) -> None:
    lines = text(picture(*STORY), *size)
    assert len(lines) == size[1]
    assert max(map(len, lines)) <= size[0]


def test_the_svg_needs_nothing_from_elsewhere(tmp_path: Path) -> None:
    path = tmp_path / "images" / "demo.svg"
    save(picture(*STORY), path)
    drawn = path.read_text()
    assert "gpt4-for-law" in drawn.replace("&#160;", " ")
    assert "url(http" not in drawn
    assert "@font-face" not in drawn


def test_lines_say_what_changed_once() -> None:
    lines = Lines()
    said = list(lines.since(picture(*STORY)))
    assert said[0].startswith(f"selection gsm8k: {GPT} leads; its lower bound")
    assert said[1] == "A/B test gpt4-for-law: decided; gpt4 is better"
    assert "sent 7,126 (162/s)  counted 7,004  stored 6,890  dead letters 19" in said[2]
    assert "quality +0.190 [" in said[2]
    assert list(lines.since(picture(*STORY))) == []


def test_changes_are_who_serves_and_how_much_of_one_organisation() -> None:
    bulletin = Bulletin("demo")
    for record in (
        selection("gsm8k", MIXTRAL, 1),
        selection("gsm8k", MIXTRAL, 2, "other numbers"),
        selection("gsm8k", None, 3),
        selection("gsm8k", GPT, 4),
        selection("gsm8k", GPT, 5, org_id="other"),
    ):
        bulletin.take(record)
    news = bulletin.news()
    assert [(c.before, c.leader_id, c.takes_over) for c in news.changes] == [
        (None, MIXTRAL, False),
        (MIXTRAL, "nobody", True),
        ("nobody", GPT, True),
    ]
    assert news.updates == 4
    assert news.changes[1].why == "no candidate"
