"""The topic table: names, keys, retention and records, as data."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

DAY_MS = 86_400_000
EVENT_BYTES_MAX = 4 * 1024 * 1024
"""Larger than any value that is accepted, so that an oversized one arrives and is filed."""
BULK_BYTES_MAX = 16 * 1024 * 1024


class Topic(StrEnum):
    """Every topic, by the name other programs know (before the prefix)."""

    INFERENCE_EVENTS = "inference-events"
    FEEDBACK_EVENTS = "feedback-events"
    EVALUATION_REQUESTS = "evaluation-requests"
    EVALUATION_CASES = "evaluation-cases"
    EVALUATION_RETRIES = "evaluation-retries"
    EVALUATION_RUNS = "evaluation-runs"
    EVALUATION_DATASETS = "evaluation-datasets"
    CASE_RESULTS = "case-results"
    METRIC_PARTIALS = "metric-partials"
    REGISTRY_COMMANDS = "registry-commands"
    REGISTRY = "registry"
    AB_VERDICTS = "ab-verdicts"
    SELECTION_UPDATES = "selection-updates"
    ALERTS = "alerts"
    DEAD_LETTERS = "dead-letters"
    DEAD_LETTER_REPLAYS = "dead-letter-replays"


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """What a topic holds. `retention_ms` None: compacted. `partitions` None: as configured."""

    key: str
    record: str | None
    retention_ms: int | None
    meaning: str
    partitions: int | None = None
    max_message_bytes: int = EVENT_BYTES_MAX

    @property
    def compacted(self) -> bool:
        return self.retention_ms is None


TOPICS: Mapping[Topic, TopicSpec] = {
    Topic.INFERENCE_EVENTS: TopicSpec(
        "unit_id", "InferenceEvent", 7 * DAY_MS, "one production call of a model"
    ),
    Topic.FEEDBACK_EVENTS: TopicSpec(
        "unit_id", "FeedbackEvent", 7 * DAY_MS, "an outcome that arrives after the call"
    ),
    Topic.EVALUATION_REQUESTS: TopicSpec(
        "run_id",
        "EvaluationRequest",
        30 * DAY_MS,
        "start, cancel, pause, resume or retry a run",
        partitions=1,
    ),
    Topic.EVALUATION_CASES: TopicSpec(
        "run_id/case", "EvaluationCase", 30 * DAY_MS, "one case to execute"
    ),
    Topic.EVALUATION_RETRIES: TopicSpec(
        "run_id/case", "EvaluationCase", 30 * DAY_MS, "one case to execute again, later"
    ),
    Topic.EVALUATION_RUNS: TopicSpec(
        "org_id/run_id", "EvaluationRun", None, "a run: its state, counts and cost", partitions=1
    ),
    Topic.EVALUATION_DATASETS: TopicSpec(
        "org_id/dataset_id/dataset_version/first",
        "DatasetPart",
        None,
        "consecutive cases of a dataset",
        max_message_bytes=BULK_BYTES_MAX,
    ),
    Topic.CASE_RESULTS: TopicSpec(
        "run_id/case", "CaseResult", 30 * DAY_MS, "one executed, scored case"
    ),
    Topic.METRIC_PARTIALS: TopicSpec(
        "org_id",
        "MetricPartials",
        7 * DAY_MS,
        "mergeable aggregates of one batch",
        max_message_bytes=BULK_BYTES_MAX,
    ),
    Topic.REGISTRY_COMMANDS: TopicSpec(
        "entity key",
        "RegistryCommand",
        7 * DAY_MS,
        "an intent to create, update, delete or restore entities, then its outcome",
        partitions=1,
        max_message_bytes=BULK_BYTES_MAX,
    ),
    Topic.REGISTRY: TopicSpec(
        "entity key", "RegistryFact", None, "the accepted entity, or null", partitions=1
    ),
    Topic.AB_VERDICTS: TopicSpec(
        "ab_test_id", "AbVerdict", None, "estimates, intervals and decision of an A/B test"
    ),
    Topic.SELECTION_UPDATES: TopicSpec(
        "org_id/capability", "SelectionUpdate", None, "ranked models with weights and reasons"
    ),
    Topic.ALERTS: TopicSpec("org_id", "Alert", 30 * DAY_MS, "something to look at"),
    Topic.DEAD_LETTERS: TopicSpec(
        "source topic",
        "DeadLetter",
        30 * DAY_MS,
        "rejected records: untouched bytes, coordinates, reason",
        max_message_bytes=BULK_BYTES_MAX,
    ),
    Topic.DEAD_LETTER_REPLAYS: TopicSpec(
        "partition-offset of the dead letter",
        None,
        60 * DAY_MS,
        "that a dead letter was put back on its topic; author and time are in the headers",
        partitions=1,
    ),
}


def topic_name(topic: Topic, prefix: str = "") -> str:
    """The name on the broker."""
    return f"{prefix}{topic.value}"
