"""Finding suites and datasets by what people write: NAME, or NAME@VERSION. Pure."""

import difflib
from collections.abc import Iterator
from typing import TypeVar

from agents.errors import AgentError
from schemas.suites import Dataset, Suite
from streams.registry_view import RegistrySnapshot

S = TypeVar("S", Suite, Dataset)


class NotFound(AgentError):
    """The organisation has no such suite or dataset. The message names those that come close."""


def name_of(entity: Suite | Dataset) -> tuple[str, str]:
    """Its name and version."""
    if isinstance(entity, Suite):
        return entity.suite_id, entity.suite_version
    return entity.dataset_id, entity.dataset_version


def versions(
    registry: RegistrySnapshot, cls: type[S], org_id: str, name: str | None = None
) -> list[S]:
    """Every version there is, of one name or of all: by name, the newest version first."""
    found = [
        (fact.accepted_at, fact.entity)
        for fact in registry.shelf(cls.kind).values()
        if isinstance(fact.entity, cls) and fact.entity.org_id == org_id
    ]
    newest_first = [e for _, e in sorted(found, key=lambda f: f[0], reverse=True)]
    chosen = [e for e in newest_first if name is None or name_of(e)[0] == name]
    return sorted(chosen, key=lambda e: name_of(e)[0])


def newest(registry: RegistrySnapshot, cls: type[S], org_id: str) -> Iterator[S]:
    """The newest version of every name."""
    seen: set[str] = set()
    for entity in versions(registry, cls, org_id):
        name, _ = name_of(entity)
        if name not in seen:
            seen.add(name)
            yield entity


def named(registry: RegistrySnapshot, cls: type[S], org_id: str, reference: str) -> list[S]:
    """`reference`: NAME@VERSION, or NAME for all its versions. Raises NotFound."""
    one = find(registry, cls, org_id, reference)
    name, _ = name_of(one)
    return versions(registry, cls, org_id, name) if reference == name else [one]


def find(registry: RegistrySnapshot, cls: type[S], org_id: str, reference: str) -> S:
    """`reference`: NAME@VERSION, or NAME for its newest version. Raises NotFound."""
    there = versions(registry, cls, org_id)
    name, at, version = reference.rpartition("@") if "@" in reference else (reference, "", "")
    for entity in there:
        # A name may hold an @ itself.
        if name_of(entity) == (name, version) or (name_of(entity)[0] == reference):
            return entity
    of_name = [v for e in there for n, v in [name_of(e)] if n == name]
    if at and of_name:
        raise NotFound(f"{name} has no version {version}; it has: {', '.join(of_name)}")
    names = sorted({name_of(e)[0] for e in there})
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]}?" if close else f"there are: {', '.join(names) or 'none'}"
    raise NotFound(f"{org_id} has no {cls.kind} {reference}; {hint}")
