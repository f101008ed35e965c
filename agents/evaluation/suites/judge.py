"""What is wrong with an entity of a registry file, its scorers and its endpoint's style too.

The registry agent judges scorers without this: it neither loads the scorers' modules nor needs the
packages of others' scorers.
"""

from collections.abc import Iterator

from agents.evaluation.runner.adapters import styles
from agents.evaluation.scorers.check import of_suite
from agents.registry.checks import Judge
from agents.registry.validity import Contradiction, contradictions, unknown_style
from schemas.entities import Entity, Model
from schemas.suites import Dataset, Suite
from streams.registry_view import RegistrySnapshot


def judge_with(registry: RegistrySnapshot) -> Judge:
    """For `agents.registry.file.parse`. Suites that the registry has already are not judged again:
    a version never changes."""

    def judge(entity: Entity) -> Iterator[Contradiction]:
        found = list(contradictions(entity))
        yield from found
        if isinstance(entity, Model):
            yield from unknown_style(registry.entity(Model, entity.key), entity, styles())
        if isinstance(entity, Suite) and not found and registry.get(entity.key) is None:
            key = f"{entity.org_id}/{Dataset.kind}/{entity.dataset_id}/{entity.dataset_version}"
            yield from of_suite(entity, registry.entity(Dataset, key))

    return judge
