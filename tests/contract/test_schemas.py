"""The schemas: ids only grow, every version reads every earlier one, and the code says the same."""

import copy
import dataclasses
import json
import types
import typing
from collections.abc import Mapping
from datetime import datetime
from importlib import resources
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest

from schemas import records
from schemas.catalog import committed
from schemas.compatibility import obstacle
from schemas.topics import TOPICS
from tests.contract import lock

IDS: dict[str, dict[str, Any]] = json.loads((resources.files("schemas") / "ids.json").read_text())
NAMES = sorted({entry["record"] for entry in IDS.values()})
CONTROL = sorted(c.__name__ for c in get_args(records.ControlRecord))


def test_ids_are_positive_numbers_and_files_stand_for_one_id() -> None:
    assert all(key == str(int(key)) and 0 < int(key) < 2**31 for key in IDS)
    files = [entry["file"] for entry in IDS.values()]
    assert len(set(files)) == len(files)
    versions = [(entry["record"], entry["version"]) for entry in IDS.values()]
    assert len(set(versions)) == len(versions)


def test_every_schema_file_has_an_id_and_names_its_record() -> None:
    folder = resources.files("schemas")
    on_disk = {entry.name for entry in folder.iterdir() if entry.name.endswith(".avsc")}
    assert on_disk == {entry["file"] for entry in IDS.values()}
    for entry in IDS.values():
        source = json.loads((folder / entry["file"]).read_text())
        assert source["name"] == entry["record"]
        assert source["namespace"] == "rheostat"


@pytest.mark.parametrize("record", NAMES)
def test_versions_count_from_one_and_later_ones_have_larger_ids(record: str) -> None:
    versions = committed().versions(record)
    assert [s.version for s in versions] == list(range(1, len(versions) + 1))
    assert [s.schema_id for s in versions] == sorted(s.schema_id for s in versions)


def test_what_was_published_under_an_id_stays() -> None:
    """Messages under an id lie in topics for weeks: its schema is never edited, only followed."""
    assert lock.published().items() <= lock.present().items()


def test_every_id_is_locked() -> None:
    missing = lock.present().keys() - lock.published().keys()
    assert not missing, "run python -m tests.contract.lock and commit what it writes"


def test_the_lock_sees_an_edit_and_forgives_documentation() -> None:
    source = copy.deepcopy(dict(committed().newest("Alert").source))
    before = lock.checksum(source)
    source["fields"][0]["doc"] = "better words"
    assert lock.checksum(source) == before
    source["fields"][0]["name"] = "alert_identity"
    assert lock.checksum(source) != before


@pytest.mark.parametrize("record", NAMES)
def test_every_version_reads_all_before_it(record: str) -> None:
    versions = committed().versions(record)
    for i, reader in enumerate(versions):
        for writer in versions[: i + 1]:
            assert obstacle(writer.source, reader.source) is None


@pytest.mark.parametrize("record", NAMES)
def test_names_are_never_reused_by_alias(record: str) -> None:
    """The columnar decoder goes by names: a rename is a new field."""
    assert "aliases" not in json.dumps([s.source for s in committed().versions(record)])


def changed(change: Mapping[str, Any], name: str = "latency_ms") -> dict[str, Any]:
    """InferenceEvent with one field replaced."""
    source = copy.deepcopy(dict(committed().newest("InferenceEvent").source))
    source["fields"] = [{**f, **change} if f["name"] == name else f for f in source["fields"]]
    return source


def added(field: Mapping[str, Any]) -> dict[str, Any]:
    """InferenceEvent with one more field."""
    source = copy.deepcopy(dict(committed().newest("InferenceEvent").source))
    source["fields"].append(field)
    return source


