"""Datasets through the real broker into the real engine, and back."""

import uuid
from dataclasses import replace
from typing import Any

import pytest

from agents.errors import CommandRefused
from agents.evaluation.datasets.contents import dataset_case
from agents.evaluation.datasets.create import Datasets
from agents.evaluation.datasets.errors import (
    DatasetChanged,
    DatasetIncomplete,
    NoSuchDataset,
    PublishFailed,
)
from agents.evaluation.datasets.reader import DatasetReader
from agents.registry.client import RegistryClient, Sender
from infra.settings import Settings
from infra.workers import kafka_config
from schemas.records import RegistryFact
from schemas.suites import Dataset
from schemas.topics import Topic
from sinks.clickhouse import ClickHouse
from sinks.dataset_rows import dataset_rows
from sinks.migrate import TableOptions, apply
from sinks.registry_rows import registry_rows
from streams.registry_view import RegistryView
from tests.support.commands import NOW, change
from tests.support.datasets import CODEC, DRAFT, encoded, facts, messages, questions, rows
from tests.support.registry import registry_agent
from tests.support.servers import ClickHouseServer, Kafka

pytestmark = pytest.mark.integration
ME = Sender("me", "acme")


@pytest.fixture
def reader(clickhouse: ClickHouseServer) -> DatasetReader:
    name = f"datasets_{uuid.uuid4().hex[:8]}"
    apply(ClickHouse(clickhouse.url), TableOptions(database=name))
    return DatasetReader(ClickHouse(clickhouse.url, name))


def created(reader: DatasetReader, dataset: Dataset) -> None:
    from schemas.convert import to_record

    value = CODEC.encode("RegistryFact", to_record(RegistryFact(1, "me", NOW, "c", dataset)))
    table = registry_rows(replace(messages([value]), keys=[dataset.key.encode()]))
    reader.clickhouse.insert("registry", table, uuid.uuid4().hex)


def stored(reader: DatasetReader, table: object) -> None:
    reader.clickhouse.insert("evaluation_datasets", table, uuid.uuid4().hex)


