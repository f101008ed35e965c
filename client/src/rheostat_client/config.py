"""Whose events these are, and how Kafka is reached."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rheostat_client import rules
from rheostat_client.errors import InvalidValue
from rheostat_client.logs import librdkafka_log
from rheostat_client.schema_registry import RegistrySchemas
from rheostat_client.wire import Schemas, packaged

PREFIX = "RHEOSTAT_"


@dataclass(frozen=True, slots=True)
class Config:
    """One organisation on one Kafka.

    `retention_days`: as the server is set; older events are refused there and here.
    `kafka_properties` are librdkafka's (security, client.id, ...) and win over ours; they and the
    registry's URL may hold secrets and are never printed. Raises InvalidValue.
    """

    org_id: str
    kafka_bootstrap: str
    kafka_properties: Mapping[str, str] = field(default_factory=dict, repr=False)
    topic_prefix: str = ""
    schema_registry_url: str | None = field(default=None, repr=False)
    retention_days: float = 7.0

    def __post_init__(self) -> None:
        rules.text("org_id", self.org_id)
        if "/" in self.org_id:
            raise InvalidValue("org_id", "must not hold a slash", self.org_id)
        rules.number("retention_days", self.retention_days, rules.Range(0, 36_500, above=True))
        broker = self.kafka_bootstrap
        if not isinstance(broker, str) or not broker:
            raise InvalidValue("kafka_bootstrap", "must name a broker, host:port", broker)

    @classmethod
    def from_env(cls, org_id: str | None = None, env: Mapping[str, str] | None = None) -> "Config":
        """From RHEOSTAT_ORG_ID, RHEOSTAT_KAFKA_BOOTSTRAP, RHEOSTAT_KAFKA_PROPERTIES (JSON),
        RHEOSTAT_TOPIC_PREFIX, RHEOSTAT_SCHEMA_REGISTRY_URL and RHEOSTAT_RETENTION_DAYS.

        Raises InvalidValue that names the variable.
        """
        found = os.environ if env is None else env
        owner = org_id or found.get(f"{PREFIX}ORG_ID")
        if not owner:
            raise InvalidValue(f"{PREFIX}ORG_ID", "is not set; it names your organisation", owner)
        bootstrap = found.get(f"{PREFIX}KAFKA_BOOTSTRAP")
        if not bootstrap:
            raise InvalidValue(f"{PREFIX}KAFKA_BOOTSTRAP", "is not set; host:port", bootstrap)
        return cls(
            org_id=owner,
            kafka_bootstrap=bootstrap,
            kafka_properties=_properties(found.get(f"{PREFIX}KAFKA_PROPERTIES") or "{}"),
            topic_prefix=found.get(f"{PREFIX}TOPIC_PREFIX", ""),
            schema_registry_url=found.get(f"{PREFIX}SCHEMA_REGISTRY_URL") or None,
            retention_days=_days(found.get(f"{PREFIX}RETENTION_DAYS") or "7"),
        )

    @property
    def retention_ms(self) -> int:
        """Age at which an event is too old to be counted."""
        return int(self.retention_days * rules.DAY_MS)

    def schemas(self) -> Schemas:
        """The schema registry if there is one, else the schemas of this package."""
        if self.schema_registry_url is None:
            return packaged()
        return RegistrySchemas(self.schema_registry_url, packaged(), self.topic_prefix)

    def topic(self, name: str) -> str:
        """The topic's name on this broker."""
        return f"{self.topic_prefix}{name}"

    def producer(self, **own: str | int | bool) -> dict[str, Any]:
        """Configuration of an idempotent producer; underscores in names stand for dots."""
        return {
            "bootstrap.servers": self.kafka_bootstrap,
            "enable.idempotence": True,
            "compression.type": "lz4",
            "linger.ms": 20,
            "logger": librdkafka_log,
            **_dotted(own),
            **self.kafka_properties,
        }

    def consumer(self, group: str, **own: str | int | bool) -> dict[str, Any]:
        """Configuration of a consumer that sees committed records only and commits nothing."""
        return {
            "bootstrap.servers": self.kafka_bootstrap,
            "group.id": group,
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",
            "logger": librdkafka_log,
            **_dotted(own),
            **self.kafka_properties,
        }


def _dotted(own: Mapping[str, str | int | bool]) -> dict[str, str | int | bool]:
    return {name.replace("_", "."): value for name, value in own.items()}


def _days(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InvalidValue(f"{PREFIX}RETENTION_DAYS", "must be a number of days", text) from None


def _properties(text: str) -> dict[str, str]:
    name = f"{PREFIX}KAFKA_PROPERTIES"
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
        # The value may hold a password: it is not shown.
        raise InvalidValue(name, "must be a JSON object of texts", "(hidden)")
    return value
