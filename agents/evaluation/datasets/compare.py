"""What differs between the cases of two datasets, such as two versions of one. Pure."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from schemas.evaluations import DatasetCase


@dataclass(frozen=True, slots=True)
class CaseDifference:
    """Cases by their ids. `moved`: the cases that both have come in another order."""

    added: Sequence[str]
    removed: Sequence[str]
    changed: Sequence[str]
    same: int
    moved: bool


def compare(before: Iterable[DatasetCase], after: Iterable[DatasetCase]) -> CaseDifference:
    """Reads each once and keeps a hash a case of the first."""
    old = {case.case_id: _digest(case) for case in before}
    added, changed, kept = list[str](), list[str](), list[str]()
    for case in after:
        digest = old.get(case.case_id)
        if digest is None:
            added.append(case.case_id)
            continue
        kept.append(case.case_id)
        if digest != _digest(case):
            changed.append(case.case_id)
    still = set(kept)
    removed = [case_id for case_id in old if case_id not in still]
    moved = kept != [case_id for case_id in old if case_id in still]
    return CaseDifference(added, removed, changed, len(kept) - len(changed), moved)


def _digest(case: DatasetCase) -> bytes:
    parts = [case.fields, case.split, case.tags, case.cluster]
    return hashlib.sha256(json.dumps(parts).encode()).digest()


def exported(case: DatasetCase) -> str:
    """One line of JSON, ended by a line feed, that the import takes without a mapping."""
    value = {
        "case_id": case.case_id,
        "fields": json.loads(case.fields),
        "split": case.split,
        "tags": list(case.tags),
        "cluster": case.cluster,
    }
    return json.dumps(value, ensure_ascii=False) + "\n"
