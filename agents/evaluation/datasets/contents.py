"""What a dataset holds: cases in their one form, their hash, fields and splits. Pure."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from agents.evaluation.datasets.errors import CaseInvalid
from schemas.evaluations import DatasetCase, DatasetPart
from schemas.suites import Dataset, Split

FIELDS_CHARS_MAX = 100_000
"""Of a case's fields as JSON."""
NESTING_MAX = 100
"""Of lists and objects in one another: later readers can follow so many, whatever their stack."""
PART_BYTES_MAX = 1024 * 1024
"""Of one message's cases, unless a single case has more."""
PART_CASES_MAX = 1000
_CASE = TypeAdapter(DatasetCase)
_DATASET = TypeAdapter(Dataset)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Contents:
    """What the cases say of the dataset as a whole. `fields`: those that every case has."""

    content_sha256: str
    cases: int
    fields: tuple[str, ...]
    splits: tuple[Split, ...]


def dataset_case(
    case_id: str,
    fields: Mapping[str, Any],
    split: str = "",
    tags: Sequence[str] = (),
    cluster: str | None = None,
) -> DatasetCase:
    """A case in the one form that equal content has: fields as JSON in order of their names.

    Raises CaseInvalid for what is no JSON, not Unicode, too long, nested too deeply, or without any
    field.
    """
    if not fields:
        raise CaseInvalid("fields", "a case needs at least one field")
    if _deeper(fields.values(), NESTING_MAX):
        raise CaseInvalid("fields", f"lists and objects are nested more than {NESTING_MAX} deep")
    text = _canonical(fields)
    if len(text) > FIELDS_CHARS_MAX:
        raise CaseInvalid(
            "fields", f"{len(text):,} characters of JSON are more than {FIELDS_CHARS_MAX:,}"
        )
    plain = {
        "case_id": case_id,
        "fields": text,
        "split": split,
        "tags": tuple(tags),
        "cluster": cluster,
    }
    case: DatasetCase = _checked(_CASE, plain)
    for name, value in (("split", case.split), ("tags", "".join(case.tags))):
        _require_unicode(name, value)
    return case


def _checked(kind: TypeAdapter[T], value: object) -> T:
    try:
        return kind.validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise CaseInvalid(".".join(str(p) for p in first["loc"]), first["msg"]) from error


def _deeper(values: Iterable[Any], most: int) -> bool:
    """Whether some value has more than so many lists and objects in one another."""
    level = list(values)
    for _ in range(most + 1):
        inside = [v for v in level if isinstance(v, Mapping | list | tuple)]
        if not inside:
            return False
        level = [x for v in inside for x in (v.values() if isinstance(v, Mapping) else v)]
    return True


def _canonical(fields: Mapping[str, Any]) -> str:
    try:
        text = json.dumps(
            fields, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")
        )
    except (TypeError, ValueError, RecursionError) as error:
        raise CaseInvalid("fields", f"cannot be written as JSON: {error}") from error
    _require_unicode("fields", text)
    return text


def _require_unicode(field: str, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        where = f"character {error.start + 1}"
        raise CaseInvalid(field, f"half a surrogate pair is no character ({where})") from error


class ContentHash:
    """SHA-256 of cases in their order, one line each: [case_id, fields, split, tags, cluster].

    A line is that JSON array in UTF-8 without spaces, where fields is their JSON as a text, and
    ends in a line feed.
    """

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(self, case: DatasetCase) -> None:
        """The next case."""
        line = [case.case_id, case.fields, case.split, list(case.tags), case.cluster]
        text = json.dumps(line, ensure_ascii=False, separators=(",", ":"))
        self._hash.update(text.encode() + b"\n")

    def hexdigest(self) -> str:
        """Of the cases so far."""
        return self._hash.hexdigest()


def contents(cases: Iterable[DatasetCase]) -> Contents:
    """Reads the cases once."""
    digest, count = ContentHash(), 0
    shared: dict[str, None] | None = None
    splits: Counter[str] = Counter()
    for case in cases:
        digest.add(case)
        count += 1
        names = json.loads(case.fields).keys()
        shared = dict.fromkeys(names if shared is None else (n for n in shared if n in names))
        splits[case.split] += 1
    named = tuple(Split(name, n) for name, n in sorted(splits.items()) if name)
    return Contents(digest.hexdigest(), count, tuple(shared or ()), named)


def described(dataset: Dataset, cases: Iterable[DatasetCase]) -> Dataset:
    """The dataset with what its cases say of it.

    Raises CaseInvalid when there is none, or when a field of the dataset is wrong itself.
    """
    found = contents(cases)
    if not found.cases:
        raise CaseInvalid("", "a dataset needs at least one case")
    whole = replace(
        dataset,
        content_sha256=found.content_sha256,
        cases=found.cases,
        fields=found.fields,
        splits=found.splits,
    )
    return _checked(_DATASET, asdict(whole))


def parts(dataset: Dataset, cases: Iterable[DatasetCase]) -> Iterator[DatasetPart]:
    """The cases in messages of bounded size. The same cases always make the same parts."""
    first, size, held = 0, 0, list[DatasetCase]()
    for case in cases:
        weight = _weight_bytes(case)
        if held and (size + weight > PART_BYTES_MAX or len(held) == PART_CASES_MAX):
            yield _part(dataset, first, held)
            first, size, held = first + len(held), 0, []
        held.append(case)
        size += weight
    if held:
        yield _part(dataset, first, held)


def _part(dataset: Dataset, first: int, cases: Sequence[DatasetCase]) -> DatasetPart:
    return DatasetPart(
        dataset.org_id, dataset.dataset_id, dataset.dataset_version, first, tuple(cases)
    )


def _weight_bytes(case: DatasetCase) -> int:
    texts = (case.case_id, case.fields, case.split, case.cluster or "", *case.tags)
    return sum(len(text.encode()) + 5 for text in texts)
