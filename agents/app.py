"""The control lane as one Faust app: its configuration, its tables and its life in a process."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import faust
import structlog
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from agents import changelog, transport
from agents.alerts import Alerts
from agents.book import Book, Entry, Message, Publication
from agents.errors import AgentsStopped, BadConfiguration
from agents.evaluation.planner.agent import Planner, PlannerConfig
from agents.monitor import Monitor
from agents.policy.verdicts import Verdicts
from agents.registry.agent import RegistryAgent, RegistryAgentConfig
from agents.registry.verdicts import VerdictView
from agents.security import credentials
from agents.selector import Selector
from agents.shell import LANE, Shell
from agents.units import UnitReader
from schemas.catalog import SchemaCatalog
from schemas.convert import to_record
from schemas.errors import MalformedMessage, UnknownSchema
from schemas.topics import BULK_BYTES_MAX, Topic
from schemas.wire import Codec
from sinks.clickhouse import ClickHouse
from streams import partials, telemetry
from streams.kafka import KafkaConfig
from streams.registry_view import RegistryView

REGISTRY_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 10.0
SEND_TIMEOUT_S = 30.0
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class AgentsConfig:
    """A control-lane worker. Several with the same `kafka` share the work.

    instance: the same after a restart and no other worker's. The broker then gives a restarted
    worker its partitions back at once, instead of waiting for the session of the dead one to end.
    data_dir: where Faust makes its folder, which stays empty: state is in memory and in Kafka.
    clickhouse: makes connections, for the planner of evaluations and for A/B tests analysed by
    units; without, this worker plans nothing and such tests wait.
    """

    kafka: KafkaConfig
    catalog: SchemaCatalog
    instance: str
    data_dir: Path = Path(".rheostat/agents")
    replication_factor: int = 1
    session_timeout_s: float = 10.0
    health: telemetry.Health = field(default_factory=telemetry.Health)
    clickhouse: Callable[[], ClickHouse] | None = None


def run(config: AgentsConfig, stop: threading.Event) -> None:
    """Runs until `stop` is set. Owns the thread's event loop.

    Raises AgentsStopped when only a new process can go on, BadConfiguration before anything runs.
    """
    with RegistryView(config.kafka, Codec(config.catalog)) as registry:
        config.health.waiting(LANE, "reading the registry")
        registry.wait_loaded(REGISTRY_TIMEOUT_S)
        own = RegistryAgentConfig(config.kafka, config.catalog, config.instance, config.health)
        with RegistryAgent(own, registry, stop), _planner(config, registry, stop):
            asyncio.run(_run(config, registry, stop))


def _planner(
    config: AgentsConfig, registry: RegistryView, stop: threading.Event
) -> AbstractContextManager[Any]:
    if config.clickhouse is None:
        return nullcontext()
    own = PlannerConfig(
        config.kafka, config.catalog, config.instance, config.clickhouse, config.health
    )
    return Planner(own, registry, stop)


async def _run(config: AgentsConfig, registry: RegistryView, stop: threading.Event) -> None:
    units = None if config.clickhouse is None else UnitReader(config.clickhouse()).start()
    published = VerdictView(config.kafka, Codec(config.catalog))
    published.start()
    try:
        monitor = Monitor(registry.snapshot, Verdicts(), units, published.latest)
        await _work(config, registry, monitor, stop)
    finally:
        published.close()
        if units is not None:
            units.close()


async def _work(
    config: AgentsConfig, registry: RegistryView, monitor: Monitor, stop: threading.Event
) -> None:
    worker = Worker(config, [Selector(registry.snapshot), monitor, Alerts()])
    config.health.waiting(LANE, "joining the group")
    await worker.start()
    try:
        await worker.until(stop)
    finally:
        await worker.stop()


class Worker:
    """A Faust app around the shell. `start`, `until`, `stop`, in this order, in one event loop."""

    def __init__(self, config: AgentsConfig, books: Sequence[Book]) -> None:
        self._config = config
        self._codec = Codec(config.catalog)
        count = _partitions(config.kafka)
        self.app = _new_app(config, count)
        self._books = [book.name for book in books]
        changelog.ensure(config.kafka, self._books, count, config.replication_factor)
        self._changelogs = {
            name: self._raw_topic(changelog.topic_of(config.kafka, name)) for name in self._books
        }
        self.shell = Shell(books, self, config.health, config.session_timeout_s / 2)
        self._ticking: asyncio.Task[None] | None = None
        self._failure: Exception | None = None
        self._topics = {
            topic: self._raw_topic(config.kafka.topic(topic))
            for topic in (
                Topic.AB_VERDICTS,
                Topic.SELECTION_UPDATES,
                Topic.ALERTS,
                Topic.REGISTRY_COMMANDS,
            )
        }
        self._connect()

    async def start(self) -> None:
        await self.app.start()

    async def until(self, stop: threading.Event) -> None:
        """Returns when `stop` is set; raises AgentsStopped when Faust or the shell failed."""
        self._ticking = asyncio.create_task(self.shell.run())
        while not stop.is_set():
            await asyncio.wait({self._ticking}, timeout=0.2)
            if self._ticking.done():
                self._ticking.result()
            if self._failure is not None:
                raise AgentsStopped(f"the agents cannot go on: {self._failure!r}")
            if self.app.crashed:
                raise AgentsStopped(f"Faust stopped: {self.app.crash_reason!r}")

    async def stop(self) -> None:
        """Ends within STOP_TIMEOUT_S; what is left is repeated by the next owner."""
        if self._ticking is not None:
            self._ticking.cancel()
            await asyncio.wait({self._ticking}, timeout=STOP_TIMEOUT_S)
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self.app.stop(), STOP_TIMEOUT_S)

    async def store(self, book: str, partition: int, entries: Sequence[Entry]) -> None:
        topic = self._changelogs[book]
        sent = [
            await topic.send(key=entry.key, value=entry.value, partition=partition)
            for entry in entries
        ]
        await asyncio.wait_for(asyncio.gather(*sent), SEND_TIMEOUT_S)

    async def publish(self, publications: Sequence[Publication]) -> None:
        sent = []
        for item in publications:
            value = self._codec.encode(type(item.record).__name__, to_record(item.record))
            sent.append(await self._topics[item.topic].send(key=item.key.encode(), value=value))
        await asyncio.wait_for(asyncio.gather(*sent), SEND_TIMEOUT_S)

    def _raw_topic(self, name: str) -> Any:
        return self.app.topic(
            name,
            key_type=bytes,
            value_type=bytes,
            key_serializer="raw",
            value_serializer="raw",
        )

    def _connect(self) -> None:
        """Hooks the shell to Faust's rebalances and to the topic."""

        async def taken_away(_: Any, revoked: Any, **__: Any) -> None:
            del revoked
            self._config.health.waiting(LANE, "rebalancing")
            await self.shell.drop()

        async def assigned(_: Any, **__: Any) -> None:
            try:
                await self._load()
            except Exception as error:
                # Faust would log it and go on without the state.
                self._failure = error
                raise
            self._config.health.ready(LANE)

        async def metric_partials(stream: Any) -> None:
            async for event in stream.noack().events():
                message = event.message
                try:
                    self.shell.apply(message.partition, self._decode(message), event)
                except Exception as error:
                    # Faust would log it and go on with the next message, without this one.
                    self._failure = error
                    raise
                # A backlog comes without a pause: the shell's ticks have their turn between.
                await asyncio.sleep(0)

        self.app.on_partitions_revoked.connect(taken_away)
        self.app.on_rebalance_complete.connect(assigned)
        self._hooks = (taken_away, assigned)
        source = self._raw_topic(self._config.kafka.topic(Topic.METRIC_PARTIALS))
        self.app.agent(source, name="metric-partials")(metric_partials)

    async def _load(self) -> None:
        """Hands what is stored for our partitions to the books, before Faust resumes them."""
        kafka = self._config.kafka
        source = kafka.topic(Topic.METRIC_PARTIALS)
        owned = sorted(tp.partition for tp in self.app.consumer.assignment() if tp.topic == source)
        await self.shell.restore(
            lambda: asyncio.to_thread(changelog.read, kafka, self._books, owned)
        )
        log.info("partitions loaded", partitions=owned)

    def _decode(self, message: Any) -> Message | None:
        try:
            record = self._codec.decode(message.value, "MetricPartials")
            return Message(message.partition, message.offset, partials.from_record(record))
        except (MalformedMessage, UnknownSchema) as error:
            # Only our own data lane writes here: a foreign message is logged, not counted.
            log.error(
                "partials skipped",
                partition=message.partition,
                offset=message.offset,
                error=str(error),
            )
            return None


