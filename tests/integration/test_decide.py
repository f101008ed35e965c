"""A person decides an A/B test over the API, on a real broker: the command becomes a fact, and who
acts on verdicts keeps to it, through kill -9 too."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from confluent_kafka import Producer
from fastapi.testclient import TestClient

from api.app import PREFIX, create_app
from api.clickhouses import ClickHouses
from infra.api_server import services
from infra.settings import Settings
from infra.workers import kafka_config
from schemas.access import Organisation
from schemas.entities import AbTest, Alias, Arm, Entity, MetricGoal, Model
from schemas.topics import Topic
from tests.integration.test_agents import CODEC, start
from tests.integration.test_api import made_key
from tests.support.events import inference
from tests.support.partials import messages
from tests.support.registry import apply_registry
from tests.support.servers import ClickHouseServer, Kafka, wait_until
from tests.support.tables import Tables

pytestmark = pytest.mark.integration
ARMS = (Arm("old", "small", model_version="1"), Arm("new", "small", model_version="2"))
GOALS = (MetricGoal("quality", "primary", "higher"),)
TEST = AbTest("acme", "level", "chat", "request", ARMS, "old", GOALS)
CHAMPION = Alias("acme", "small", "champion", "1")
ENTITIES: tuple[Entity, ...] = (
    Organisation("acme", promotion_requires_verdict=True),
    *(Model("acme", "small", version, "us", ("chat",)) for version in "12"),
    CHAMPION,
    TEST,
)
ONE = "/ab-tests/level/"


@contextmanager
def api(settings: Settings, tables: Tables, token: str) -> Iterator[TestClient]:
    held = services(settings)
    with replace(held, clickhouse=ClickHouses(tables.connect, 2)) as held:
        client = TestClient(create_app(held), f"http://test{PREFIX}", raise_server_exceptions=False)
        client.headers["X-API-Key"] = token
        wait_until(lambda: client.get("/me/").status_code != 503)
        yield client


def send(settings: Settings, calls: int) -> None:
    """So many calls of each arm, which do not differ."""
    kafka = kafka_config(settings)
    producer = Producer(kafka.producer(transactional_id=f"{settings.topic_prefix}traffic"))
    producer.init_transactions(30)
    producer.begin_transaction()
    named = {"ab_test_id": "level", "model_id": "small"}
    for out in messages(
        [
            inference(**named, arm=arm.arm, model_version=arm.model_version, quality=i % 2 / 2)
            for arm in ARMS
            for i in range(calls)
        ]
    ):
        assert out.partition is not None
        topic = kafka.topic(Topic.METRIC_PARTIALS)
        producer.produce(topic, out.value, out.key, partition=out.partition)
    producer.commit_transaction(30)


def published(kafka: Kafka, settings: Settings) -> list[dict[str, Any]]:
    topic = kafka_config(settings).topic(Topic.AB_VERDICTS)
    return [CODEC.decode(m.value(), "AbVerdict") for m in kafka.read_all(topic)]


def test_a_persons_decision_is_kept_by_everybody(
    kafka: Kafka, clickhouse: ClickHouseServer, settings: Settings
) -> None:
    key, tables = made_key("admin"), Tables.new(clickhouse.url)
    apply_registry(settings, [key.entity, *ENTITIES])
    agents = start(settings, "agents")
    try:
        send(settings, 200)
        wait_until(lambda: len(published(kafka, settings)) > 0, 120)
        before = published(kafka, settings)[-1]
        assert (before["status"], before["decided_by"]) == ("collecting", None)
        with api(settings, tables, key.token) as client:
            promoted = {"model_version": "2", "ab_test_id": "level"}
            refused = client.put("/models/small/aliases/champion/", json=promoted)
            assert refused.status_code == 422, refused.text
            assert "not decided" in refused.text

            decision = {"winner": "new", "reason": "its tone is what was asked for"}
            answer = client.post(f"{ONE}decide/", json=decision)
            assert answer.status_code == 200, answer.text
            said = answer.json()
            assert said["decision"] == f"{said['decided_by']}: {decision['reason']}"
            assert client.get(ONE).json()["status"] == "stopped", (
                "the fact is there when it returns"
            )

            wait_until(lambda: _kept(published(kafka, settings)[-1]), what="the monitor took over")
            agents.kill()
            agents.wait(10)
            count = len(published(kafka, settings))
            agents = start(settings, "agents")
            wait_until(lambda: len(published(kafka, settings)) > count, 120)
            moved = client.put("/models/small/aliases/champion/", json=promoted)
            assert moved.status_code == 200, moved.text
    finally:
        agents.terminate()
        agents.wait(30)
    every = published(kafka, settings)
    adopted = next(i for i, v in enumerate(every) if _kept(v))
    assert {v["decision"] for v in every[adopted:]} == {said["decision"]}, "kept through the kill"
    assert {v["recommendation"] for v in every[adopted:]} == {"ship"}


def _kept(verdict: dict[str, Any]) -> bool:
    """Whether it is the monitor's, with the person's decision: the API's own has no calls, since no
    verdict was stored when it was made."""
    counted = {arm["events"] for arm in verdict["arms"]} == {200}
    return counted and (verdict["status"], verdict["winner"]) == ("decided", "new")