def test_cases_come_back_in_order_page_by_page(
    reader: DatasetReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    from agents.evaluation.datasets import contents
    from agents.evaluation.datasets import reader as module

    monkeypatch.setattr(contents, "PART_CASES_MAX", 64)
    monkeypatch.setattr(module, "PAGE_CASES_MAX", 30)
    cases = questions(450)
    dataset = facts(cases)
    created(reader, dataset)
    stored(reader, rows(dataset, cases))
    assert reader.dataset("acme", "facts", "1") == dataset
    assert list(reader.cases("acme", "facts", "1")) == cases
    assert list(reader.cases("acme", "facts", "1", start=447)) == cases[447:]
    assert list(reader.cases("acme", "facts", "1", start=450)) == []
    dev = [case for case in cases if case.split == "dev"]
    assert list(reader.cases("acme", "facts", "1", "dev")) == dev
    assert list(reader.cases("acme", "facts", "1", "dev", 140)) == dev[140:]
    assert list(reader.cases("acme", "facts", "1", "dev", 150)) == []
    assert list(reader.cases("acme", "facts", "1", "none")) == []


def test_nothing_is_read_before_everything_is_there(reader: DatasetReader) -> None:
    cases = questions(10)
    dataset = facts(cases)
    with pytest.raises(NoSuchDataset, match="acme/dataset/facts/1 is not in ClickHouse"):
        next(reader.cases("acme", "facts", "1"))
    created(reader, dataset)
    with pytest.raises(DatasetIncomplete, match="0 of its 10 cases") as caught:
        next(reader.cases("acme", "facts", "1"))
    assert caught.value.retry_after_s > 0
    stored(reader, rows(dataset, cases[:4]))
    with pytest.raises(DatasetIncomplete, match="4 of its 10 cases"):
        next(reader.cases("acme", "facts", "1"))
    with pytest.raises(NoSuchDataset):
        next(reader.cases("globex", "facts", "1"))


def test_a_publication_that_was_never_finished_is_no_part_of_the_next_one(
    reader: DatasetReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    from agents.evaluation.datasets import contents

    abandoned, cases = questions(12, "old"), questions(8, "new")
    dataset = facts(cases)
    monkeypatch.setattr(contents, "PART_CASES_MAX", 3)
    stored(reader, rows(facts(abandoned), abandoned, 0))
    created(reader, dataset)
    with pytest.raises(DatasetIncomplete, match="other cases than those"):
        next(reader.cases("acme", "facts", "1"))
    monkeypatch.setattr(contents, "PART_CASES_MAX", 5)
    stored(reader, rows(dataset, cases, 100))
    assert list(reader.cases("acme", "facts", "1")) == cases
    dev = [case for case in cases if case.split == "dev"]
    assert list(reader.cases("acme", "facts", "1", "dev", 1)) == dev[1:]


def test_creating_publishes_once_and_refuses_other_cases(kafka: Kafka, settings: Settings) -> None:
    config = kafka_config(settings)
    topic = config.topic(Topic.EVALUATION_DATASETS)
    cases, seen = questions(7), list[int]()
    with (
        registry_agent(settings),
        RegistryView(config, CODEC) as view,
        RegistryClient(config, CODEC, view) as client,
    ):
        datasets = Datasets(config, CODEC, view, client)
        made = datasets.create(DRAFT, cases, ME, seen.append)
        assert (made.outcome, made.dataset, seen) == ("created", facts(cases), [7])
        assert view.snapshot().entity(Dataset, DRAFT.key) == facts(cases)
        assert datasets.create(DRAFT, cases, ME).outcome == "unchanged"
        assert [m.value() for m in kafka.read_all(topic)] == encoded(facts(cases), cases)
        assert datasets.create(DRAFT, cases, ME, again=True).outcome == "unchanged"
        keys = [m.key() for m in kafka.read_all(topic)]
        assert keys == [b"acme/facts/1/0"] * 2
        with pytest.raises(DatasetChanged, match="import these under a new version"):
            datasets.create(DRAFT, questions(6), ME)
        client.submit([change("delete", made.dataset)], ME)
        with pytest.raises(DatasetChanged, match="it was deleted"):
            datasets.create(DRAFT, questions(6), ME)
        assert datasets.create(DRAFT, cases, ME).outcome == "created"
        with pytest.raises(CommandRefused, match="another organisation"):
            datasets.create(replace(DRAFT, org_id="globex"), cases, ME)


def test_a_topic_that_is_missing_is_named(settings: Settings) -> None:
    from agents.evaluation.datasets.publish import publish

    config = replace(kafka_config(settings), topic_prefix="nowhere-")
    cases = questions(1)
    with pytest.raises(PublishFailed, match="nowhere-evaluation-datasets"):
        publish(config, CODEC, facts(cases), cases)


def test_what_is_no_part_of_a_dataset_becomes_no_row(reader: DatasetReader) -> None:
    skipped: list[str] = []
    record = {"org_id": "a", "dataset_id": "d", "dataset_version": "1", "first": -1, "cases": []}
    case: dict[str, Any] = {
        "case_id": "c",
        "fields": "{}",
        "split": "",
        "tags": [],
        "cluster": None,
    }
    values = [
        b"junk",
        CODEC.encode("DatasetPart", {**record, "cases": [case]}),
        CODEC.encode("DatasetPart", record),
    ]
    given = replace(messages(values), skip=lambda offset, why: skipped.append(f"{offset} {why}"))
    assert dataset_rows(given).num_rows == 0
    assert [text.partition(" ")[0] for text in skipped] == ["0", "1"]


def test_texts_of_every_kind_come_back_as_they_were(reader: DatasetReader) -> None:
    nasty = ["\x00", "'; DROP TABLE x; --", "\\N", "\t\n\r", "🙂", "é", "{x}", "a" * 90_000]
    cases = [dataset_case(f"c{i}", {"x": text}) for i, text in enumerate(nasty)]
    dataset = facts(cases)
    created(reader, dataset)
    stored(reader, rows(dataset, cases))
    assert list(reader.cases("acme", "facts", "1")) == cases
