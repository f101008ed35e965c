"""A/B tests on a real broker: partials in, verdicts out; kill -9 changes no count, no decision."""

import random
from functools import partial
from typing import Any

import pytest
from confluent_kafka import Producer

from agents.registry_apply import apply
from infra.settings import Settings
from infra.workers import kafka_config
from schemas.entities import AbTest, Arm, Entity, MetricGoal
from schemas.topics import Topic
from tests.integration.test_agents import CODEC, start, worker
from tests.support.events import NOW_MS, inference
from tests.support.partials import messages
from tests.support.servers import Kafka, wait_until

pytestmark = pytest.mark.integration


def ab_test(name: str) -> AbTest:
    return AbTest(
        "acme",
        name,
        "chat",
        "request",
        (Arm("control", "small"), Arm("treatment", "large")),
        "control",
        (
            MetricGoal("quality", "primary", "higher", margin=0.01),
            MetricGoal("error", "guardrail", "lower"),
        ),
        planned_n=500,
    )


BETTER, LEVEL, SKEWED = ab_test("better"), ab_test("level"), ab_test("skewed")
TESTS = (BETTER, LEVEL, SKEWED)
ENTITIES: tuple[Entity, ...] = TESTS


class Traffic:
    """Calls of the three tests, sent as the data lane sends them."""

    def __init__(self, settings: Settings) -> None:
        self._kafka = kafka_config(settings)
        self._producer = Producer(
            self._kafka.producer(transactional_id=f"{settings.topic_prefix}t")
        )
        self._producer.init_transactions(30)
        self._rng = random.Random(7)
        self.calls = 0

    def send(self, messages_count: int) -> None:
        """Messages of 20 calls an arm; 'skewed' loses most calls of its treatment."""
        for _ in range(messages_count):
            calls = [self._call(test, arm) for test in TESTS for arm in _arms(test)]
            self._producer.begin_transaction()
            for out in messages(calls):
                topic = self._kafka.topic(Topic.METRIC_PARTIALS)
                assert out.partition is not None
                self._producer.produce(topic, out.value, out.key, partition=out.partition)
            self._producer.commit_transaction(30)
            self.calls += 20

    def _call(self, test: AbTest, arm: str) -> dict[str, Any]:
        mean = 0.8 if (test, arm) == (BETTER, "treatment") else 0.6
        quality = min(max(self._rng.gauss(mean, 0.1), 0.0), 1.0)
        model_id = next(a.model_id for a in test.arms if a.arm == arm)
        failed = "timeout" if self._rng.random() < 0.02 else None
        return inference(
            ab_test_id=test.ab_test_id,
            arm=arm,
            model_id=model_id,
            quality=quality,
            error_type=failed,
            occurred_at=NOW_MS - 60_000 * self._rng.randrange(3),
        )


def _arms(test: AbTest) -> list[str]:
    return ["control"] * 20 + ["treatment"] * (5 if test is SKEWED else 20)


def published(kafka: Kafka, settings: Settings, test: AbTest) -> list[dict[str, Any]]:
    """All verdicts on a test, in order."""
    topic = kafka_config(settings).topic(Topic.AB_VERDICTS)
    return [
        CODEC.decode(m.value(), "AbVerdict")
        for m in kafka.read_all(topic)
        if m.key().decode() == test.ab_test_id
    ]


def counted(kafka: Kafka, settings: Settings, test: AbTest) -> dict[str, int]:
    found = published(kafka, settings, test)
    return {arm["arm"]: arm["events"] for arm in found[-1]["arms"]} if found else {}


def _reached(kafka: Kafka, settings: Settings, calls: int) -> bool:
    """Whether every test's newest verdict counts so many calls of the control."""
    return all(counted(kafka, settings, test).get("control", 0) >= calls for test in TESTS)


def test_a_real_difference_is_decided_and_stays_so_through_kill_9(
    kafka: Kafka, settings: Settings
) -> None:
    apply(ENTITIES, kafka_config(settings), CODEC, "test")
    traffic = Traffic(settings)
    traffic.send(3)
    process = start(settings, "agents")
    try:
        for _ in range(2):
            traffic.send(12)
            half = traffic.calls // 2
            wait_until(partial(_reached, kafka, settings, half))
            traffic.send(5)
            process.kill()
            process.wait(10)
            process = start(settings, "agents")
        traffic.send(5)
        wait_until(partial(_reached, kafka, settings, traffic.calls))
    finally:
        process.terminate()
        assert process.wait(20) == 0

    assert counted(kafka, settings, BETTER) == {
        "control": traffic.calls,
        "treatment": traffic.calls,
    }
    assert counted(kafka, settings, SKEWED)["treatment"] == traffic.calls // 4

    decided = [v for v in published(kafka, settings, BETTER) if v["status"] == "decided"]
    assert {v["winner"] for v in decided} == {"treatment"}
    assert len({v["decided_at"] for v in decided}) == 1, "a decision was made twice"
    assert published(kafka, settings, BETTER)[-1]["status"] == "decided"
    assert published(kafka, settings, LEVEL)[-1]["winner"] is None


def test_a_skewed_split_is_invalid_and_alerts_once(kafka: Kafka, settings: Settings) -> None:
    apply(ENTITIES, kafka_config(settings), CODEC, "test")
    traffic = Traffic(settings)
    traffic.send(10)
    with worker(settings):
        wait_until(partial(_reached, kafka, settings, traffic.calls))
    traffic.send(5)
    with worker(settings):
        wait_until(partial(_reached, kafka, settings, traffic.calls))
    last = published(kafka, settings, SKEWED)[-1]
    assert (last["status"], last["winner"]) == ("invalid", None)
    assert last["srm_p_value"] < 0.001
    assert "not split 1 : 1" in last["decision"]
    topic = kafka_config(settings).topic(Topic.ALERTS)
    alerts = [CODEC.decode(m.value(), "Alert") for m in kafka.read_all(topic)]
    raised = {a["alert_id"] for a in alerts if a["kind"] == "srm"}
    assert [a["ab_test_id"] for a in alerts if a["kind"] == "srm"] == ["skewed"] * len(raised)
    assert len(raised) == 1
