"""Creates the topics of the table, and checks those that exist."""

from dataclasses import dataclass

from confluent_kafka import KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # re-exported at run time
    AdminClient,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from infra.errors import OperatorError
from infra.settings import Settings
from schemas.topics import TOPICS, Topic, TopicSpec, topic_name

TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class TopicReport:
    """What was found. `faults` say what is wrong and what to do."""

    created: tuple[str, ...]
    present: tuple[str, ...]
    faults: tuple[str, ...]


def admin(settings: Settings) -> AdminClient:
    """An admin client for the configured Kafka."""
    return AdminClient({"bootstrap.servers": settings.bootstrap, **settings.kafka_properties})


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

    Raises OperatorError when Kafka cannot be reached or refuses.
    """
    client = admin(settings)
    try:
        existing = client.list_topics(timeout=TIMEOUT_S).topics
    except KafkaException as error:
        raise OperatorError(
            f"Kafka at {settings.bootstrap} does not answer: {error.args[0].str()}. Start it with "
            "`rheostat up`, or set RHEOSTAT_KAFKA_BOOTSTRAP."
        ) from error
    names = {topic: topic_name(topic, settings.topic_prefix) for topic in TOPICS}
    missing = [topic for topic in TOPICS if names[topic] not in existing]
    present = [topic for topic in TOPICS if names[topic] in existing]
    faults = [] if create else [f"{names[t]} does not exist; run: rheostat topics" for t in missing]
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
                raise OperatorError(
                    f"the topic {name} could not be created: {error.args[0].str()}"
                ) from error


def _partition_faults(name: str, topic: Topic, found: int) -> list[str]:
    wanted = TOPICS[topic].partitions
    if wanted is None or wanted == found:
        return []
    return [f"{name} has {found} partitions and must have {wanted}: delete it and create it again"]


def _config_faults(client: AdminClient, specs: dict[str, TopicSpec]) -> list[str]:
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in specs]
    faults = []
    for resource, future in (client.describe_configs(resources) if resources else {}).items():
        found = {name: entry.value for name, entry in future.result(TIMEOUT_S).items()}
        for name, wanted in wanted_config(specs[resource.name]).items():
            if found.get(name) != wanted:
                faults.append(
                    f"{resource.name} has {name}={found.get(name)}, wanted {wanted}: alter it with "
                    f"kafka-configs --alter --topic {resource.name} --add-config {name}={wanted}"
                )
    return faults
