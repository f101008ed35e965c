"""The shell: what is stored, published and acknowledged, and in which order."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from agents.alerts import Alerts
from agents.book import Entry, Message, Publication
from agents.changelog import Stored
from agents.errors import AgentsStopped
from agents.policy.selection import Decision
from agents.selector import Selector
from agents.shell import Shell
from schemas.entities import Entity, Model, SelectionPolicy
from schemas.records import Alert, RegistryFact, SelectionUpdate
from streams.registry_view import RegistrySnapshot
from streams.telemetry import Health
from tests.support.events import NOW_MS, inference
from tests.support.partials import of

ACCEPTED = datetime(2026, 1, 1, tzinfo=UTC)


def snapshot(*entities: Entity) -> RegistrySnapshot:
    found = RegistrySnapshot()
    for entity in entities:
        found = found.with_fact(entity.key, RegistryFact(1, "me", ACCEPTED, "c", entity))
    return found


REGISTRY = snapshot(
    Model("acme", "small", "1", "us", ("chat",)),
    SelectionPolicy("acme", "chat", min_samples=5, fallback=("small",)),
)


@dataclass
class Broker:
    """The ports, in memory. `log` is what happened in order; `broken` fails that step.

    delay_s: how long a store takes.
    """

    changelog: dict[str, dict[bytes, bytes]] = field(default_factory=dict)
    published: list[Publication] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    broken: str = ""
    delay_s: float = 0.0

    async def store(self, book: str, partition: int, entries: Sequence[Entry]) -> None:
        await asyncio.sleep(self.delay_s)
        self._step("store")
        held = self.changelog.setdefault(book, {})
        for key, value in entries:
            if value is None:
                held.pop(key, None)
            else:
                held[key] = value

    async def publish(self, publications: Sequence[Publication]) -> None:
        self._step("publish")
        self.published += publications

    def ack(self) -> bool:
        self._step("ack")
        return True

    def _step(self, name: str) -> None:
        self.log.append(name)
        if name == self.broken:
            raise ConnectionError(name)

    def newest(self) -> SelectionUpdate:
        found = [p.record for p in self.published if isinstance(p.record, SelectionUpdate)]
        return found[-1]

    def alerts(self) -> list[str]:
        return [p.record.alert_id for p in self.published if isinstance(p.record, Alert)]


def shell(broker: Broker, stall_limit_s: float = 60.0) -> Shell:
    """A shell that recovered what the broker has."""
    made = Shell([Selector(lambda: REGISTRY), Alerts()], broker, Health(), stall_limit_s)
    made.load(0, {name: list(held.items()) for name, held in broker.changelog.items()})
    return made


def message(offset: int, calls: int = 4, at_ms: int = NOW_MS) -> Message:
    return Message(0, offset, of([inference(occurred_at=at_ms, quality=0.5)] * calls))


async def turn(running: Shell) -> None:
    """One publication and one checkpoint."""
    await running._publish()
    await running._checkpoint()


async def test_a_decision_is_stored_before_it_is_published_and_events_acknowledged_last() -> None:
    broker = Broker()
    running = shell(broker)
    running.apply(0, message(0), broker)
    await turn(running)
    assert broker.log[0] == "store"
    assert broker.log.index("store") < broker.log.index("publish") < broker.log.index("ack")
    assert broker.log[-1] == "ack"


@pytest.mark.parametrize("broken", ["", "store", "publish", "ack"])
async def test_dying_at_any_step_changes_no_count(broken: str) -> None:
    broker = Broker()
    running = shell(broker)
    running.apply(0, message(0), broker)
    await turn(running)
    running.apply(0, message(1), broker)
    broker.broken = broken
    with suppress(ConnectionError):
        await turn(running)
    broker.broken = ""
    again = shell(broker)
    for offset in (0, 1, 2):
        again.apply(0, message(offset), broker)
    await turn(again)
    assert broker.newest().candidates[0].samples == 12


async def test_what_was_decided_but_not_published_is_published_after_the_restart() -> None:
    broker = Broker(broken="publish")
    running = shell(broker)
    running.apply(0, message(0, calls=8), broker)
    with pytest.raises(ConnectionError):
        await running._publish()
    assert broker.published == []
    broker.broken = ""
    again = shell(broker)
    await turn(again)
    assert broker.newest().org_id == "acme"


async def test_the_leader_and_since_when_survive_a_restart() -> None:
    broker = Broker()
    running = shell(broker)
    running.apply(0, message(0, calls=8), broker)
    await turn(running)
    again = shell(broker)
    again.apply(0, message(0, calls=8), broker)
    await turn(again)
    first, second = _decision(running), _decision(again)
    assert second.leader_since == first.leader_since
    assert second.sequence == first.sequence + 1


def _decision(running: Shell) -> Decision:
    selector = running.books[0]
    assert isinstance(selector, Selector)
    (desk,) = selector._desks[0].values()
    assert desk.decision is not None
    return desk.decision


async def test_a_fallback_alert_is_raised_once_whatever_restarts() -> None:
    broker = Broker()
    running = shell(broker)
    running.apply(0, message(0, calls=1), broker)
    await turn(running)
    assert len(broker.alerts()) == 1
    again = shell(broker)
    again.apply(0, message(1, calls=1), broker)
    await turn(again)
    assert len(broker.alerts()) == 1


async def test_a_window_that_moved_on_deletes_its_entries() -> None:
    broker = Broker()
    running = shell(broker)
    sizes = []
    for hour in range(4):
        running.apply(0, message(hour, at_ms=NOW_MS - (4 - hour) * 2 * 3_600_000), broker)
        await turn(running)
        sizes.append({name: len(held) for name, held in broker.changelog.items()})
    assert sizes[0] == sizes[-1] == {"selector": 2, "alerts": 2}


async def test_a_partition_that_is_taken_away_is_forgotten() -> None:
    broker = Broker()
    running = shell(broker)
    running.apply(0, message(0), broker)
    await running.drop()
    running.apply(0, message(1), broker)
    await turn(running)
    assert broker.log == []


async def test_a_process_that_slept_through_its_session_stops() -> None:
    running = shell(Broker(), stall_limit_s=0.0)
    with pytest.raises(AgentsStopped, match="stood still"):
        await asyncio.wait_for(running.run(), 10)


async def test_waiting_for_a_slow_broker_is_no_stall() -> None:
    """The process runs and its session lives; a restart would only make the broker's day worse."""
    broker = Broker(delay_s=3.0)
    running = shell(broker, stall_limit_s=2.0)

    running.apply(0, message(0), broker)
    work = asyncio.create_task(running.run())
    while "ack" not in broker.log:
        assert not work.done(), work.exception()
        await asyncio.sleep(0.05)
    work.cancel()


async def test_a_restore_that_a_rebalance_overtakes_brings_nothing_back() -> None:
    """What was read may belong to another worker by then; the next assignment restores anew."""
    broker = Broker()
    owner = shell(broker)

    async def overtaken() -> Stored:
        await owner.drop()
        return {0: {}}

    async def undisturbed() -> Stored:
        return {1: {}}

    await owner.restore(overtaken)
    await owner.restore(undisturbed)
    assert set(owner._pending) == {1}
