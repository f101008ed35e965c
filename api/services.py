"""What a process of the API holds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Self

from agents import ab_methods, ab_results
from agents.evaluation.requests import Evaluations
from agents.policy.periods import Periods
from agents.registry.client import RegistryClient
from api.ab_health import HealthDesk
from api.clickhouses import ClickHouses
from api.config import ApiConfig
from api.desk import Desk
from api.live import Live
from schemas.wire import Codec
from streams.kafka import KafkaConfig
from streams.lifecycle import Startable
from streams.registry_view import RegistryView
from streams.replay import Replays


def utc_now() -> datetime:
    """The time."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Services(Startable):
    """One per process, started and stopped by infra, shared by all requests.

    `clock` is aware and in UTC: nothing in the API asks for the time otherwise. Without `live`
    there is no stream of events, without `replays` no dead letter is put back, without
    `evaluations` no run is seen; the runs that it looks at are started and closed with it.
    """

    config: ApiConfig
    kafka: KafkaConfig
    codec: Codec
    view: RegistryView
    client: RegistryClient
    clickhouse: ClickHouses
    clock: Callable[[], datetime] = field(default=utc_now)
    live: Live | None = None
    replays: Replays | None = None
    evaluations: Evaluations | None = None
    health: HealthDesk = field(default_factory=HealthDesk)
    periods: Desk[Periods | None] = field(
        default_factory=lambda: Desk(lambda clickhouse, test: ab_results.periods(clickhouse, test))
    )
    methods: Desk[ab_methods.Read] = field(
        default_factory=lambda: Desk(lambda clickhouse, test: ab_methods.read(clickhouse, test))
    )

    def start(self) -> Self:
        """Begins to follow the registry; returns at once, also while Kafka is away."""
        self.view.start()
        self.client.start()
        for follower in self._followers():
            follower.start()
        return self

    def close(self) -> None:
        """Ends the threads and connections."""
        for follower in reversed(self._followers()):
            follower.close()
        self.client.close()
        self.view.close()
        self.clickhouse.close()

    def _followers(self) -> Sequence[Startable]:
        runs = None if self.evaluations is None else self.evaluations.runs
        parts = (self.live, self.replays, runs, self.evaluations)
        return [part for part in parts if part is not None]
