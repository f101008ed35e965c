"""Alerts: one an episode, at a known rate of false ones."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import pytest

from agents.policy.alerts import (
    CALM_MINUTES,
    EPISODE_MINUTES,
    LENGTH_MS,
    Scene,
    Watch,
    dump_watch,
    judge,
    load_watch,
)
from agents.policy.contributions import ModelKey, Place
from agents.policy.shifts import KINDS, WINDOW_MS, NoShift, Shift, compare, level
from agents.policy.sums import Sums, Tally
from agents.policy.window import Window
from schemas.records import Alert
from streams.sketch import keys

PLACE, MODEL = Place("acme", "chat"), ModelKey("small", "1")
BEGIN_MS = 1_790_000_040_000 // WINDOW_MS * WINDOW_MS
NOW = datetime(2026, 6, 1, tzinfo=UTC)


def minute(
    rng: np.random.Generator, n: int = 200, error_rate: float = 0.02, factor: float = 1.0
) -> Tally:
    latencies = rng.lognormal(5, 0.6, n) * factor
    bins: dict[int, int] = {}
    for key in keys(latencies).tolist():
        bins[key] = bins.get(key, 0) + 1
    return Tally(n, int(rng.binomial(n, error_rate)), Sums(n), Sums(), Sums(), bins)


@dataclass
class Story:
    """Minutes of traffic, told one after the other; always the same numbers."""

    window: Window = field(default_factory=Window)
    watch: Watch = field(default_factory=Watch)
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(20260601))
    told: int = 0
    alerts: list[Alert] = field(default_factory=list)

    def tell(self, minutes: int, error_rate: float = 0.02, factor: float = 1.0) -> list[Alert]:
        """The alerts of these minutes. The last one stays open until the next is told."""
        before = len(self.alerts)
        for _ in range(minutes):
            at = BEGIN_MS + self.told * WINDOW_MS
            rows = {at: {MODEL: minute(self.rng, 200, error_rate, factor)}}
            self.window.apply(rows, self.told, LENGTH_MS, at + 10**9)
            rows = {at + WINDOW_MS - 10_000: {MODEL: Tally()}}
            self.window.apply(rows, self.told, LENGTH_MS, at + 10**9)
            self.alerts += judge(Scene(PLACE, self.window, self.watch, 8, NOW))
            self.told += 1
        return self.alerts[before:]


def test_a_rise_of_errors_is_one_alert_with_its_numbers() -> None:
    story = Story()
    assert story.tell(20) == []
    raised = story.tell(10, error_rate=0.2)
    assert [a.kind for a in raised] == ["error_rate"]
    alert = raised[0]
    assert alert.org_id == "acme"
    assert (alert.capability, alert.model_id) == ("chat", "small")
    assert alert.value == pytest.approx(0.2, abs=0.1)
    assert alert.expected == pytest.approx(0.02, abs=0.01)
    assert alert.p_value is not None
    assert alert.p_value < level(8)
    assert alert.window_start == datetime.fromtimestamp(BEGIN_MS / 1000 + 20 * 60, UTC)


def test_slower_calls_are_an_alert_and_faster_ones_are_not() -> None:
    story = Story()
    story.tell(20)
    assert story.tell(5, factor=0.3) == []
    assert [a.kind for a in story.tell(5, factor=3)] == ["latency"]


def test_it_alerts_again_only_after_recovery() -> None:
    story = Story()
    story.tell(20)
    assert len(story.tell(5, error_rate=0.3)) == 1
    assert story.tell(CALM_MINUTES - 1) == []
    assert story.tell(5, error_rate=0.3) == []
    assert story.tell(CALM_MINUTES + 2) == []
    assert len(story.tell(5, error_rate=0.3)) == 1


def test_what_lasts_becomes_normal() -> None:
    story = Story()
    story.tell(20)
    assert len(story.tell(EPISODE_MINUTES + 40, error_rate=0.3)) == 1
    assert len(story.tell(5, error_rate=0.7)) == 1


def test_a_story_told_again_has_the_same_ids() -> None:
    ids = []
    for _ in range(2):
        story = Story()
        story.tell(20)
        story.watch = load_watch(dump_watch(story.watch))
        ids.append([a.alert_id for a in story.tell(6, error_rate=0.4, factor=4)])
    assert len(ids[0]) == 2
    assert ids[0] == ids[1]


def test_too_little_is_no_statement() -> None:
    rng = np.random.default_rng(1)
    normal = [minute(rng) for _ in range(10)]
    assert isinstance(compare("error_rate", minute(rng, 10, 1.0), normal), NoShift)
    assert isinstance(compare("error_rate", minute(rng, 100, 1.0), normal[:2]), NoShift)


def test_when_nothing_changed_small_p_values_are_as_rare_as_they_say() -> None:
    """The test is exact: P(p <= x) <= x."""
    rng = np.random.default_rng(2)
    rounds = 400
    found: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for _ in range(rounds):
        before, now = [minute(rng, 100) for _ in range(6)], minute(rng, 100)
        for kind in KINDS:
            shift = compare(kind, now, before)
            assert isinstance(shift, Shift)
            found[kind].append(shift.p_value)
    for p_values in found.values():
        for x in (0.01, 0.05, 0.2):
            allowed = x + 3 * (x * (1 - x) / rounds) ** 0.5
            assert np.mean(np.array(p_values) <= x) <= allowed


def test_the_level_shares_one_budget_among_all_models() -> None:
    assert level(8) * 8 * 2 * 1440 == pytest.approx(0.1)
