"""A registry agent inside the test's process, for tests that need a registry and no agents."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from agents.registry.agent import RegistryAgent, RegistryAgentConfig
from agents.registry.apply import Applied, apply
from infra.settings import Settings
from infra.workers import kafka_config
from schemas.catalog import committed
from schemas.entities import Entity
from schemas.wire import Codec
from streams.registry_view import RegistryView


@contextmanager
def registry_agent(settings: Settings, name: str = "agents") -> Iterator[RegistryView]:
    """Runs the agent; `name` as a worker's, which then takes over without waiting."""
    kafka, schemas = kafka_config(settings), committed()
    config = RegistryAgentConfig(kafka, schemas, f"{settings.topic_prefix}{name}")
    with (
        RegistryView(kafka, Codec(schemas)) as view,
        RegistryAgent(config, view, threading.Event()),
    ):
        yield view


def apply_registry(
    settings: Settings, entities: Sequence[Entity], author: str = "test"
) -> list[Applied]:
    """Applies entities before any worker runs."""
    with registry_agent(settings):
        return apply(entities, kafka_config(settings), Codec(committed()), author)
