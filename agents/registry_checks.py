"""What types cannot say about a registry file: how its entries fit together."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import pairwise

from agents.errors import Problem
from agents.registry_yaml import Document, Path, shown
from schemas.entities import AbTest, Entity, Model, SelectionPolicy


def consistency(document: Document, found: Mapping[Path, Entity]) -> Iterator[Problem]:
    """Contradictions: each makes the file invalid."""
    first: dict[str, Path] = {}
    for path, entity in found.items():
        other = first.setdefault(entity.key, path)
        if other is not path:
            line = document.line(other)
            yield _at(document, path, f"{entity.key} is already given in line {line}")
        if isinstance(entity, Model):
            yield from _model(document, path, entity)
        elif isinstance(entity, AbTest):
            yield from _ab_test(document, path, entity)
        else:
            yield from _policy(document, path, entity)


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


def _model(document: Document, path: Path, model: Model) -> Iterator[Problem]:
    for i, (before, price) in enumerate(pairwise(model.prices), 1):
        if price.valid_from <= before.valid_from:
            where = (*path, "prices", i, "valid_from")
            yield _at(document, where, "prices must be in order of time, each valid_from once")
    if not model.capabilities:
        yield _at(document, (*path, "capabilities"), "must name at least one capability")
    yield from _once(document, (*path, "capabilities"), model.capabilities, "is given twice")


def _ab_test(document: Document, path: Path, test: AbTest) -> Iterator[Problem]:
    arms = [arm.arm for arm in test.arms]
    yield from _once(document, (*path, "arms"), arms, "arms must have different names")
    if test.baseline not in arms:
        text = f"{test.baseline!r} is none of the arms: {', '.join(arms)}"
        yield _at(document, (*path, "baseline"), text)
    metrics = [goal.metric for goal in test.metrics]
    yield from _once(document, (*path, "metrics"), metrics, "is given twice")
    if not any(goal.role == "primary" for goal in test.metrics):
        yield _at(document, (*path, "metrics"), "one metric must have the role primary")


def _policy(document: Document, path: Path, policy: SelectionPolicy) -> Iterator[Problem]:
    weights = policy.weights
    if not weights.quality + weights.cost_usd + weights.latency_ms + weights.error:
        yield _at(document, (*path, "weights"), "at least one weight must be above 0")
    yield from _once(document, (*path, "fallback"), policy.fallback, "is given twice")


def _once(document: Document, path: Path, names: Sequence[str], text: str) -> Iterator[Problem]:
    for i, name in enumerate(names):
        if name in names[:i]:
            yield _at(document, (*path, i), f"{name!r}: {text}")
