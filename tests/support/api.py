"""An API over a registry in memory that judges commands as the agent does, without Kafka."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, cast

from fastapi import FastAPI
from fastapi.testclient import TestClient

from agents.access.keys import KeyWish, NewKey, new_key
from agents.errors import CommandRefused, RegistryConflict, Unavailable
from agents.evaluation.requests import Evaluations
from agents.registry.apply import as_stored
from agents.registry.client import RegistryClient, Sender
from agents.registry.judge import versions
from api.app import PREFIX, create_app
from api.clickhouses import ClickHouses
from api.config import ApiConfig
from api.services import Services
from schemas.access import OPERATORS, AccessRole
from schemas.catalog import committed
from schemas.commands import Change, Problem, RegistryCommand
from schemas.entities import Entity
from schemas.errors import MalformedMessage
from schemas.records import RegistryFact
from schemas.wire import Codec
from sinks.clickhouse import ClickHouse
from sinks.errors import Backpressure
from streams.kafka import KafkaConfig
from streams.registry_view import RegistrySnapshot, RegistryView
from tests.support.commands import NOW, Registry
from tests.support.memory_runs import MemoryRuns

UNLIMITED = ApiConfig(rate_per_caller="", rate_per_stranger="")


class MemoryRegistry:
    """Stands for RegistryView and RegistryClient at once. `away`: as if Kafka did not answer."""

    def __init__(self, *entities: Entity) -> None:
        self.registry = Registry(*entities)
        self.now = NOW
        self.away = False
        self.posted: list[Change] = []
        self.sent: list[RegistryCommand] = []

    def snapshot(self) -> RegistrySnapshot:
        return self.registry.snapshot

    def wait_loaded(self, timeout_s: float) -> RegistrySnapshot:
        return self.registry.snapshot

    def catch_up(self, timeout_s: float) -> RegistrySnapshot:
        return self.registry.snapshot

    def wait_for(self, versions: Mapping[str, int], timeout_s: float) -> bool:
        return True

    def start(self) -> "MemoryRegistry":
        return self

    def close(self) -> None: ...

    def post(self, changes: Sequence[Change], sender: Sender) -> None:
        self.posted += changes

    def submit(
        self,
        changes: Sequence[Change],
        sender: Sender,
        command_id: str | None = None,
        timeout_s: float = 15.0,
    ) -> Mapping[str, int]:
        name = command_id or f"sent-{len(self.sent)}"
        if self.away:
            raise Unavailable("Kafka does not answer", name)
        for change in changes:
            if change.entity is not None:
                _encoded(change.entity)
        later = self.now + timedelta(seconds=timeout_s)
        command = RegistryCommand(
            name, sender.author, sender.org_id, self.now, later, tuple(changes)
        )
        self.sent.append(command)
        outcome = self.registry.judge(command, self.now).outcome
        if outcome.status == "conflict":
            raise RegistryConflict(outcome.problems)
        if outcome.status == "refused":
            raise CommandRefused(outcome.problems)
        return versions(command, outcome)


def _encoded(entity: Entity) -> None:
    """As the client does: what Avro cannot hold is refused. Raises CommandRefused."""
    try:
        as_stored(entity, Codec(committed()))
    except MalformedMessage as error:
        raise CommandRefused([Problem(0, entity.key, "", str(error))]) from error


class NoClickHouse:
    """A ClickHouse that is away."""

    database = "rheostat"

    def rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        raise Backpressure("ClickHouse does not answer: nobody listens")

    def close(self) -> None: ...


class EmptyClickHouse(NoClickHouse):
    """A ClickHouse that holds nothing."""

    def rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        return []


def endpoints(app: FastAPI) -> Iterator[tuple[str, str]]:
    """(method, path) of every endpoint that the app answers, those of the documentation too."""
    for path, route in _walked(app.routes, ""):
        for method in sorted(getattr(route, "methods", None) or ["GET"]):
            yield method, path


def _walked(routes: Sequence[Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for route in routes:
        inner = getattr(route, "original_router", None)
        if inner is not None:
            yield from _walked(inner.routes, prefix + route.include_context.prefix)
        else:
            yield prefix + route.path, route


class Api:
    """The app, its registry, and clients with keys of it."""

    def __init__(
        self,
        *entities: Entity,
        config: ApiConfig = UNLIMITED,
        clickhouse: Callable[[], Any] = NoClickHouse,
    ) -> None:
        self.memory = MemoryRegistry(*entities)
        self.runs = MemoryRuns(self.memory.snapshot, lambda: self.memory.now)
        self.services = Services(
            config,
            KafkaConfig("127.0.0.1:1"),
            Codec(committed()),
            cast(RegistryView, self.memory),
            cast(RegistryClient, self.memory),
            ClickHouses(lambda: cast(ClickHouse, clickhouse()), 2),
            lambda: self.memory.now,
            evaluations=cast(Evaluations, self.runs),
        )
        self.app: FastAPI = create_app(self.services)

    def key(
        self, role: AccessRole, org_id: str = "acme", expires_at: datetime | None = None
    ) -> NewKey:
        """A key that the registry knows from now on."""
        org = OPERATORS if role == "operator" else org_id
        made = new_key(KeyWish(org, role, expires_at=expires_at), self.memory.now)
        self.add(made.entity)
        return made

    def add(self, *entities: Entity) -> None:
        """Puts entities into the registry."""
        for entity in entities:
            change = Change("create", entity.key, None, entity)
            assert self.memory.registry.send(change).outcome.status == "accepted"

    def put(self, *entities: Entity) -> None:
        """As `add`, for entities that no rule would let in; each is written by its own
        organisation."""
        facts = (RegistryFact(1, f"{e.org_id}-author", NOW, "c", e) for e in entities)
        registry = self.memory.registry
        registry.snapshot = registry.snapshot.with_facts((f.entity.key, f) for f in facts)

    def client(self, role: AccessRole | None = None, org_id: str = "acme") -> TestClient:
        """A client below the prefix, with a new key of this role; None: without a key."""
        headers = {}
        if role is not None:
            headers["Authorization"] = f"Bearer {self.key(role, org_id).token}"
        client = TestClient(self.app, f"http://test{PREFIX}", raise_server_exceptions=False)
        client.headers.update(headers)
        return client

    def forward(self, **passed: float) -> None:
        """Lets time pass, as for timedelta."""
        self.memory.now += timedelta(**passed)
