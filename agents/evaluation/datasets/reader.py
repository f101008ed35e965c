"""Cases out of ClickHouse, in their order, a page at a time, once all of them are there."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter, ValidationError

from agents.evaluation.datasets.contents import ContentHash
from agents.evaluation.datasets.errors import DatasetIncomplete, NoSuchDataset
from schemas.evaluations import DatasetCase
from schemas.suites import Dataset
from sinks.clickhouse import ClickHouse

PAGE_BYTES = 4 * 1024 * 1024
PAGE_CASES_MAX = 1000
_DATASET = TypeAdapter(Dataset)


@dataclass(slots=True)
class DatasetReader:
    """Like its connection not for several threads.

    Every method raises Backpressure when ClickHouse does not answer, SinkBroken when it refuses.
    """

    clickhouse: ClickHouse
    _verified: dict[str, str] = field(default_factory=dict, repr=False)

    def dataset(self, org_id: str, dataset_id: str, dataset_version: str) -> Dataset:
        """As it was created; also when it was deleted since. Raises NoSuchDataset."""
        key = f"{org_id}/{Dataset.kind}/{dataset_id}/{dataset_version}"
        rows = self._rows(_ENTITY, org_id=org_id, key=key)
        if not rows:
            raise NoSuchDataset(f"{key} is not in ClickHouse: create it, or wait for the sinks")
        try:
            dataset: Dataset = _DATASET.validate_python(json.loads(rows[0][0]))
        except (ValueError, ValidationError) as error:
            raise NoSuchDataset(f"{key} cannot be read from ClickHouse: {error}") from error
        return dataset

    def cases(
        self,
        org_id: str,
        dataset_id: str,
        dataset_version: str,
        split: str | None = None,
        start: int = 0,
    ) -> Iterator[DatasetCase]:
        """The cases of the split (None: all) in their order, without the first `start` of them.

        Before the first one comes, all of the dataset's cases are there and have its hash; a reader
        looks once. Raises NoSuchDataset, DatasetIncomplete: both may pass by themselves.
        """
        dataset = self.dataset(org_id, dataset_id, dataset_version)
        self.verify(dataset)
        place = start if split is None else self._place(dataset, split, start)
        if place is None:
            return
        for case in self._from(dataset, place):
            if split is None or case.split == split:
                yield case

    def verify(self, dataset: Dataset) -> None:
        """Raises DatasetIncomplete unless ClickHouse has exactly its cases."""
        if self._verified.get(dataset.key) == dataset.content_sha256:
            return
        ((found,),) = self._rows(_COUNT, **_of(dataset), end=dataset.cases)
        if found < dataset.cases:
            raise _incomplete(dataset, found)
        digest = ContentHash()
        for case in self._from(dataset, 0):
            digest.add(case)
        if digest.hexdigest() != dataset.content_sha256:
            raise DatasetIncomplete(
                f"{dataset.key}: ClickHouse holds other cases than those it was created with, "
                f"{_REMEDY}"
            )
        self._verified[dataset.key] = dataset.content_sha256

    def all_of(self, dataset: Dataset) -> Iterator[DatasetCase]:
        """Every case, once all are there. Raises DatasetIncomplete."""
        self.verify(dataset)
        yield from self._from(dataset, 0)

    def page(self, dataset: Dataset, place: int, cases: int) -> list[DatasetCase]:
        """At most so many cases from a place on, unverified: to look at."""
        end = min(place + cases, dataset.cases)
        return [
            DatasetCase(case_id, fields, split, tuple(tags), cluster)
            for case_id, fields, split, tags, cluster in self._rows(
                _PAGE, **_of(dataset), place=place, end=end
            )
        ]

    def _from(self, dataset: Dataset, place: int) -> Iterator[DatasetCase]:
        cases = 100
        while place < dataset.cases:
            page = self.page(dataset, place, cases)
            expected = min(cases, dataset.cases - place)
            if len(page) < expected:
                raise _incomplete(dataset, place + len(page))
            yield from page
            place += len(page)
            mean_bytes = sum(len(case.fields) for case in page) // len(page) + 1
            cases = max(1, min(PAGE_CASES_MAX, PAGE_BYTES // mean_bytes))

    def _place(self, dataset: Dataset, split: str, start: int) -> int | None:
        """Of the split's case number `start`; None when it has no more."""
        rows = self._rows(_PLACE, **_of(dataset), end=dataset.cases, split=split, start=start)
        return int(rows[0][0]) if rows else None

    def _rows(self, sql: str, **parameters: Any) -> list[tuple[Any, ...]]:
        return self.clickhouse.rows(sql, {"database": self.clickhouse.database, **parameters})


def _incomplete(dataset: Dataset, found: int) -> DatasetIncomplete:
    return DatasetIncomplete(
        f"{dataset.key}: ClickHouse holds {found:,} of its {dataset.cases:,} cases, {_REMEDY}"
    )


def _of(dataset: Dataset) -> dict[str, str]:
    return {
        "org_id": dataset.org_id,
        "dataset_id": dataset.dataset_id,
        "dataset_version": dataset.dataset_version,
    }


_REMEDY = (
    "perhaps because its import goes on: wait for the sinks. If they have caught up, import it "
    "again under the same version (rheostat datasets import --again)"
)

_ENTITY = """
SELECT entity
FROM {database:Identifier}.registry
WHERE org_id = {org_id:String} AND key = {key:String} AND entity != ''
ORDER BY version DESC
LIMIT 1
"""

_WHERE = """
FROM {database:Identifier}.evaluation_datasets
WHERE org_id = {org_id:String} AND dataset_id = {dataset_id:String}
  AND dataset_version = {dataset_version:String} AND place < {end:UInt64}
"""

_COUNT = f"SELECT uniqExact(place) {_WHERE}"

_PAGE = f"""
SELECT case_id, fields, split, tags, cluster
{_WHERE} AND place >= {{place:UInt64}}
ORDER BY place, src_offset DESC
LIMIT 1 BY place
"""

_PLACE = f"""
SELECT place
FROM (SELECT place, argMax(split, src_offset) AS newest {_WHERE} GROUP BY place)
WHERE newest = {{split:String}}
ORDER BY place
LIMIT 1 OFFSET {{start:UInt64}}
"""
