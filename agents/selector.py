"""The selector: a rolling window and a remembered decision for every capability with a policy."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from agents.book import Entry, Message, Publication
from agents.entries import block_entries, entry, read
from agents.policy.alerts import fallback_alert
from agents.policy.capabilities import Match, Requirement, Vocabulary, lineage, match
from agents.policy.contributions import ModelKey, Place
from agents.policy.selection import (
    HEARTBEAT_S,
    Decision,
    Question,
    due,
    next_retirement,
    select,
)
from agents.policy.window import Window
from schemas.entities import Model, ModelCapability, SelectionPolicy
from schemas.topics import Topic
from streams.registry_view import RegistrySnapshot

MINUTE_MS = 60_000


@dataclass(slots=True)
class _Desk:
    """One capability: its window, what was decided, and whether anything changed since a look."""

    window: Window = field(default_factory=Window)
    decision: Decision | None = None
    touched: bool = True
    restored: bool = False
    saved_watermark_ms: int = 0
    turns_at: datetime | None = None
    """When the next of its models retires by its date."""


@dataclass(slots=True)
class _Rules:
    """The registry, arranged for looking up what concerns a place."""

    snapshot: RegistrySnapshot | None = None
    policies: dict[Place, tuple[int, SelectionPolicy]] = field(default_factory=dict)
    models: dict[Place, list[Model]] = field(default_factory=dict)

    def update(self, snapshot: RegistrySnapshot) -> bool:
        """Whether anything changed."""
        if snapshot is self.snapshot:
            return False
        self.snapshot = snapshot
        self.policies.clear()
        self.models.clear()
        declared: dict[Place, list[Model]] = {}
        for model in snapshot.entities(Model):
            for capability in model.capabilities:
                declared.setdefault(Place(model.org_id, capability), []).append(model)
        words = vocabularies(snapshot)
        for fact in snapshot.policies.values():
            if isinstance(fact.entity, SelectionPolicy):
                place = Place(fact.entity.org_id, fact.entity.capability)
                self.policies[place] = (fact.version, fact.entity)
                self.models[place] = _able(place, declared, words.get(place.org_id, {}))
        return True


def vocabularies(snapshot: RegistrySnapshot) -> dict[str, dict[str, ModelCapability]]:
    """The vocabulary of each organisation."""
    found: dict[str, dict[str, ModelCapability]] = {}
    for word in snapshot.entities(ModelCapability):
        found.setdefault(word.org_id, {})[word.capability] = word
    return found


def _able(
    place: Place, declared: Mapping[Place, list[Model]], vocabulary: Vocabulary
) -> list[Model]:
    """Models that declare the capability or something above it, and support what it requires."""
    wanted = Requirement(place.capability)
    found = {
        model.key: model
        for word in lineage(place.capability, vocabulary)
        for model in declared.get(Place(place.org_id, word), ())
        if isinstance(match(model, wanted, vocabulary), Match)
    }
    return list(found.values())


class Selector:
    """Book of selections. Capabilities without a policy are not followed."""

    name = "selector"

    def __init__(self, registry: Callable[[], RegistrySnapshot]) -> None:
        self._registry = registry
        self._rules = _Rules()
        self._desks: dict[int, dict[Place, _Desk]] = {}

    def load(self, partition: int, entries: Iterable[tuple[bytes, bytes]]) -> None:
        windows: dict[Place, Window] = {}
        desks: dict[Place, _Desk] = {}
        for _, place, value in read(entries, windows):
            decision = _load_decision(value["decision"])
            desks[place] = _Desk(decision=decision, saved_watermark_ms=value["watermark_ms"])
        for place, window in windows.items():
            desks.setdefault(place, _Desk()).window = window
        for desk in desks.values():
            desk.restored = True
            desk.window.watermark_ms = desk.saved_watermark_ms
        self._desks[partition] = desks

    def drop(self, partition: int) -> None:
        self._desks.pop(partition, None)

    def apply(self, message: Message, now: datetime) -> bool:
        self._refresh()
        desks = self._desks.setdefault(message.partition, {})
        now_ms, fresh = int(now.timestamp() * 1000), False
        for place, panes in message.production.items():
            ruled = self._rules.policies.get(place)
            if ruled is None:
                continue
            desk = desks.setdefault(place, _Desk())
            if desk.window.apply(panes, message.offset, _length_ms(ruled[1]), now_ms):
                desk.touched = fresh = True
        return fresh

    def decide(self, now: datetime) -> Sequence[Publication]:
        self._refresh()
        return [
            publication
            for partition, desks in self._desks.items()
            for place, desk in desks.items()
            for publication in self._consider(partition, place, desk, now)
        ]

    def unsaved(self, partition: int) -> Sequence[Entry]:
        entries: list[Entry] = []
        for place, desk in self._desks.get(partition, {}).items():
            if desk.window.watermark_ms != desk.saved_watermark_ms:
                entries.append(_desk_entry(place, desk))
            entries += block_entries(place, desk.window)
        return entries

    def size(self) -> int:
        every = (desk for desks in self._desks.values() for desk in desks.values())
        return sum(len(desk.window.blocks) + 1 for desk in every)

    def _refresh(self) -> None:
        if self._rules.update(self._registry()):
            for desks in self._desks.values():
                for desk in desks.values():
                    desk.touched = True

    def _consider(
        self, partition: int, place: Place, desk: _Desk, now: datetime
    ) -> Iterator[Publication]:
        ruled = self._rules.policies.get(place)
        turned = desk.turns_at is not None and now >= desk.turns_at
        if ruled is None or not (desk.touched or desk.restored or turned or _beats(desk, now)):
            return
        version, policy = ruled
        desk.window.expire(_length_ms(policy))
        models = self._rules.models.get(place, [])
        desk.turns_at = next_retirement(models, now)
        question = Question(policy, version, models, desk.window.sums)
        before = desk.decision
        update, decision = select(question, before, now)
        # A restored decision may have been stored and not published: publish once more.
        if not desk.restored and not due(decision, before, desk.touched):
            return
        desk.decision, desk.touched, desk.restored = decision, False, False
        stored = _desk_entry(place, desk)
        key = "/".join(place)
        yield Publication(partition, stored, Topic.SELECTION_UPDATES, key, update)
        if decision.fallback_since and not decision.alerted:
            # Remembered with the next checkpoint, which is after it is published.
            desk.decision, desk.saved_watermark_ms = replace(decision, alerted=True), -1
            raised = fallback_alert(update, decision.fallback_since, before is None, now)
            yield Publication(partition, stored, Topic.ALERTS, place.org_id, raised)


def _length_ms(policy: SelectionPolicy) -> int:
    return int(policy.window_minutes * MINUTE_MS)


def _beats(desk: _Desk, now: datetime) -> bool:
    before = desk.decision
    return before is None or (now - before.published_at).total_seconds() >= HEARTBEAT_S


def _desk_entry(place: Place, desk: _Desk) -> Entry:
    desk.saved_watermark_ms = desk.window.watermark_ms
    value = {"watermark_ms": desk.window.watermark_ms, "decision": _dump_decision(desk.decision)}
    return entry("desk", place, value)


def _dump_decision(decision: Decision | None) -> dict[str, Any] | None:
    if decision is None:
        return None
    return {
        "sequence": decision.sequence,
        "leader": None if decision.leader is None else list(decision.leader),
        "leader_since": decision.leader_since,
        "fallback_since": decision.fallback_since,
        "alerted": decision.alerted,
        "signature": decision.signature,
        "published_at": decision.published_at,
    }


def _load_decision(value: dict[str, Any] | None) -> Decision | None:
    if value is None:
        return None
    return Decision(
        sequence=value["sequence"],
        leader=None if value["leader"] is None else ModelKey(*value["leader"]),
        leader_since=_moment(value["leader_since"]),
        fallback_since=_moment(value["fallback_since"]) if value["fallback_since"] else None,
        alerted=value["alerted"],
        signature=value["signature"],
        published_at=_moment(value["published_at"]),
    )


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
