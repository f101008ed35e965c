"""Reaching Kafka for an operator: connected, or told why not and what to do."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from infra.errors import NotReachable, OperatorError
from infra.settings import Settings

TIMEOUT_S = 8.0
ATTEMPT_S = 1.0

_REMEDIES: Mapping[int, str] = {
    KafkaError._RESOLVE: "Correct the name in RHEOSTAT_KAFKA_BOOTSTRAP.",
    KafkaError._AUTHENTICATION: (
        "Correct sasl.mechanism, sasl.username and sasl.password in RHEOSTAT_KAFKA_PROPERTIES."
    ),
    KafkaError._SSL: (
        "Correct security.protocol, ssl.ca.location and the like in RHEOSTAT_KAFKA_PROPERTIES."
    ),
}
_START = "Start it with `rheostat up`, or name yours with RHEOSTAT_KAFKA_BOOTSTRAP."
_SILENT = (
    "If something listens there, it may want another security.protocol "
    "(RHEOSTAT_KAFKA_PROPERTIES). " + _START
)


@dataclass(slots=True)
class _Complaints:
    """What the client library says in the background while a call waits."""

    errors: list[KafkaError] = field(default_factory=list)

    def __call__(self, error: KafkaError) -> None:
        self.errors.append(error)

    def telling(self) -> KafkaError | None:
        """The one that explains most: a certain cause before a mere failure to connect."""
        for wanted in (*_REMEDIES, KafkaError._TRANSPORT):
            for error in self.errors:
                if error.code() == wanted:
                    return error
        return None


def connect(settings: Settings, timeout_s: float = TIMEOUT_S) -> tuple[AdminClient, Any]:
    """A client and the cluster's metadata.

    Raises NotReachable when Kafka does not answer in time, OperatorError when the settings of the
    client are wrong or Kafka refuses them.
    """
    complaints = _Complaints()
    client = new_client(settings, complaints)
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            # Short attempts: the library serves its complaints, and a wrong password, only between.
            return client, client.list_topics(timeout=ATTEMPT_S)
        except KafkaException as error:
            client.poll(0)
            told = complaints.telling()
            certain = told is not None and told.code() in _REMEDIES
            if certain or time.monotonic() >= deadline:
                raise _explained(settings.bootstrap, error.args[0], told) from error


def new_client(settings: Settings, on_error: Any = None) -> AdminClient:
    """An admin client that writes nothing on the terminal. Raises OperatorError."""
    config: dict[str, Any] = {
        "bootstrap.servers": settings.bootstrap,
        "log_level": 0,
        **settings.kafka_properties,
    }
    if on_error is not None:
        config["error_cb"] = on_error
    try:
        return AdminClient(config)
    except (KafkaException, ValueError, TypeError) as error:
        text = error.args[0].str() if isinstance(error, KafkaException) else str(error)
        raise OperatorError(
            f"Kafka's client refuses RHEOSTAT_KAFKA_PROPERTIES: {text}. They are librdkafka's "
            "properties; correct the one it names."
        ) from error


def _explained(bootstrap: str, error: KafkaError, told: KafkaError | None) -> OperatorError:
    if told is None:
        return NotReachable(f"Kafka at {bootstrap} does not answer: {error.str()}. {_SILENT}")
    # librdkafka puts the connection's name before and its state behind what happened.
    why = told.str().partition(": ")[2].partition(" (after ")[0] or told.str()
    remedy = _REMEDIES.get(told.code())
    if told.code() in {KafkaError._AUTHENTICATION, KafkaError._SSL}:
        return OperatorError(f"Kafka at {bootstrap} refuses the connection: {why}. {remedy}")
    silent = remedy is None and "refused" not in why
    remedy = remedy or (_SILENT if silent else _START)
    return NotReachable(f"Kafka at {bootstrap} does not answer: {why}. {remedy}")
