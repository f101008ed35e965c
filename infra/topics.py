"""Creates the topics of the table, and checks those that exist."""

from dataclasses import dataclass

from confluent_kafka import KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # re-exported at run time
    AdminClient,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from infra.errors import NotReachable, OperatorError
from infra.kafka_admin import connect
from infra.settings import Settings
from schemas.topics import TOPICS, Topic, TopicSpec, topic_name

TIMEOUT_S = 30.0
WHY: dict[str, str] = {
    "max.message.bytes": "larger messages would be refused, and their senders stopped",
    "message.timestamp.type": "both lanes judge an event's age by the broker's own timestamp",
    "cleanup.policy": "state would be lost, or the topic would grow for ever",
    "retention.ms": "messages would be lost too early, or kept too long",
}


@dataclass(frozen=True, slots=True)
class TopicFault:
    """What is wrong with a topic, why that matters, and what to do."""

    topic: str
    what: str
    why: str
    do: str

    def __str__(self) -> str:
        return f"{self.topic} {self.what}: {self.why}. {self.do}"


@dataclass(frozen=True, slots=True)
class TopicReport:
    """What was found and done."""

    created: tuple[str, ...]
    present: tuple[str, ...]
    faults: tuple[TopicFault, ...]


def wanted_config(spec: TopicSpec) -> dict[str, str]:
    """Topic configuration. The broker's own timestamps let both lanes judge time alike."""
    config = {
        "max.message.bytes": str(spec.max_message_bytes),
        "message.timestamp.type": "LogAppendTime",
        "cleanup.policy": "compact" if spec.compacted else "delete",
    }
    if spec.retention_ms is not None:
        config["retention.ms"] = str(spec.retention_ms)
    return config


def ensure(settings: Settings, create: bool = True) -> TopicReport:
    """Creates what is missing, unless told otherwise, and checks the rest.

    Raises NotReachable when Kafka does not answer, OperatorError when it refuses.
    """
    client, metadata = connect(settings)
    existing = metadata.topics
    names = {topic: topic_name(topic, settings.topic_prefix) for topic in TOPICS}
    missing = [topic for topic in TOPICS if names[topic] not in existing]
    present = [topic for topic in TOPICS if names[topic] in existing]
    faults = [] if create else [_missing(names[topic]) for topic in missing]
    if create and missing:
        _create(client, settings, missing, names)
    for topic in present:
        faults += _partition_faults(names[topic], topic, len(existing[names[topic]].partitions))
    faults += _config_faults(client, {names[t]: TOPICS[t] for t in present})
    return TopicReport(
        tuple(names[t] for t in missing) if create else (),
        tuple(names[t] for t in present),
        tuple(faults),
    )


def _create(
    client: AdminClient, settings: Settings, missing: list[Topic], names: dict[Topic, str]
) -> None:
    new = [
        NewTopic(
            names[topic],
            num_partitions=TOPICS[topic].partitions or settings.partitions,
            replication_factor=settings.replication_factor,
            config=wanted_config(TOPICS[topic]),
        )
        for topic in missing
    ]
    for name, future in client.create_topics(new, operation_timeout=TIMEOUT_S).items():
        try:
            future.result()
        except KafkaException as error:
            if error.args[0].name() != "TOPIC_ALREADY_EXISTS":
                raise _not_created(name, error) from error


def _not_created(name: str, error: KafkaException) -> OperatorError:
    remedies = {
        "INVALID_REPLICATION_FACTOR": (
            "Set RHEOSTAT_REPLICATION_FACTOR to at most the number of brokers."
        ),
        "TOPIC_AUTHORIZATION_FAILED": "Give our user CREATE on topics, or create it as another.",
        "CLUSTER_AUTHORIZATION_FAILED": "Give our user CREATE on the cluster.",
        "POLICY_VIOLATION": "Create it by hand as docs/reference/topics.md says, or ask for it.",
    }
    found = error.args[0]
    remedy = remedies.get(found.name(), "Run rheostat topics again; it goes on where it stopped.")
    return OperatorError(f"The topic {name} could not be created: {found.str()}. {remedy}")


def _missing(name: str) -> TopicFault:
    return TopicFault(
        name,
        "does not exist",
        "nothing can be written to it or read from it",
        "Run: rheostat topics",
    )


def _partition_faults(name: str, topic: Topic, found: int) -> list[TopicFault]:
    wanted = TOPICS[topic].partitions
    if wanted is None or wanted == found:
        return []
    return [
        TopicFault(
            name,
            f"has {found} partitions and must have {wanted}",
            "its readers rely on one order of all messages",
            "Stop its writers, delete it, run rheostat topics, and apply the registry again.",
        )
    ]


def _config_faults(client: AdminClient, specs: dict[str, TopicSpec]) -> list[TopicFault]:
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in specs]
    faults = []
    for resource, future in (client.describe_configs(resources) if resources else {}).items():
        try:
            found = {name: entry.value for name, entry in future.result(TIMEOUT_S).items()}
        except (KafkaException, TimeoutError) as error:
            raise NotReachable(
                f"Kafka did not tell the configuration of {resource.name}: {error}. Try again; our "
                "user needs DESCRIBE_CONFIGS on topics."
            ) from error
        for name, wanted in wanted_config(specs[resource.name]).items():
            if found.get(name) != wanted:
                faults.append(
                    TopicFault(
                        resource.name,
                        f"has {name}={found.get(name)}, wanted {wanted}",
                        WHY[name],
                        f"Run: kafka-configs.sh --bootstrap-server HOST:PORT --alter --topic "
                        f"{resource.name} --add-config {name}={wanted}",
                    )
                )
    return faults
