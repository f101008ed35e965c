"""The selector: a rolling window and a remembered decision for every capability with a policy."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson

from agents.book import Entry, Publication
from agents.policy.contributions import ModelKey, Place, production
from agents.policy.selection import HEARTBEAT_S, Decision, Question, due, select
from agents.policy.window import Block, Span, Window
from schemas.entities import Model, SelectionPolicy
from schemas.topics import Topic
from streams.registry_view import RegistrySnapshot
from streams.types import Partials

MINUTE_MS = 60_000


@dataclass(slots=True)
class _Desk:
    """One capability: its window, what was decided, and whether anything changed since a look."""

    window: Window = field(default_factory=Window)
    decision: Decision | None = None
    touched: bool = True
    restored: bool = False
    saved_watermark_ms: int = 0


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
        for fact in snapshot.policies.values():
            if isinstance(fact.entity, SelectionPolicy):
                place = Place(fact.entity.org_id, fact.entity.capability)
                self.policies[place] = (fact.version, fact.entity)
        for fact in snapshot.models.values():
            if isinstance(fact.entity, Model):
                for capability in fact.entity.capabilities:
                    place = Place(fact.entity.org_id, capability)
                    self.models.setdefault(place, []).append(fact.entity)
        return True


class Selector:
    """Book of selections. Capabilities without a policy are not followed."""

    name = "selector"

    def __init__(self, registry: Callable[[], RegistrySnapshot]) -> None:
        self._registry = registry
        self._rules = _Rules()
        self._desks: dict[int, dict[Place, _Desk]] = {}

    def load(self, partition: int, entries: Iterable[tuple[bytes, bytes]]) -> None:
        desks: dict[Place, _Desk] = {}
        for raw_key, raw_value in entries:
            kind, org, capability, *rest = orjson.loads(raw_key)
            value = orjson.loads(raw_value)
            desk = desks.setdefault(Place(org, capability), _Desk(restored=True))
            if kind == "block":
                desk.window.restore(Span(*rest), value["offset"], value["models"])
            else:
                desk.window.watermark_ms = desk.saved_watermark_ms = value["watermark_ms"]
                desk.decision = _load_decision(value["decision"])
        self._desks[partition] = desks

    def drop(self, partition: int) -> None:
        self._desks.pop(partition, None)

    def apply(self, partition: int, offset: int, partials: Partials, now: datetime) -> bool:
        self._refresh()
        desks = self._desks.setdefault(partition, {})
        now_ms, fresh = int(now.timestamp() * 1000), False
        for place, panes in production(partials.frame).items():
            ruled = self._rules.policies.get(place)
            if ruled is None:
                continue
            desk = desks.setdefault(place, _Desk())
            if desk.window.apply(panes, offset, _length_ms(ruled[1]), now_ms):
                desk.touched = fresh = True
        return fresh

    def decide(self, now: datetime) -> Sequence[Publication]:
        self._refresh()
        return [
            publication
            for partition, desks in self._desks.items()
            for place, desk in desks.items()
            if (publication := self._consider(partition, place, desk, now)) is not None
        ]

    def unsaved(self, partition: int) -> Sequence[Entry]:
        entries: list[Entry] = []
        for place, desk in self._desks.get(partition, {}).items():
            if desk.window.watermark_ms != desk.saved_watermark_ms:
                entries.append(_desk_entry(place, desk))
            for span, block in desk.window.unsaved():
                key = orjson.dumps(["block", *place, *span])
                value = None if block is None else _dump_block(block)
                entries.append(Entry(key, value))
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
    ) -> Publication | None:
        ruled = self._rules.policies.get(place)
        if ruled is None or not (desk.touched or _beats(desk, now)):
            return None
        version, policy = ruled
        desk.window.expire(_length_ms(policy))
        models = self._rules.models.get(place, [])
        question = Question(policy, version, models, desk.window.sums)
        update, decision = select(question, desk.decision, now)
        # A restored decision may have been stored and not published: publish once more.
        if not desk.restored and not due(decision, desk.decision, desk.touched):
            return None
        desk.decision, desk.touched, desk.restored = decision, False, False
        entry = _desk_entry(place, desk)
        return Publication(partition, entry, Topic.SELECTION_UPDATES, "/".join(place), update)


def _length_ms(policy: SelectionPolicy) -> int:
    return int(policy.window_minutes * MINUTE_MS)


def _beats(desk: _Desk, now: datetime) -> bool:
    before = desk.decision
    return before is None or (now - before.published_at).total_seconds() >= HEARTBEAT_S


def _desk_entry(place: Place, desk: _Desk) -> Entry:
    desk.saved_watermark_ms = desk.window.watermark_ms
    value = {"watermark_ms": desk.window.watermark_ms, "decision": _dump_decision(desk.decision)}
    return Entry(orjson.dumps(["desk", *place]), orjson.dumps(value))


def _dump_block(block: Block) -> bytes:
    return orjson.dumps({"offset": block.offset, "models": block.pack()})


def _dump_decision(decision: Decision | None) -> dict[str, Any] | None:
    if decision is None:
        return None
    return {
        "sequence": decision.sequence,
        "leader": None if decision.leader is None else list(decision.leader),
        "leader_since": decision.leader_since.isoformat(),
        "fallback": decision.fallback,
        "signature": decision.signature,
        "published_at": decision.published_at.isoformat(),
    }


def _load_decision(value: dict[str, Any] | None) -> Decision | None:
    if value is None:
        return None
    return Decision(
        sequence=value["sequence"],
        leader=None if value["leader"] is None else ModelKey(*value["leader"]),
        leader_since=_moment(value["leader_since"]),
        fallback=value["fallback"],
        signature=value["signature"],
        published_at=_moment(value["published_at"]),
    )


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
