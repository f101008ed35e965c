"""The registry as one principal may see it: the one place where it is cut to an organisation."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

from agents.access.authorise import Principal, may_see
from schemas.entities import Entity
from schemas.records import RegistryFact
from streams.registry_view import RegistrySnapshot

E = TypeVar("E", bound=Entity)


@dataclass(frozen=True, slots=True)
class Scoped:
    """Answers about what is hidden are the answers about what does not exist."""

    registry: RegistrySnapshot
    principal: Principal

    def get(self, key: str) -> RegistryFact | None:
        """The fact of what there is under the key."""
        return self._shown(self.registry.get(key))

    def last(self, key: str) -> RegistryFact | None:
        """The newest fact of the key, be it a deletion."""
        return self._shown(self.registry.last(key))

    def facts(self, cls: type[Entity], org_id: str | None = None) -> Iterator[RegistryFact]:
        """Everything there is of a class; None: in every organisation that shows it."""
        for fact in self.registry.shelf(cls.kind).values():
            mine = org_id is None or fact.entity.org_id == org_id
            if mine and may_see(self.principal, fact.entity):
                yield fact

    def deleted(self, cls: type[Entity], org_id: str | None = None) -> Iterator[RegistryFact]:
        """What was deleted of a class and can be restored."""
        for fact in self.registry.deleted.values():
            mine = org_id is None or fact.entity.org_id == org_id
            if isinstance(fact.entity, cls) and mine and may_see(self.principal, fact.entity):
                yield fact

    def entity(self, cls: type[E], key: str) -> E | None:
        """What there is under the key, if it is of this class."""
        fact = self.get(key)
        return fact.entity if fact is not None and isinstance(fact.entity, cls) else None

    def _shown(self, fact: RegistryFact | None) -> RegistryFact | None:
        return fact if fact is not None and may_see(self.principal, fact.entity) else None
