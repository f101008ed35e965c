"""What the selector's own function says to a question of a caller: over the same panes, with the
policy as the registry has it and whatever the caller puts in its place.

Answers hold for as long as the panes stand: a question is answered from memory while the mark of
its window, the registry and the statuses of the models are the same. The mark is asked for at most
every LOOK_S for each capability.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from agents.access.scope import Scoped
from agents.panes import Marks, Measured, look, measured
from agents.policy import prior
from agents.policy.capabilities import Match, Requirement, match
from agents.policy.contributions import ModelKey, Place
from agents.policy.selection import select
from agents.policy.what_if import WhatIf, what_if
from agents.selector import contenders, vocabularies
from api.clickhouses import ClickHouses
from api.problems import not_found
from api.selection_bodies import Ask
from schemas.entities import Model, SelectionPolicy
from schemas.records import SelectionUpdate
from sinks.clickhouse import ClickHouse
from streams.registry_view import RegistrySnapshot

LOOK_S = 1.0
WINDOWS_MAX = 500
ANSWERS_MAX = 2_000


@dataclass(frozen=True, slots=True)
class Excluded:
    """A model that could serve the capability but not this request."""

    key: ModelKey
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Considered:
    """`selection`: what would be published if nothing had been before; `what_ifs` for all but the
    best. `watermark`: the end of the newest pane; None: no call was counted yet."""

    policy: SelectionPolicy
    policy_version: int
    selection: SelectionUpdate
    what_ifs: Mapping[ModelKey, WhatIf]
    excluded: tuple[Excluded, ...]
    watermark: datetime | None
    cached: bool = False


@dataclass(slots=True)
class _Window:
    marks: Marks | None
    looked_at: datetime
    measured: Measured
    lock: asyncio.Lock


class Considering:
    """For the event loop's thread; one per app."""

    def __init__(self, clickhouse: ClickHouses) -> None:
        self._clickhouse = clickhouse
        self._windows: OrderedDict[tuple[Place, float, bool], _Window] = OrderedDict()
        self._answers: OrderedDict[tuple[Any, ...], Considered] = OrderedDict()

    async def consider(self, seen: Scoped, org_id: str, ask: Ask, now: datetime) -> Considered:
        """The answer. Raises Problem 404 without a policy, Backpressure, SinkBroken."""
        place = Place(org_id, ask.capability)
        version, policy = _policy(seen, place)
        policy = _merged(policy, ask)
        window = await self._window(policy, now)
        assert window.marks is not None, "it was looked at"
        models = [replace(m, status=m.status_at(now)) for m in contenders(seen.registry, place)]
        statuses = tuple(sorted((m.key, m.status) for m in models))
        name = (place, ask.model_dump_json(), window.marks, seen.registry.revision, statuses)
        known = self._answers.get(name)
        if known is not None:
            self._answers.move_to_end(name)
            return replace(known, cached=True)
        able, excluded = _fitting(seen.registry, place, ask, models)
        out = {e.key for e in excluded}
        held, prior_held = (
            {key: tally for key, tally in of.items() if key not in out}
            for of in (window.measured.production, window.measured.evaluations)
        )
        question = prior.question((version, policy), able, held, prior_held)
        found = Considered(
            policy,
            version,
            select(question, None, now)[0],
            what_if(question),
            excluded,
            _moment(min(window.marks.production.newest_s, int(now.timestamp()))),
        )
        self._answers[name] = found
        if len(self._answers) > ANSWERS_MAX:
            self._answers.popitem(last=False)
        return found

    async def _window(self, policy: SelectionPolicy, now: datetime) -> _Window:
        place = Place(policy.org_id, policy.capability)
        name = (place, policy.window_minutes, policy.prior_samples > 0)
        window = self._windows.get(name)
        if window is None:
            window = _Window(None, now - timedelta(days=1), Measured(), asyncio.Lock())
            self._windows[name] = window
        self._windows.move_to_end(name)
        if len(self._windows) > WINDOWS_MAX:
            self._windows.popitem(last=False)
        async with window.lock:
            if abs((now - window.looked_at).total_seconds()) >= LOOK_S:
                before = window.marks
                marks, found = await self._clickhouse.ask(
                    lambda clickhouse: _read(clickhouse, policy, now, before)
                )
                if found is not None:
                    window.measured = found
                window.marks, window.looked_at = marks, now
        return window


def _read(
    clickhouse: ClickHouse, policy: SelectionPolicy, now: datetime, before: Marks | None
) -> tuple[Marks, Measured | None]:
    """The present marks, and what is measured if they are others than before."""
    marks = look(clickhouse, policy, now.timestamp())
    return marks, None if marks == before else measured(clickhouse, policy, marks)


def _policy(seen: Scoped, place: Place) -> tuple[int, SelectionPolicy]:
    fact = seen.get(SelectionPolicy(place.org_id, place.capability).key)
    if fact is None or not isinstance(fact.entity, SelectionPolicy):
        raise not_found(f"policy for {place.capability}: put one at /policies/{place.capability}/")
    return fact.version, fact.entity


def _merged(policy: SelectionPolicy, ask: Ask) -> SelectionPolicy:
    """The policy with what the request names in its place; null lifts a limit."""
    changes: dict[str, Any] = {}
    for name in ("weights", "scales", "constraints"):
        given = getattr(ask, name)
        if given is not None:
            own = {field: getattr(given, field) for field in given.model_fields_set}
            changes[name] = replace(getattr(policy, name), **own)
    for name in ("min_samples", "window_minutes"):
        if getattr(ask, name) is not None:
            changes[name] = getattr(ask, name)
    return replace(policy, **changes)


def _fitting(
    registry: RegistrySnapshot, place: Place, ask: Ask, models: list[Model]
) -> tuple[list[Model], tuple[Excluded, ...]]:
    asked = ask.requirements
    if asked is None:
        return models, ()
    wanted = Requirement(
        place.capability, frozenset(asked.features), asked.min_level, asked.min_context_tokens
    )
    words = vocabularies(registry).get(place.org_id, {})
    able, excluded = [], []
    for model in models:
        fits = match(model, wanted, words)
        if isinstance(fits, Match):
            able.append(model)
        else:
            key = ModelKey(model.model_id, model.model_version)
            excluded.append(Excluded(key, fits.reasons))
    return able, tuple(excluded)


def _moment(seconds: int) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if seconds else None
