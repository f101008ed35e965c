"""Exporting the registry and applying it again changes nothing."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
import yaml

from agents.registry.apply import plan
from agents.registry.export import export, to_json, to_yaml
from agents.registry.file import parse
from schemas.catalog import committed
from schemas.entities import ApiKey, KeyUse, SelectionPolicy
from schemas.records import RegistryFact
from schemas.suites import Dataset
from schemas.wire import Codec
from streams.registry_view import RegistrySnapshot
from tests.support.commands import NOW, Registry
from tests.support.entities import FULL, MODEL

CODEC = Codec(committed())
WRITTEN = {"yaml": to_yaml, "json": to_json}


def registry() -> RegistrySnapshot:
    facts = ((e.key, RegistryFact(3, "me", NOW, "c", e)) for e in FULL)
    return RegistrySnapshot().with_facts(facts)


@pytest.mark.parametrize("form", WRITTEN)
def test_what_is_exported_is_what_is_there(form: str) -> None:
    snapshot = registry()
    file = parse(WRITTEN[form](export(snapshot)), "export")
    expected = [e for e in FULL if not isinstance(e, ApiKey | KeyUse | Dataset)]
    assert sorted(file.entities, key=lambda e: e.key) == sorted(expected, key=lambda e: e.key)
    assert {a.outcome for a, _ in plan(file.entities, snapshot, CODEC)} == {"unchanged"}


def test_odd_texts_and_times_survive() -> None:
    moment = datetime(2026, 5, 4, 3, 2, 1, 999000, tzinfo=UTC)
    odd = [
        replace(MODEL, model_version=v, description=d, retires_at=moment)
        for v, d in (
            ("1", "- a: b"),
            ("2026-01-01", "é\n  ' \" \t"),
            ("null", "# x"),
            ("1e3", "no"),
        )
    ]
    file = parse(to_yaml(export(Registry(*odd).snapshot)), "export")
    assert sorted(file.entities, key=lambda e: e.key) == sorted(odd, key=lambda e: e.key)


def test_one_organisation_can_be_exported_and_keys_never_are() -> None:
    snapshot = Registry(*registry_policies()).snapshot
    document = export(snapshot, "globex")
    assert [row["org_id"] for rows in document.values() for row in rows] == ["globex"]
    assert export(snapshot, "nobody") == {}
    text = to_yaml(export(registry()))
    assert "0" * 64 not in text
    assert "abcdefghijkl" not in text


def registry_policies() -> list[SelectionPolicy]:
    return [SelectionPolicy("acme", "chat"), SelectionPolicy("globex", "chat")]


def test_defaults_are_left_out() -> None:
    document = export(Registry(SelectionPolicy("acme", "chat")).snapshot)
    assert document == {"policies": [{"org_id": "acme", "capability": "chat"}]}
    assert yaml.safe_load(to_yaml(document)) == document
    assert parse(to_yaml(document), "f").entities == (SelectionPolicy("acme", "chat"),)