@pytest.mark.parametrize(
    ("reader", "says"),
    [
        (changed({"type": "string"}), "string"),
        (changed({"type": "int"}), "int"),
        (changed({"name": "duration_ms"}), "duration_ms"),
        (changed({"type": "string"}, "quality"), "not compatible"),
        (added({"name": "region", "type": "string"}), "region"),
    ],
)
def test_an_incompatible_change_is_caught(reader: dict[str, Any], says: str) -> None:
    writer = committed().newest("InferenceEvent").source
    assert says in str(obstacle(writer, reader))


@pytest.mark.parametrize(
    "reader",
    [
        added({"name": "region", "type": ["null", "string"], "default": None}),
        added({"name": "retries", "type": "int", "default": 0}),
        changed({"type": ["null", "double"], "default": None}),
        changed({"type": "double", "doc": "other words"}),
    ],
)
def test_a_compatible_change_is_not(reader: dict[str, Any]) -> None:
    assert obstacle(committed().newest("InferenceEvent").source, reader) is None


def test_every_topic_s_record_has_a_schema() -> None:
    for spec in TOPICS.values():
        if spec.record is not None:
            assert committed().newest(spec.record).record == spec.record


@pytest.mark.parametrize("name", CONTROL)
def test_the_values_in_code_are_the_records_of_the_schema(name: str) -> None:
    seen: dict[str, Any] = {}
    compare(getattr(records, name), dict(committed().newest(name).source), name, seen)
    assert seen


def compare(hint: Any, avro: Any, where: str, seen: dict[str, Any]) -> None:
    """Fails at the first place where a type in code and a type in Avro differ."""
    if isinstance(avro, str) and avro in seen:
        avro = seen[avro]
    if isinstance(avro, list):
        compare_union(hint, avro, where, seen)
        return
    kind = avro if isinstance(avro, str) else avro["type"]
    if kind == "enum":
        seen[avro["name"]] = avro
    if dataclasses.is_dataclass(hint):
        named: Any = hint
        assert (kind, avro["name"]) == ("record", named.__name__), where
        seen[avro["name"]] = seen[f"rheostat.{avro['name']}"] = avro
        hints = get_type_hints(hint)
        fields = {f.name: hints[f.name] for f in dataclasses.fields(hint)}
        assert set(fields) == {f["name"] for f in avro["fields"]}, where
        for field in avro["fields"]:
            compare(fields[field["name"]], field["type"], f"{where}.{field['name']}", seen)
    elif get_origin(hint) is tuple:
        assert kind == "array", where
        compare(get_args(hint)[0], avro["items"], f"{where}[]", seen)
    elif get_origin(hint) is Literal:
        assert kind == "string" or set(get_args(hint)) == set(avro["symbols"]), where
    elif hint is datetime:
        assert avro == {"type": "long", "logicalType": "timestamp-millis"}, where
    else:
        taken = {
            str: {"string"},
            bytes: {"bytes"},
            int: {"int", "long"},
            float: {"double"},
            bool: {"boolean"},
        }
        assert kind in taken[hint], where


def compare_union(hint: Any, branches: list[Any], where: str, seen: dict[str, Any]) -> None:
    assert get_origin(hint) in (Union, types.UnionType), where
    hints = get_args(hint)
    assert (type(None) in hints) == ("null" in branches), where
    values = [h for h in hints if h is not type(None)]
    others = [b for b in branches if b != "null"]
    assert len(values) == len(others), where
    named = {typing.cast(type, h).__name__: h for h in values if dataclasses.is_dataclass(h)}
    for branch in others:
        name = branch.get("name") if isinstance(branch, dict) else None
        compare(named.get(str(name), values[0]), branch, f"{where}|{name}", seen)


def test_the_comparison_sees_a_difference() -> None:
    source = copy.deepcopy(dict(committed().newest("Alert").source))
    source["fields"][0]["type"] = "long"
    with pytest.raises(AssertionError, match="Alert"):
        compare(records.Alert, source, "Alert", {})


def test_hints_are_resolved() -> None:
    """`compare` would compare nothing if annotations stayed texts."""
    assert typing.get_type_hints(records.Alert)["raised_at"] is datetime
