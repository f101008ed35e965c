"""What was ever written to the registry stays readable: to us, and by the rules of Avro."""

import json
from typing import Any

import avro.name
import avro.schema
import pytest
from avro.compatibility import (
    ReaderWriterCompatibilityChecker,
    SchemaCompatibilityType,
)

from schemas.catalog import committed, writer_schema
from schemas.commands import Change, Outcome, Problem, RegistryCommand
from schemas.convert import from_record, to_record
from schemas.entities import (
    ENTITIES,
    AbTest,
    Arm,
    Entity,
    Model,
    Price,
)
from schemas.records import AppliedCommand, RegistryFact
from schemas.wire import HEADER, Codec
from tests.support.commands import NOW
from tests.support.entities import FULL, TEST

CATALOG = committed()
CODEC = Codec(CATALOG)
RECORDS = sorted({schema.record for schema in CATALOG.schemas.values()})
MODEL_V1 = {
    "org_id": "acme",
    "model_id": "small",
    "model_version": "1",
    "provider": "us",
    "capabilities": ["chat"],
    "status": "active",
    "prices": [
        {
            "valid_from": NOW,
            "input_usd_per_mtok": 1.0,
            "output_usd_per_mtok": 2.0,
            "cached_input_usd_per_mtok": None,
        }
    ],
}


@pytest.mark.parametrize("record", RECORDS)
def test_every_version_reads_all_earlier_ones(record: str) -> None:
    versions = CATALOG.versions(record)
    assert [v.version for v in versions] == list(range(1, len(versions) + 1))
    parsed = [avro.schema.make_avsc_object(v.source, avro.name.Names()) for v in versions]
    for i, reader in enumerate(parsed):
        for writer in parsed[:i]:
            checker = ReaderWriterCompatibilityChecker()  # type: ignore[no-untyped-call]
            found = checker.get_compatibility(reader, writer)
            assert found.compatibility is SchemaCompatibilityType.compatible, found.messages


def test_a_command_carries_the_entities_of_a_fact() -> None:
    fact = CATALOG.newest("RegistryFact").source["fields"]
    command = CATALOG.newest("RegistryCommand").source["fields"]
    [entities] = [f["type"] for f in fact if f["name"] == "entity"]
    [changes] = [f["type"]["items"]["fields"] for f in command if f["name"] == "changes"]
    [carried] = [f["type"] for f in changes if f["name"] == "entity"]
    assert carried == ["null", *entities]
    assert {e["name"] for e in entities} == {cls.__name__ for cls in ENTITIES.values()}


def test_facts_of_the_first_schema_are_read_with_their_meaning() -> None:
    first = CATALOG.versions("RegistryFact")[0]
    old = writer_schema(first.schema_id, 1, first.source)
    payload = _written(old, {**_V1, "entity": ("rheostat.Model", MODEL_V1)})
    fact = from_record(RegistryFact, CODEC.decode(payload, "RegistryFact"))
    assert fact == RegistryFact(
        3, "me", NOW, "c", Model("acme", "small", "1", "us", ("chat",), prices=(Price(NOW, 1, 2),))
    )
    plain = json.loads(json.dumps(to_record(RegistryFact(3, "me", NOW, "c", TEST)), default=str))
    arms = [
        {k: v for k, v in arm.items() if k != "model_version"} for arm in plain["entity"][1]["arms"]
    ]
    test = {**plain["entity"][1], "arms": arms}
    payload = _written(old, {**_V1, "entity": ("rheostat.AbTest", test)})
    fact = from_record(RegistryFact, CODEC.decode(payload, "RegistryFact"))
    assert isinstance(fact.entity, AbTest)
    assert fact.entity.arms == (Arm("a", "small"), Arm("b", "large", 2.0))


_V1: dict[str, Any] = {"version": 3, "author": "me", "accepted_at": NOW, "command_id": "c"}


def _written(schema: Any, value: dict[str, Any]) -> bytes:
    class Only:
        def by_id(self, schema_id: int) -> Any:
            return schema

        def newest(self, record: str) -> Any:
            return schema

    payload = Codec(Only()).encode("RegistryFact", value)
    assert HEADER.unpack_from(payload)[1] == schema.schema_id
    return payload


@pytest.mark.parametrize("entity", FULL, ids=lambda e: e.kind)
def test_every_entity_survives_the_wire(entity: Entity) -> None:
    fact = RegistryFact(2, "me", NOW, "c", entity, True, (AppliedCommand("c", 2),))
    payload = CODEC.encode("RegistryFact", to_record(fact))
    assert from_record(RegistryFact, CODEC.decode(payload, "RegistryFact")) == fact
    outcome = Outcome("conflict", NOW, (1,), (Problem(0, entity.key, "f", "t", 3),))
    change = Change("update", entity.key, 1, entity)
    command = RegistryCommand("c", "me", "acme", NOW, NOW, (change, Change("delete", "k")), outcome)
    payload = CODEC.encode("RegistryCommand", to_record(command))
    assert from_record(RegistryCommand, CODEC.decode(payload, "RegistryCommand")) == command


def test_the_samples_cover_every_kind() -> None:
    assert {type(entity) for entity in FULL} == set(ENTITIES.values())