def _new_app(config: AgentsConfig, partitions: int) -> Any:
    kafka = config.kafka
    app = faust.App(
        kafka.group("agents"),
        broker=[f"kafka://{address}" for address in kafka.bootstrap.split(",")],
        broker_credentials=credentials(kafka.properties),
        store="memory://",
        datadir=str(config.data_dir),
        autodiscover=False,
        web_enabled=False,
        topic_partitions=partitions,
        topic_allow_declare=False,
        topic_disable_leader=True,
        broker_session_timeout=config.session_timeout_s,
        broker_heartbeat_interval=config.session_timeout_s / 4,
        broker_commit_interval=1.0,
        broker_max_poll_interval=300.0,
        consumer_auto_offset_reset="earliest",
        consumer_group_instance_id=config.instance,
        consumer_max_fetch_size=BULK_BYTES_MAX,
        producer_max_request_size=BULK_BYTES_MAX,
        producer_compression_type="lz4",
        producer_acks=-1,
        # With True a rebalance can wait for ever for streams to become empty.
        stream_wait_empty=False,
        stream_recovery_delay=0.0,
    )
    app.finalize()
    app.transport = transport.on(app)
    return app


def _partitions(kafka: KafkaConfig) -> int:
    topic = kafka.topic(Topic.METRIC_PARTIALS)
    try:
        found = AdminClient(kafka.admin()).list_topics(topic, timeout=30).topics[topic]
    except KafkaException as error:
        raise AgentsStopped(f"Kafka did not answer: {error}") from error
    if not found.partitions:
        raise BadConfiguration(f"the topic {topic} does not exist; run: rheostat topics")
    return len(found.partitions)
