"""A dataset comes into being, in this order:

1. Look whether the version exists: then its cases are these, or it is refused. The cases of a
   dataset that exists are never overwritten by others.
2. Publish the cases. Until it is created nobody reads them; whatever fails now is repaired by doing
   all of it again.
3. Create the dataset in the registry, with the hash of its cases.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from agents.errors import RegistryConflict
from agents.evaluation.datasets.contents import described
from agents.evaluation.datasets.errors import DatasetChanged
from agents.evaluation.datasets.publish import Progress, publish
from agents.registry.client import TIMEOUT_S, RegistryClient, Sender
from schemas.commands import Change
from schemas.evaluations import DatasetCase
from schemas.suites import Dataset
from schemas.wire import Codec
from streams.kafka import KafkaConfig
from streams.registry_view import RegistrySnapshot, RegistryView


@dataclass(frozen=True, slots=True)
class Created:
    """What became of it. `unchanged`: the version was there, with the same cases."""

    dataset: Dataset
    outcome: Literal["created", "unchanged"]


@dataclass(frozen=True, slots=True)
class Datasets:
    """What it takes to create datasets. For any number of threads."""

    kafka: KafkaConfig
    codec: Codec
    view: RegistryView
    client: RegistryClient

    def create(
        self,
        draft: Dataset,
        cases: Sequence[DatasetCase],
        sender: Sender,
        progress: Progress | None = None,
        again: bool = False,
    ) -> Created:
        """`draft`: without what its cases say. `again`: publish also what is there already.

        Raises DatasetChanged, CaseInvalid, PublishFailed, CommandRefused, Unavailable, StreamError.
        """
        dataset = described(draft, cases)
        exists = _exists(self.view.catch_up(TIMEOUT_S), dataset)  # 1
        if not exists or again:
            publish(self.kafka, self.codec, dataset, cases, progress)  # 2
        if exists:
            return Created(dataset, "unchanged")
        try:
            self.client.submit([Change("create", dataset.key, None, dataset)], sender)  # 3
        except RegistryConflict:
            # Somebody else was faster, perhaps with the same cases.
            if not _exists(self.view.catch_up(TIMEOUT_S), dataset):
                raise
            return Created(dataset, "unchanged")
        return Created(dataset, "created")


def _exists(registry: RegistrySnapshot, dataset: Dataset) -> bool:
    """Raises DatasetChanged when the version exists, or existed, with other cases."""
    last = registry.last(dataset.key)
    if last is None or not isinstance(last.entity, Dataset):
        return False
    if last.entity.content_sha256 != dataset.content_sha256:
        gone = " (it was deleted)" if last.deleted else ""
        raise DatasetChanged(
            f"{dataset.dataset_id} {dataset.dataset_version} has other cases{gone}, and a version "
            "never changes: import these under a new version"
        )
    return not last.deleted
