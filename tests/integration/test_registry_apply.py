"""Applying the registry: only changes are written, whole or not at all, one at a time."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from confluent_kafka import Producer

from agents import registry_apply
from agents.errors import RegistryConflict
from agents.registry_apply import Applied, apply
from infra.settings import Settings
from infra.workers import kafka_config
from schemas.catalog import committed
from schemas.entities import Model, Price, SelectionPolicy
from schemas.topics import Topic
from schemas.wire import Codec
from streams.registry_view import RegistrySnapshot, RegistryView
from tests.support.servers import Kafka

pytestmark = pytest.mark.integration
CODEC = Codec(committed())
SINCE = datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)
MODEL = Model("acme", "small", "1", "us", ("chat",), prices=(Price(SINCE, 0.1, 0.2),))
POLICY = SelectionPolicy("acme", "chat")


def registry(settings: Settings) -> RegistrySnapshot:
    with RegistryView(kafka_config(settings), CODEC) as view:
        return view.wait_loaded(30)


def test_applying_again_changes_nothing_and_a_change_has_the_next_version(
    kafka: Kafka, settings: Settings
) -> None:
    config = kafka_config(settings)
    assert apply([MODEL, POLICY], config, CODEC, "me") == [
        Applied(MODEL.key, "created", 1),
        Applied(POLICY.key, "created", 1),
    ]
    again = apply([MODEL, POLICY], config, CODEC, "me")
    assert [a.outcome for a in again] == ["unchanged", "unchanged"]
    retired = replace(MODEL, status="retired")
    assert apply([retired, POLICY], config, CODEC, "you") == [
        Applied(MODEL.key, "updated", 2),
        Applied(POLICY.key, "unchanged", 1),
    ]
    assert len(list(kafka.read_all(config.topic(Topic.REGISTRY)))) == 3
    fact = registry(settings).models[MODEL.key]
    assert (fact.version, fact.author) == (2, "you")
    assert isinstance(fact.entity, Model)
    assert fact.entity.status == "retired"


def test_the_slower_of_two_appliers_takes_no_effect(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = kafka_config(settings)
    plan = registry_apply.plan

    def overtaken(*args: object) -> object:
        monkeypatch.setattr(registry_apply, "plan", plan)
        apply([replace(POLICY, min_samples=7)], config, CODEC, "faster")
        return plan(*args)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr(registry_apply, "plan", overtaken)
    with pytest.raises(RegistryConflict, match="run it again"):
        apply([MODEL, POLICY], config, CODEC, "slower")
    found = registry(settings)
    assert found.models == {}
    assert found.policies[POLICY.key].author == "faster"


def test_an_applier_that_died_leaves_nothing(settings: Settings) -> None:
    config = kafka_config(settings)
    dead = Producer(config.producer(transactional_id=config.group("registry-apply")))
    dead.init_transactions(30)
    dead.begin_transaction()
    dead.produce(config.topic(Topic.REGISTRY), b"half a fact", b"key")
    dead.flush(30)
    assert apply([MODEL], config, CODEC, "me") == [Applied(MODEL.key, "created", 1)]
    assert list(registry(settings).models) == [MODEL.key]
