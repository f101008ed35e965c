"""Topics on a real broker: created, checked, and what is wrong is told with a remedy."""

import pytest
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from infra.errors import OperatorError
from infra.settings import Settings
from infra.topics import ensure, wanted_config
from schemas.topics import TOPICS, Topic
from tests.support.servers import Kafka, wait_until

pytestmark = pytest.mark.integration


@pytest.fixture
def bare(kafka: Kafka) -> Settings:
    """A prefix under which there is nothing yet."""
    return Settings(kafka_bootstrap=kafka.bootstrap, topic_prefix=kafka.new_prefix())


def create(settings: Settings, topic: Topic, partitions: int, config: dict[str, str]) -> str:
    name = f"{settings.topic_prefix}{topic}"
    new = NewTopic(name, partitions, 1, config=config)
    client = AdminClient({"bootstrap.servers": settings.bootstrap})
    client.create_topics([new])[name].result(30)
    # The broker learns of it a moment after the controller.
    wait_until(lambda: name in client.list_topics(timeout=10).topics)
    return name


def test_missing_ones_are_created_once(bare: Settings) -> None:
    before = ensure(bare, create=False)
    assert len(before.faults) == len(TOPICS)
    assert str(before.faults[0]).endswith("Run: rheostat topics")
    assert before.present == before.created == ()
    assert len(ensure(bare).created) == len(TOPICS)
    again = ensure(bare)
    assert (again.created, len(again.present), again.faults) == ((), len(TOPICS), ())


def test_another_configuration_is_told_with_the_command_that_alters_it(bare: Settings) -> None:
    config = wanted_config(TOPICS[Topic.ALERTS]) | {"retention.ms": "1000"}
    name = create(bare, Topic.ALERTS, 2, config)
    (fault,) = ensure(bare).faults
    assert fault.topic == name
    assert fault.what == "has retention.ms=1000, wanted 2592000000"
    assert "too early" in fault.why
    assert f"--alter --topic {name} --add-config retention.ms=2592000000" in fault.do


def test_another_partition_count_is_told_where_it_matters(bare: Settings) -> None:
    create(bare, Topic.REGISTRY, 3, wanted_config(TOPICS[Topic.REGISTRY]))
    create(bare, Topic.ALERTS, 7, wanted_config(TOPICS[Topic.ALERTS]))
    (fault,) = ensure(bare).faults
    assert fault.what == "has 3 partitions and must have 1"


def test_a_topic_that_cannot_be_created_says_why(bare: Settings) -> None:
    greedy = Settings.model_validate({**bare.model_dump(), "replication_factor": 3})
    with pytest.raises(OperatorError, match="RHEOSTAT_REPLICATION_FACTOR to at most the number"):
        ensure(greedy)
