"""Applying the registry: only changes are sent, and take effect whole or not at all."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from agents.errors import CommandRefused, RegistryConflict
from agents.registry import apply as registry_apply
from agents.registry.apply import Applied, apply
from infra.settings import Settings
from infra.workers import kafka_config
from schemas.catalog import committed
from schemas.commands import Change
from schemas.entities import Alias, Entity, Model, Price, SelectionPolicy
from schemas.topics import Topic
from schemas.wire import Codec
from streams.registry_view import RegistrySnapshot, RegistryView
from tests.support.registry import registry_agent
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
    with registry_agent(settings):
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

    def overtaken(
        entities: Sequence[Entity], snapshot: RegistrySnapshot, codec: Codec
    ) -> list[tuple[Applied, Change]]:
        monkeypatch.setattr(registry_apply, "plan", plan)
        apply([replace(POLICY, min_samples=7)], config, CODEC, "faster")
        return plan(entities, snapshot, codec)

    monkeypatch.setattr(registry_apply, "plan", overtaken)
    with (
        registry_agent(settings),
        pytest.raises(RegistryConflict, match="exists already, in version 1") as caught,
    ):
        apply([MODEL, POLICY], config, CODEC, "slower")
    assert caught.value.current_version == 1
    found = registry(settings)
    assert found.models == {}
    assert found.policies[POLICY.key].author == "faster"


def test_one_refused_entity_refuses_them_all_and_every_reason_is_told(settings: Settings) -> None:
    config = kafka_config(settings)
    champion = Alias("acme", "small", "champion", "9")
    upside_down = replace(MODEL, max_output_tokens=10, context_window_tokens=5)
    with registry_agent(settings):
        with pytest.raises(CommandRefused, match="small has no version 9"):
            apply([MODEL, champion], config, CODEC, "me")
        with pytest.raises(CommandRefused, match="exceeds the context window of 5"):
            apply([upside_down], config, CODEC, "me")
        assert registry(settings).models == {}
        apply([replace(champion, model_version="1"), MODEL], config, CODEC, "me")
    assert list(registry(settings).aliases) == [champion.key]
