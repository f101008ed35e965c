"""What is read for which stretch and step, and which questions are refused."""

from datetime import UTC, datetime, timedelta

import pytest

from api.problems import Problem
from api.spans import POINTS_MAX, Stretch, cut, whole

NOW = datetime(2026, 11, 24, 12, 34, 56, tzinfo=UTC)


def ago(**passed: float) -> datetime:
    return NOW - timedelta(**passed)


def test_a_month_is_read_by_the_hour_and_a_day_by_the_pane() -> None:
    assert whole(ago(days=30), None, NOW).resolution == "hour"
    assert whole(ago(days=1), None, NOW).resolution == "pane"
    assert cut(ago(days=30), None, 3600, 1, NOW).resolution == "hour"
    assert cut(ago(days=2), None, 600, 1, NOW).resolution == "pane"


def test_ends_are_rounded_outwards_to_whole_steps() -> None:
    found = cut(ago(hours=2), NOW, 300, 1, NOW)
    assert found.since <= ago(hours=2)
    assert found.until >= NOW
    assert (found.since_s % 300, found.until_s % 300) == (0, 0)
    assert found.until_s - found.since_s <= 7200 + 600
    outer = whole(ago(days=30), NOW, NOW)
    assert (outer.since_s % 3600, outer.until_s % 3600) == (0, 0)


def test_without_a_step_there_are_about_a_hundred() -> None:
    for days in (0.05, 1, 7, 30, 700):
        found = cut(ago(days=days), None, None, 7, NOW)
        steps = (found.until_s - found.since_s) // found.step_s
        assert 2 <= steps <= 130, days


@pytest.mark.parametrize("lines", [1, 7, 140])
def test_too_many_points_are_refused_with_a_step_that_works(lines: int) -> None:
    with pytest.raises(Problem) as refused:
        cut(ago(days=60), None, 10, lines, NOW)
    assert refused.value.status == 422
    assert refused.value.errors[0].field == "step"
    step = int(refused.value.detail.partition("step=")[2].split()[0])
    found = cut(ago(days=60), None, step, lines, NOW)
    assert (found.until_s - found.since_s) // step * lines <= POINTS_MAX


@pytest.mark.parametrize(
    ("since", "until", "step", "field"),
    [
        (NOW, NOW, None, "from"),
        (NOW.replace(tzinfo=None), None, None, "from"),
        (None, NOW.replace(tzinfo=None), None, "to"),
        (datetime(1960, 1, 1, tzinfo=UTC), None, None, "from"),
        (ago(hours=1), NOW, 15, "step"),
        (ago(days=200), ago(days=199), 600, "step"),
    ],
)
def test_what_cannot_be_is_refused_by_field(
    since: datetime | None, until: datetime | None, step: int | None, field: str
) -> None:
    with pytest.raises(Problem) as refused:
        cut(since, until, step, 1, NOW)
    assert (refused.value.status, refused.value.errors[0].field) == (422, field)


def test_the_default_is_the_last_day() -> None:
    found = whole(None, None, NOW)
    assert found == Stretch(found.since_s, found.until_s, 0, "pane")
    assert found.until_s - found.since_s == pytest.approx(86_400, abs=20)
