"""The topic table is the one that other programs were told."""

from infra.topics import wanted_config
from schemas.reasons import MAX_VALUE_BYTES
from schemas.topics import BULK_BYTES_MAX, EVENT_BYTES_MAX, TOPICS, Topic, topic_name

CONTRACT = {
    "inference-events": ("unit_id", 7, "InferenceEvent"),
    "feedback-events": ("unit_id", 7, "FeedbackEvent"),
    "evaluation-requests": ("run_id", 30, None),
    "evaluation-cases": ("run_id/case", 30, None),
    "evaluation-retries": ("run_id/case", 30, "EvaluationCase"),
    "evaluation-runs": ("org_id/run_id", None, "EvaluationRun"),
    "evaluation-datasets": (
        "org_id/dataset_id/dataset_version/first",
        None,
        "DatasetPart",
    ),
    "case-results": ("run_id/case", 30, "CaseResult"),
    "metric-partials": ("org_id", 7, "MetricPartials"),
    "registry-commands": ("entity key", 7, None),
    "registry": ("entity key", None, "RegistryFact"),
    "ab-verdicts": ("ab_test_id", None, "AbVerdict"),
    "selection-updates": ("org_id/capability", None, "SelectionUpdate"),
    "alerts": ("org_id", 30, "Alert"),
    "dead-letters": ("source topic", 30, "DeadLetter"),
    "dead-letter-replays": ("partition-offset of the dead letter", 60, None),
}
"""Topic: key, days kept (None: compacted), record (None: the contract leaves it open)."""


def test_names_keys_and_retention() -> None:
    found = {
        topic.value: (spec.key, spec.retention_ms and spec.retention_ms // 86_400_000)
        for topic, spec in TOPICS.items()
    }
    assert found == {name: (key, days) for name, (key, days, _) in CONTRACT.items()}


def test_records() -> None:
    for name, (_, _, record) in CONTRACT.items():
        assert record in (None, TOPICS[Topic(name)].record)


def test_the_prefix_stands_before_the_name() -> None:
    assert topic_name(Topic.ALERTS, "blue-") == "blue-alerts"


def test_the_broker_is_told_what_the_table_says() -> None:
    for spec in TOPICS.values():
        config = wanted_config(spec)
        assert config["cleanup.policy"] == ("compact" if spec.compacted else "delete")
        assert ("retention.ms" in config) != spec.compacted
        assert config["message.timestamp.type"] == "LogAppendTime"


def test_an_oversized_event_reaches_us_and_its_dead_letter_the_broker() -> None:
    """Events too large for us are taken by the broker, so that they can be filed, key and all."""
    assert MAX_VALUE_BYTES < EVENT_BYTES_MAX
    assert 2 * EVENT_BYTES_MAX < BULK_BYTES_MAX
    assert TOPICS[Topic.DEAD_LETTERS].max_message_bytes == BULK_BYTES_MAX
