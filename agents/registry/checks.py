"""What types cannot say about a registry file: how its entries fit together."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

from agents.errors import Problem
from agents.registry.document import Document, Path, shown
from agents.registry.validity import Contradiction
from schemas.entities import AbTest, Entity, Model, SelectionPolicy

Judge = Callable[[Entity], Iterable[Contradiction]]


def consistency(
    document: Document, found: Mapping[Path, Entity], judge: Judge
) -> Iterator[Problem]:
    """Contradictions: each makes the file invalid."""
    first: dict[str, Path] = {}
    for path, entity in found.items():
        other = first.setdefault(entity.key, path)
        if other is not path:
            line = document.line(other)
            yield _at(document, path, f"{entity.key} is already given in line {line}")
        for where, text in judge(entity):
            yield _at(document, (*path, *where), text)


def references(
    document: Document, found: Mapping[Path, Entity], known: Collection[tuple[str, str]]
) -> Iterator[Problem]:
    """Models that are named but neither in the file nor known: worth a warning."""
    models = {(m.org_id, m.model_id) for m in found.values() if isinstance(m, Model)} | set(known)
    for path, entity in found.items():
        named: Sequence[tuple[Path, str]] = ()
        if isinstance(entity, AbTest):
            named = [(("arms", i, "model_id"), a.model_id) for i, a in enumerate(entity.arms)]
        elif isinstance(entity, SelectionPolicy):
            named = [(("fallback", i), model_id) for i, model_id in enumerate(entity.fallback)]
        for where, model_id in named:
            if (entity.org_id, model_id) not in models:
                text = f"{entity.org_id} has no model {model_id}, here or in the registry"
                yield _at(document, (*path, *where), text)


def _at(document: Document, path: Path, text: str) -> Problem:
    return Problem(document.line(path), shown(path), text)
