"""The monitor's shell: who is followed, what is remembered, when a verdict goes out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from agents.ab_parts import Followed, TrialKey
from agents.book import Message, Publication
from agents.monitor import Monitor
from agents.policy.sources import Position
from agents.policy.units import UnitFindings
from schemas.entities import AbTest, Arm, Entity, MetricGoal
from schemas.records import AbStatus, AbVerdict, Alert, ArmCount, RegistryFact
from streams.registry_view import RegistrySnapshot
from tests.support.events import inference
from tests.support.partials import of

NOW = datetime(2026, 6, 1, tzinfo=UTC)
TEST = AbTest(
    "acme",
    "t",
    "chat",
    "user",
    (Arm("a", "small"), Arm("b", "large")),
    "a",
    (MetricGoal("quality", "primary", "higher"),),
)


@dataclass(frozen=True)
class Counting:
    """Statistics that count events and decide at `decides_at`, for good; invalid at `breaks_at`."""

    decides_at: int = 100
    breaks_at: int = 10**9

    def zero(self, test: AbTest) -> Any:
        return {"n": 0, "decided": False}

    def apply(self, state: Any, test: AbTest, rows: pl.DataFrame, at: Position) -> Any:
        assert set(rows["ab_test_id"]) == {test.ab_test_id}
        n = rows.filter(pl.col("metric") == "error")["n"].sum()
        return {**state, "n": state["n"] + n}

    def judge(
        self, state: Any, test: AbTest, now: datetime, units: UnitFindings | None
    ) -> tuple[Any, AbVerdict]:
        decided = state["decided"] or state["n"] >= self.decides_at
        status: AbStatus = "decided" if decided else "collecting"
        if state["n"] >= self.breaks_at:
            status = "invalid"
        verdict = AbVerdict(
            ab_test_id=test.ab_test_id,
            org_id=test.org_id,
            capability=test.capability,
            as_of=now,
            status=status,
            winner=None,
            decided_at=None,
            decision=None,
            srm_p_value=None,
            alpha=test.alpha,
            arms=(ArmCount("a", "small", state["n"]),),
            comparisons=(),
        )
        return {**state, "decided": decided}, verdict

    def wakes_at(self, state: Any, test: AbTest) -> datetime | None:
        return None

    def began_at(self, state: Any) -> datetime | None:
        return NOW if state["n"] else None

    def adopt(self, state: Any, verdict: AbVerdict) -> Any:
        return state if state["decided"] else {**state, "decided": True}

    def dump(self, state: Any) -> Mapping[str, Any]:
        return dict(state)

    def load(self, value: Mapping[str, Any]) -> Any:
        return dict(value)


def snapshot(*entities: Entity) -> RegistrySnapshot:
    found = RegistrySnapshot()
    for entity in entities:
        found = found.with_fact(entity.key, RegistryFact(1, "me", NOW, "c", entity))
    return found


def monitor(test: AbTest = TEST, statistics: Counting | None = None) -> Monitor:
    registry = snapshot(test)
    return Monitor(lambda: registry, statistics or Counting())


def message(offset: int, calls: int = 10, **changes: Any) -> Message:
    event = inference(**{"ab_test_id": "t", "arm": "a", **changes})
    return Message(0, offset, of([event] * calls))


def verdict(publications: Any) -> AbVerdict:
    found = [p.record for p in publications if isinstance(p.record, AbVerdict)]
    return found[-1]


def events(publications: Any) -> int:
    return verdict(publications).arms[0].events


def restarted(before: Monitor, stored: dict[bytes, bytes]) -> Monitor:
    again = monitor(statistics=before._statistics)  # type: ignore[arg-type]  # Counting
    again.load(0, stored.items())
    return again


def store(held: dict[bytes, bytes], publications: Any) -> None:
    for p in publications:
        assert isinstance(p, Publication)
        held[p.entry.key] = p.entry.value or b""


def test_a_replayed_message_counts_once_also_after_a_restart() -> None:
    book = monitor()
    assert book.apply(message(3), NOW)
    assert not book.apply(message(3), NOW)
    assert events(book.decide(NOW)) == 10
    stored = {e.key: e.value or b"" for e in [*book.unsaved(0)]}
    again = restarted(book, stored)
    assert not again.apply(message(3), NOW)
    assert again.apply(message(4), NOW)
    assert events(again.decide(NOW)) == 20


def test_only_running_tests_of_the_registry_are_followed() -> None:
    book = monitor()
    assert not book.apply(message(0, ab_test_id="other"), NOW)
    assert not book.apply(message(1, org_id="rival"), NOW)
    assert not book.apply(message(2, ab_test_id=None, arm=None), NOW)
    assert not monitor(replace(TEST, status="paused")).apply(message(0), NOW)
    assert book.decide(NOW) == []


def test_numbers_go_out_once_a_second_and_a_decision_at_once() -> None:
    book = monitor(statistics=Counting(decides_at=35))
    book.apply(message(0), NOW)
    assert len(book.decide(NOW)) == 1
    book.apply(message(1), NOW)
    assert book.decide(NOW + timedelta(seconds=0.5)) == []
    assert events(book.decide(NOW + timedelta(seconds=1))) == 20
    assert book.decide(NOW + timedelta(seconds=9)) == []
    book.apply(message(2, calls=20), NOW)
    assert verdict(book.decide(NOW + timedelta(seconds=1.1))).status == "decided"


def test_a_decision_is_stored_with_its_publication() -> None:
    book = monitor(statistics=Counting(decides_at=5))
    book.apply(message(0), NOW)
    held: dict[bytes, bytes] = {}
    store(held, book.decide(NOW))
    again = restarted(book, held)
    again._statistics = Counting(decides_at=10**6)
    assert verdict(again.decide(NOW)).status == "decided"


def test_an_invalid_test_alerts_once_whatever_restarts() -> None:
    book = monitor(statistics=Counting(breaks_at=5))
    book.apply(message(0), NOW)
    alerts = [p.record for p in book.decide(NOW) if isinstance(p.record, Alert)]
    assert [(a.kind, a.ab_test_id, a.org_id) for a in alerts] == [("srm", "t", "acme")]
    stored = {e.key: e.value or b"" for e in book.unsaved(0)}
    again = restarted(book, stored)
    again.apply(message(1), NOW)
    assert not any(isinstance(p.record, Alert) for p in again.decide(NOW))


def test_after_a_decision_everything_else_waits_for_the_next_second() -> None:
    book = monitor(statistics=Counting(decides_at=5, breaks_at=15))
    book.apply(message(0), NOW)
    assert verdict(book.decide(NOW)).status == "decided"
    book.apply(message(1), NOW)
    assert book.decide(NOW + timedelta(seconds=0.5)) == []
    assert verdict(book.decide(NOW + timedelta(seconds=1))).status == "invalid"


def test_what_a_person_decided_is_taken_over_once_and_stored() -> None:
    registry = snapshot(TEST)
    said: dict[tuple[str, str], AbVerdict] = {}
    book = Monitor(lambda: registry, Counting(decides_at=10**6), published=lambda: said)
    book.apply(message(0), NOW)
    before = verdict(book.decide(NOW))
    assert before.status == "collecting"
    said["acme", "t"] = replace(before, status="decided", decided_by="ann")
    assert verdict(book.decide(NOW + timedelta(seconds=0.1))).status == "decided", "at once"
    assert book.unsaved(0), "and it is stored"
    assert book.decide(NOW + timedelta(seconds=5)) == [], "and not again"


def test_sums_by_unit_are_asked_for_and_news_are_judged() -> None:
    class Asked:
        wanted: Sequence[Followed] = ()
        answer = UnitFindings()

        def follow(self, tests: Sequence[Followed]) -> None:
            self.wanted = tests

        def latest(self, key: TrialKey) -> UnitFindings:
            return self.answer

    registry, asked = snapshot(TEST), Asked()
    book = Monitor(lambda: registry, Counting(), asked)
    book.apply(message(0), NOW)
    assert len(book.decide(NOW)) == 1
    assert [following.key for following in asked.wanted] == [TrialKey("acme", "t")]
    assert book.decide(NOW + timedelta(seconds=2)) == []
    asked.answer = UnitFindings(crossed=1)
    assert len(book.decide(NOW + timedelta(seconds=4))) == 1
    assert book.decide(NOW + timedelta(seconds=6)) == []
