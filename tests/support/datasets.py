"""Datasets for tests, and a ClickHouse that holds them."""

from collections.abc import Iterable, Sequence

from agents.evaluation.datasets.contents import dataset_case, described, parts
from schemas.catalog import committed
from schemas.convert import to_record
from schemas.evaluations import DatasetCase
from schemas.suites import Dataset
from schemas.wire import Codec
from sinks.dataset_rows import dataset_rows
from sinks.rows import Messages
from tests.support.events import WEEK_MS, batch, never_skipped

CODEC = Codec(committed())
DRAFT = Dataset("acme", "facts", "1", "0" * 64, 1, ())


def questions(count: int, word: str = "question") -> list[DatasetCase]:
    """Cases q0, q1, …, every third one in the split dev."""
    return [
        dataset_case(
            f"q{i}",
            {"question": f"{word} {i}", "answer": i},
            "dev" if i % 3 == 0 else "test",
            ("easy",),
            f"c{i // 2}",
        )
        for i in range(count)
    ]


def facts(cases: Sequence[DatasetCase]) -> Dataset:
    """The dataset of these cases."""
    return described(DRAFT, cases)


def encoded(dataset: Dataset, cases: Iterable[DatasetCase]) -> list[bytes]:
    """Its messages."""
    return [CODEC.encode("DatasetPart", to_record(part)) for part in parts(dataset, cases)]


def messages(values: Sequence[bytes], first_offset: int = 0) -> Messages:
    """Messages as the sink reads them."""
    offsets = range(first_offset, first_offset + len(values))
    keys = [b"key"] * len(values)
    return Messages(batch(values), 0, offsets, keys, committed(), WEEK_MS, skip=never_skipped)


def rows(dataset: Dataset, cases: Iterable[DatasetCase], first_offset: int = 0) -> object:
    """Rows as the sink inserts them."""
    return dataset_rows(messages(encoded(dataset, cases), first_offset))
