"""The differences by periods beside a verdict: never in its way, and asked of ClickHouse rarely."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from rich.console import Console

from agents import ab_results, ab_versions
from agents.ab_results import STRETCHES_MAX
from agents.ab_versions import VERSIONS_MAX, TestVersion, weights_changed
from infra.ab import Known, Shown
from infra.ab_show import results_lines
from schemas.entities import AbTest, Allocation, Arm
from schemas.records import RegistryFact
from sinks import ab_history
from sinks.ab_panes import StretchSum
from sinks.clickhouse import ClickHouse
from sinks.errors import Backpressure
from tests.support.api import Api, EmptyClickHouse
from tests.support.commands import NOW
from tests.support.trials import TEST
from tests.support.verdicts import verdict

VERDICT = replace(verdict(500), org_id=TEST.org_id, ab_test_id=TEST.ab_test_id)
RESULTS = f"/ab-tests/{TEST.ab_test_id}/results/"


def weighed(share: int) -> AbTest:
    return replace(TEST, arms=(Arm("a", "small", 1), Arm("b", "large", share)))


def history(changes: int) -> list[TestVersion]:
    """Every ten minutes other weights."""
    return [
        TestVersion(1 + i, NOW + timedelta(minutes=10 * i), weighed(1 + i % 2))
        for i in range(changes + 1)
    ]


class Stored:
    """Versions and panes that ClickHouse gives, and how often it was asked."""

    def __init__(self) -> None:
        self.versions = history(1)
        self.asked: list[str] = []
        self.error: Exception | None = None

    def history(self, clickhouse: ClickHouse, test: AbTest) -> list[TestVersion]:
        self.asked.append("versions")
        if self.error is not None:
            raise self.error
        return self.versions

    def panes(
        self, clickhouse: ClickHouse, org_id: str, ab_test_id: str, starts_s: Sequence[int]
    ) -> list[StretchSum]:
        self.asked.append("panes")
        return []


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> Stored:
    found = Stored()
    monkeypatch.setattr(ab_versions, "versions", found.history)
    monkeypatch.setattr(ab_results, "by_stretch", found.panes)
    monkeypatch.setattr(ab_history, "newest", lambda *_: VERDICT)
    monkeypatch.setattr(ab_history, "began_ms", lambda *_: None)
    return found


@pytest.fixture
def api(known: Stored) -> Api:
    made = Api(clickhouse=EmptyClickHouse)
    made.put(TEST)
    return made


def results(api: Api) -> dict[str, Any]:
    answer = api.client("viewer", TEST.org_id).get(RESULTS, params={"health": False})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    assert found["verdict"]["recommendation"] == "keep_going"
    return found


@pytest.mark.parametrize("error", [Backpressure("ClickHouse is full"), ZeroDivisionError()])
def test_the_verdict_is_told_when_periods_fail(api: Api, known: Stored, error: Exception) -> None:
    known.error = error
    found = results(api)
    assert found["periods"] is None
    assert ("ClickHouse is full" in found["why_no_periods"]) == isinstance(error, Backpressure)
    known.error = None
    api.forward(seconds=61)
    assert results(api)["periods"]["changes"] == 1


def test_periods_are_counted_once_a_while(api: Api, known: Stored) -> None:
    assert results(api)["why_no_periods"] is None
    assert results(api)["periods"]["changes"] == 1
    assert known.asked == ["versions", "panes"]
    api.forward(seconds=61)
    results(api)
    assert known.asked == ["versions", "panes"] * 2


def test_more_changes_than_a_question_can_carry_are_told_and_not_computed(
    api: Api, known: Stored
) -> None:
    most = STRETCHES_MAX // 2 - 1
    known.versions = history(most)
    assert results(api)["periods"]["changes"] == most
    api.forward(hours=1)
    known.versions, known.asked = history(most + 1), []
    found = results(api)
    assert found["periods"] is None
    assert found["why_no_periods"].startswith("weights changed 1,000 times")
    assert known.asked == ["versions"]


def test_a_history_that_is_lost_or_too_long_is_told(
    known: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    def why(versions: list[TestVersion]) -> str | None:
        known.versions = versions
        found = ab_results.online(ClickHouse("http://127.0.0.1:1"), TEST, VERDICT)
        assert (found.verdict, found.periods) == (VERDICT, None)
        return found.why_no_periods

    assert "does not know the first version" in (why(history(1)[1:]) or "")
    assert "does not know the first version" in (why([]) or "")
    assert why(history(0)) is None
    monkeypatch.setattr(ab_versions, "stretches", None)
    assert "more than 19,999 versions" in (why(history(0) * VERSIONS_MAX) or "")


def test_the_terminal_shows_the_verdict_and_why_there_are_no_periods(known: Stored) -> None:
    known.error = Backpressure("ClickHouse is full")
    found = ab_results.online(ClickHouse("http://127.0.0.1:1"), TEST, VERDICT)
    fact = RegistryFact(1, "me", NOW, "c", TEST)
    console = Console(record=True, width=200)
    for line in results_lines(Shown(Known(fact, TEST, VERDICT), found)):
        console.print(line)
    shown = console.export_text()
    assert "keep going" in shown
    assert "The differences by periods are not known: ClickHouse is full." in shown


def test_no_digit_is_cut_in_a_terminal_of_80_columns(known: Stored) -> None:
    (compared, *_) = VERDICT.comparisons
    long = replace(
        compared,
        metric="cost_usd",
        mean_arm=-0.0014491,
        mean_baseline=-0.00048873,
        difference=-0.00096033,
        anytime_lower=-0.00099495,
        anytime_upper=-0.00092571,
        anytime_p_value=8.9003e-308,
        adjusted_p_value=8.9004e-308,
        note="a note of many words that would otherwise leave no room for the numbers",
    )
    shown = ab_results.online(ClickHouse("http://127.0.0.1:1"), TEST, VERDICT)
    shown = replace(shown, verdict=replace(VERDICT, comparisons=(long,)))
    console = Console(record=True, width=80)
    fact = RegistryFact(1, "me", NOW, "c", TEST)
    for line in results_lines(Shown(Known(fact, TEST, VERDICT), shown)):
        console.print(line)
    text = console.export_text()
    for number in ("-0.001449", "-0.0004887", "-0.0009603", "[-0.000995,", "-0.0009257]"):
        assert number in text
    assert text.count("8.9e-308") == 2


def test_weights_changed_where_they_did_while_the_test_ran(known: Stored) -> None:
    nowhere = ClickHouse("http://127.0.0.1:1")
    assert weights_changed(nowhere, TEST) is True
    draft, *others = known.versions
    known.versions = [replace(draft, test=replace(draft.test, status="draft")), *others]
    assert weights_changed(nowhere, TEST) is False, "it was a draft with other weights"
    twice = replace(TEST, arms=tuple(replace(arm, weight=arm.weight * 2) for arm in TEST.arms))
    known.versions = [replace(draft, test=TEST), replace(others[0], test=twice)]
    assert weights_changed(nowhere, TEST) is False, "shares are the same"
    known.versions = others
    assert weights_changed(nowhere, TEST) is None
    known.asked = []
    assert weights_changed(nowhere, replace(TEST, allocation=Allocation("thompson"))) is None
    assert not known.asked
