"""How often ClickHouse is asked for the units of a test."""

from datetime import UTC, datetime
from typing import Any

import pytest

from agents import units
from agents.ab_parts import Followed, TrialKey
from agents.policy.units import ABSENT
from schemas.entities import AbTest, Analysis, Arm, MetricGoal


def periods_s(analysis: Analysis, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    arms = (Arm("old", "a", 0.5), Arm("new", "b", 0.5))
    goals = (MetricGoal("quality", "primary", "higher"),)
    test = AbTest("acme", "law", "chat", "user", arms, "old", goals, analysis=analysis)
    monkeypatch.setattr(units, "findings", lambda *_: ABSENT)
    clickhouse: Any = None
    reader = units.UnitReader(clickhouse)
    return [
        reader._ask(Followed(TrialKey("acme", "law"), test, datetime.now(UTC))) for _ in range(7)
    ]


def test_a_young_test_by_events_is_asked_for_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    assert periods_s("events", monkeypatch) == [10, 20, 40, 80, 160, 300, 300]


def test_a_verdict_by_units_rests_on_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    assert periods_s("units", monkeypatch) == [10] * 7
