"""A model and its versions: which one is meant when none is named."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from agents.access.scope import Scoped
from agents.registry.rules import CHAMPION
from schemas.entities import Alias, Model
from schemas.models import ModelStatus
from schemas.records import RegistryFact
from streams.registry_view import RegistrySnapshot, Shelf

SERVING: Sequence[ModelStatus] = ("active", "deprecated")
ModelName = tuple[str, str]
"""(org_id, model_id)."""


class VersionIndex:
    """The versions of each model of one snapshot, made anew when the models change."""

    def __init__(self) -> None:
        self._models: Shelf | None = None
        self._aliases: Shelf | None = None
        self._versions: dict[ModelName, list[RegistryFact]] = {}
        self._names: dict[tuple[str, str, str], list[str]] = {}
        self._moments: list[datetime] = []

    def versions(
        self, registry: RegistrySnapshot, org_id: str, model_id: str
    ) -> list[RegistryFact]:
        """Every version there is, the newest last."""
        self._follow(registry)
        return self._versions.get((org_id, model_id), [])

    def aliases(self, registry: RegistrySnapshot, model: Model) -> list[str]:
        """The aliases that point to this version."""
        self._follow(registry)
        return self._names.get((model.org_id, model.model_id, model.model_version), [])

    def current(
        self, scoped: Scoped, org_id: str, model_id: str, now: datetime
    ) -> RegistryFact | None:
        """The version that stands for the model: the champion, else the newest that serves, else
        the newest. Only of what the caller may see."""
        found = self.versions(scoped.registry, org_id, model_id)
        if len(found) == 1:
            return scoped.get(found[0].entity.key)
        champion = scoped.entity(Alias, f"{org_id}/{Alias.kind}/{model_id}/{CHAMPION}")
        if champion is not None:
            key = f"{org_id}/{Model.kind}/{model_id}/{champion.model_version}"
            fact = scoped.get(key)
            if fact is not None:
                return fact
        return best(self.shown(scoped, org_id, model_id), now)

    def shown(self, scoped: Scoped, org_id: str, model_id: str) -> list[RegistryFact]:
        """`versions` that the caller may see."""
        found = self.versions(scoped.registry, org_id, model_id)
        return [fact for fact in found if scoped.get(fact.entity.key) is not None]

    def all_current(
        self, scoped: Scoped, org_id: str | None, now: datetime
    ) -> Iterable[RegistryFact]:
        """`current` of every model that the caller may see."""
        self._follow(scoped.registry)
        for org, model_id in self._versions:
            if org_id in (None, org):
                fact = self.current(scoped, org, model_id, now)
                if fact is not None:
                    yield fact

    def next_change(self, registry: RegistrySnapshot, now: datetime) -> datetime | None:
        """When what is said of models changes next by itself: a retirement, or a price."""
        self._follow(registry)
        at = bisect_right(self._moments, now)
        return self._moments[at] if at < len(self._moments) else None

    def _follow(self, registry: RegistrySnapshot) -> None:
        models, aliases = registry.live.get(Model.kind), registry.live.get(Alias.kind)
        if models is not self._models:
            self._versions = _by_model(models or {})
            self._moments = sorted(_moments(models or {}))
            self._models = models
        if aliases is not self._aliases:
            self._names = _by_version(aliases or {})
            self._aliases = aliases


def best(versions: Sequence[RegistryFact], now: datetime) -> RegistryFact | None:
    """The newest that serves at `now`, else the newest; None of none."""
    if len(versions) < 2:
        return versions[0] if versions else None

    def preference(fact: RegistryFact) -> tuple[bool, float, str]:
        model = fact.entity
        assert isinstance(model, Model)
        serves = model.status_at(now) in SERVING
        return serves, fact.accepted_at.timestamp(), model.model_version

    return max(versions, key=preference, default=None)


def _moments(models: Shelf) -> Iterator[datetime]:
    for fact in models.values():
        model = fact.entity
        assert isinstance(model, Model)
        dates = [model.retires_at]
        for price in model.prices:
            dates += [price.valid_from, price.valid_to]
        yield from (date for date in dates if date is not None)


def _by_model(models: Shelf) -> dict[ModelName, list[RegistryFact]]:
    found: dict[ModelName, list[RegistryFact]] = {}
    for fact in models.values():
        assert isinstance(fact.entity, Model)
        found.setdefault((fact.entity.org_id, fact.entity.model_id), []).append(fact)
    for versions in found.values():
        versions.sort(key=lambda f: (f.accepted_at, f.entity.key))
    return found


def _by_version(aliases: Mapping[str, RegistryFact]) -> dict[tuple[str, str, str], list[str]]:
    found: dict[tuple[str, str, str], list[str]] = {}
    for fact in aliases.values():
        alias = fact.entity
        assert isinstance(alias, Alias)
        name = (alias.org_id, alias.model_id, alias.model_version)
        found.setdefault(name, []).append(alias.alias)
    return {name: sorted(names) for name, names in found.items()}
