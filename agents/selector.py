"""The selector: a rolling window and a remembered decision for every capability with a policy."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from agents.book import Entry, Message, Publication
from agents.entries import PRIOR, block_entries, entry, read
from agents.policy import prior
from agents.policy.alerts import fallback_alert
from agents.policy.capabilities import Match, Requirement, Vocabulary, lineage, match
from agents.policy.contributions import ModelKey, Place
from agents.policy.selection import HEARTBEAT_S, Decision, due, next_retirement, select
from agents.policy.shares import Shares
from agents.policy.window import Window
from schemas.entities import Model, ModelCapability, SelectionPolicy
from schemas.topics import Topic
from streams.registry_view import RegistrySnapshot

MINUTE_MS = 60_000


@dataclass(slots=True)
class _Desk:
    """One capability: its window, what was decided, and whether anything changed since a look.

    `prior`: evaluations of the last agents.policy.prior.LENGTH_MS, whether or not a policy looks.
    """

    window: Window = field(default_factory=Window)
    prior: Window = field(default_factory=Window)
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


def contenders(snapshot: RegistrySnapshot, place: Place) -> list[Model]:
    """The models that the selector considers for a capability, in any status."""
    declared: dict[Place, list[Model]] = {}
    vocabulary: dict[str, ModelCapability] = {}
    for model in snapshot.entities(Model):
        if model.org_id == place.org_id:
            for capability in model.capabilities:
                declared.setdefault(Place(model.org_id, capability), []).append(model)
    for word in snapshot.entities(ModelCapability):
        if word.org_id == place.org_id:
            vocabulary[word.capability] = word
    return _able(place, declared, vocabulary)


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
    """Book of selections. Of capabilities without a policy, only evaluations are followed."""

    name = "selector"

    def __init__(self, registry: Callable[[], RegistrySnapshot]) -> None:
        self._registry = registry
        self._rules = _Rules()
        self._desks: dict[int, dict[Place, _Desk]] = {}

    def load(self, partition: int, entries: Iterable[tuple[bytes, bytes]]) -> None:
        windows: dict[Place, Window] = {}
        priors: dict[Place, Window] = {}
        desks: dict[Place, _Desk] = {}
        for _, place, value in read(entries, windows, priors):
            decision = _load_decision(value["decision"])
            desks[place] = _Desk(decision=decision, saved_watermark_ms=value["watermark_ms"])
        for place, window in windows.items():
            desks.setdefault(place, _Desk()).window = window
        for place, window in priors.items():
            window.watermark_ms = max(span.end_ms for span in window.blocks)
            desks.setdefault(place, _Desk()).prior = window
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
        # Also without a policy: one that comes later looks back as far as any other.
        for place, panes in message.evaluations.items():
            desk = desks.setdefault(place, _Desk())
            if desk.prior.apply(panes, message.offset, prior.LENGTH_MS, now_ms):
                fresh = True
                ruled = self._rules.policies.get(place)
                if ruled is not None and ruled[1].prior_samples > 0:
                    desk.touched = True
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
            entries += block_entries(place, desk.prior, PRIOR)
        return entries

    def size(self) -> int:
        every = (desk for desks in self._desks.values() for desk in desks.values())
        return sum(len(d.window.blocks) + len(d.prior.blocks) + 1 for d in every)

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
        desk.window.expire(_length_ms(ruled[1]))
        models = self._rules.models.get(place, [])
        desk.turns_at = next_retirement(models, now)
        question = prior.question(ruled, models, desk.window.sums, desk.prior.sums)
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
        "shares": None
        if decision.shares is None
        else {
            "by_model": [[*key, share] for key, share in decision.shares.by_model],
            "since": decision.shares.since,
        },
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
        shares=_load_shares(value.get("shares")),
    )


def _load_shares(value: dict[str, Any] | None) -> Shares | None:
    """None of decisions from before shares were remembered."""
    if value is None:
        return None
    by_model = tuple((ModelKey(*key), share) for *key, share in value["by_model"])
    return Shares(by_model, _moment(value["since"]))


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
