"""A/B tests on a real broker: partials in, verdicts out; kill -9 changes no count, no decision."""

import random
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from confluent_kafka import Producer

from infra.ab import Known, known, reproduced
from infra.settings import Settings
from infra.workers import kafka_config
from schemas.entities import AbTest, Arm, MetricGoal
from schemas.records import AbVerdict
from schemas.topics import Topic
from streams.statistics.version import VERSION
from tests.integration.test_agents import CODEC, start
from tests.support.events import NOW_MS, inference
from tests.support.partials import messages
from tests.support.registry import apply_registry
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


Verdicts = dict[str, list[dict[str, Any]]]


def published(kafka: Kafka, settings: Settings) -> Verdicts:
    """All verdicts by test, in order."""
    topic = kafka_config(settings).topic(Topic.AB_VERDICTS)
    found: Verdicts = {test.ab_test_id: [] for test in TESTS}
    for message in kafka.read_all(topic):
        found[message.key().decode()].append(CODEC.decode(message.value(), "AbVerdict"))
    return found


def counts(verdict: dict[str, Any]) -> dict[str, int]:
    return {arm["arm"]: arm["events"] for arm in verdict["arms"]}


def _reached(kafka: Kafka, settings: Settings, calls: int) -> bool:
    """Whether every test's newest verdict counts so many calls of the control."""
    found = published(kafka, settings).values()
    return all(some and counts(some[-1])["control"] >= calls for some in found)


@pytest.mark.chaos
def test_kill_9_changes_no_count_no_decision_and_no_alert(kafka: Kafka, settings: Settings) -> None:
    apply_registry(settings, TESTS)
    traffic = Traffic(settings)
    traffic.send(10)
    process = start(settings, "agents")
    try:
        wait_until(partial(_reached, kafka, settings, traffic.calls // 2))
        traffic.send(5)
        process.kill()
        process.wait(10)
        traffic.send(3)
        process = start(settings, "agents")
        traffic.send(2)
        wait_until(partial(_reached, kafka, settings, traffic.calls))
    finally:
        process.terminate()
        assert process.wait(20) == 0

    found = published(kafka, settings)
    better, level, skewed = (found[test.ab_test_id] for test in TESTS)
    assert counts(better[-1]) == {"control": traffic.calls, "treatment": traffic.calls}
    assert counts(skewed[-1]) == {"control": traffic.calls, "treatment": traffic.calls // 4}
    (quality,) = (c for c in better[-1]["comparisons"] if c["metric"] == "quality")
    assert quality["difference"] == pytest.approx(0.2, abs=0.05)

    decided = [v for v in better if v["status"] == "decided"]
    assert better[-1] in decided
    assert {v["winner"] for v in decided} == {"treatment"}
    assert len({(v["decided_at"], v["decision"]) for v in decided}) == 1, "decided twice"
    assert (level[-1]["status"], level[-1]["winner"]) == ("collecting", None)

    assert (skewed[-1]["status"], skewed[-1]["winner"]) == ("invalid", None)
    assert skewed[-1]["srm_p_value"] < 0.001
    assert "not split 1 : 1" in skewed[-1]["decision"]
    topic = kafka_config(settings).topic(Topic.ALERTS)
    alerts = [CODEC.decode(m.value(), "Alert") for m in kafka.read_all(topic)]
    mismatches = [alert for alert in alerts if alert["kind"] == "srm"]
    assert {alert["ab_test_id"] for alert in mismatches} == {"skewed"}
    assert len({alert["alert_id"] for alert in mismatches}) == 1

    for test in TESTS:
        again = reproduced(settings, known(settings, test.ab_test_id, None), ask_clickhouse=False)
        assert again.source == "log"
        assert again.messages > 0
        assert again.same, again.differences
    _sees_what_was_changed(settings)


def _sees_what_was_changed(settings: Settings) -> None:
    """A verdict that the log does not give is told, field by field."""
    found = known(settings, BETTER.ab_test_id, None)
    assert found.verdict is not None
    first = replace(found.verdict.comparisons[0], mean_arm=0.9)
    forged = replace(
        found.verdict,
        decision="control wins",
        comparisons=(first, *found.verdict.comparisons[1:]),
    )
    again = reproduced(settings, replace(found, verdict=forged), ask_clickhouse=False)
    assert not again.same
    assert {each.field for each in again.differences} == {
        "comparisons[0].mean_arm",
        "decision.text",
        "reason",
    }
    assert not any("statistics version" in note for note in again.notes)
    _tells_of_other_statistics(settings, found, forged)


def _tells_of_other_statistics(settings: Settings, found: Known, forged: AbVerdict) -> None:
    """Beside differences; that it is another version is none by itself."""
    for version, said in (
        (None, "from before they were numbered"),
        (VERSION + 1, f"{VERSION + 1}"),
    ):
        older = replace(forged, statistics_version=version)
        again = reproduced(settings, replace(found, verdict=older), ask_clickhouse=False)
        (note,) = (note for note in again.notes if "statistics version" in note)
        assert f"{said}, this is {VERSION}" in note
        assert not any(each.field == "statistics_version" for each in again.differences)
    assert found.verdict is not None
    same = replace(found.verdict, statistics_version=None)
    again = reproduced(settings, replace(found, verdict=same), ask_clickhouse=False)
    assert again.same
    assert not again.notes
