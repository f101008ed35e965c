"""Composition: each kind of process from settings to its loop."""

import signal
import socket
import sys
import threading
from collections.abc import Callable
from types import FrameType

from infra import logs, observe, orphans, watchdog
from infra.errors import NotReachable
from infra.folders import usable
from infra.ports import require_free
from infra.settings import Settings
from schemas.catalog import SchemaCatalog, committed
from schemas.registry_catalog import RegistryCatalog
from schemas.wire import Codec
from streams.kafka import KafkaConfig
from streams.telemetry import Health

DAY_MS = 86_400_000
LOAD_TIMEOUT_S = 60.0
EMBEDDING_TIMEOUT_S = 60.0


def run(kind: str, settings: Settings) -> None:
    """Runs one worker until SIGTERM or Ctrl-C. `kind`: a key of KINDS."""
    orphans.die_with_parent()
    logs.configure(settings.log_level)
    KINDS[kind](settings)


def kafka_config(settings: Settings) -> KafkaConfig:
    """How to reach Kafka."""
    return KafkaConfig(settings.bootstrap, settings.kafka_properties, settings.topic_prefix)


def catalog(settings: Settings) -> SchemaCatalog:
    """The schema registry if there is one, else the committed schemas."""
    if settings.schema_registry_url is None:
        return committed()
    url = settings.schema_registry_url.get_secret_value()
    return RegistryCatalog(url, committed(), settings.topic_prefix)


def instance(settings: Settings, kind: str) -> str:
    """A name that is the same after a restart and that no other process has."""
    name = settings.worker_name or kind
    return f"{settings.topic_prefix}rheostat-{kind}-{socket.gethostname()}-{name}"


def _kafka(settings: Settings) -> None:
    from infra.local_kafka import BrokerConfig, exec_broker

    exec_broker(
        BrokerConfig(
            settings.data_dir / "kafka",
            settings.host,
            settings.kafka_port,
            settings.broker_heap_mb,
            settings.advertised_host,
        )
    )


def _clickhouse(settings: Settings) -> None:
    from infra.clickhouse_server.__main__ import serve
    from infra.clickhouse_server.app import ServerConfig
    from infra.stack import port_remedy

    require_free(settings.host, settings.clickhouse_port, port_remedy("clickhouse"))
    data_dir = usable(settings.data_dir / "clickhouse")
    secret = settings.clickhouse_local_password
    password = "" if secret is None else secret.get_secret_value()
    serve(ServerConfig(data_dir, settings.host, settings.clickhouse_port, "default", password))


def _streams(settings: Settings) -> None:
    from streams.registry_view import RegistryView
    from streams.source import SourceConfig
    from streams.worker import HOT_TOPICS, Worker, WorkerConfig

    kafka, schemas = kafka_config(settings), catalog(settings)
    source = SourceConfig(
        kafka=kafka,
        topics=HOT_TOPICS,
        group=kafka.group("streams"),
        instance=instance(settings, "streams"),
        batch_size=settings.batch_size,
        linger_ms=settings.linger_ms,
    )
    health = _pages(settings)
    with RegistryView(kafka, Codec(schemas)) as registry:
        config = WorkerConfig(source, settings.retention_days * DAY_MS)
        Worker(config, schemas, registry, health).run(_until_signal())


def _pages(settings: Settings) -> Health:
    health = Health()
    if settings.metrics_port:
        remedy = "Set RHEOSTAT_METRICS_PORT to another, or to 0 for any."
        require_free(settings.host, settings.metrics_port, remedy)
    observe.serve(health, settings.host, settings.metrics_port)
    watchdog.watch(health)
    return health


def _until_signal() -> threading.Event:
    """Set by SIGTERM and Ctrl-C; the second one ends the process at once."""
    stop = threading.Event()

    def on_signal(number: int, _: FrameType | None) -> None:
        if stop.is_set():
            sys.exit(128 + number)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    return stop


def _sinks(settings: Settings) -> None:
    from sinks.clickhouse import ClickHouse
    from sinks.writer import SinkConfig, Writer

    kafka = kafka_config(settings)
    config = SinkConfig(
        kafka=kafka,
        group=kafka.group("sinks"),
        instance=instance(settings, "sinks"),
        retention_ms=settings.retention_days * DAY_MS,
    )
    health = _pages(settings)
    # Shorter than the silence after which a process counts as hung.
    clickhouse = ClickHouse(settings.clickhouse, timeout_s=45.0)
    Writer(config, catalog(settings), clickhouse, health).run(_until_signal())


def _agents(settings: Settings) -> None:
    from agents.app import AgentsConfig, run
    from sinks.clickhouse import ClickHouse

    config = AgentsConfig(
        kafka=kafka_config(settings),
        catalog=catalog(settings),
        instance=instance(settings, "agents"),
        data_dir=settings.data_dir / "agents",
        replication_factor=settings.replication_factor,
        health=_pages(settings),
        clickhouse=lambda: ClickHouse(settings.clickhouse, timeout_s=45.0),
    )
    run(config, _until_signal())


def _api(settings: Settings) -> None:
    from infra.api_server import serve, services
    from infra.stack import port_remedy

    host = settings.api_host or settings.host
    require_free(host, settings.api_port, port_remedy("api"))
    health = _pages(settings)
    with services(settings) as held:
        serve(held, host, settings.api_port, health, _until_signal())


def _runner(settings: Settings) -> None:
    import asyncio
    import json

    import httpx

    from agents.evaluation.embedders import embedders
    from agents.evaluation.runner.answering import Answering
    from agents.evaluation.runner.asking import Asking
    from agents.evaluation.runner.feed import FeedConfig
    from agents.evaluation.runner.runner import Judge, Runner, RunnerConfig
    from agents.evaluation.runner.secret import Secrets
    from agents.evaluation.runs import RunsView
    from agents.evaluation.scoring import Scoring, outcome
    from agents.evaluation.services import Services
    from streams.registry_view import RegistryView

    kafka, schemas = kafka_config(settings), catalog(settings)
    config = RunnerConfig(
        feed=FeedConfig(kafka, kafka.group("runner"), instance(settings, "runner")),
        catalog=schemas,
        secrets=Secrets(settings.secrets_folder),
        cache=usable(settings.data_dir / "runner") / "answers.sqlite",
        concurrency=settings.runner_concurrency,
    )
    client = httpx.AsyncClient(timeout=EMBEDDING_TIMEOUT_S)
    services = Services(embedders=embedders(json.dumps(settings.embedders), client))
    health, stop = _pages(settings), _until_signal()
    health.waiting("runner", "reading the registry and the runs")

    async def work(registry: RegistryView, runs: RunsView) -> None:
        asking = Asking()

        def judging(answering: Answering) -> Judge:
            asking.answering = answering
            return Judge(scoring.score, outcome)

        async with client, Scoring(services, judges=asking) as scoring:
            runner = Runner(config, registry.snapshot, runs.state_of, health)
            await runner.run(judging, stop)

    with RegistryView(kafka, Codec(schemas)) as registry, RunsView(kafka, Codec(schemas)) as runs:
        registry.wait_loaded(LOAD_TIMEOUT_S)
        runs.wait_loaded(LOAD_TIMEOUT_S)
        asyncio.run(work(registry, runs))


KINDS: dict[str, Callable[[Settings], None]] = {
    "kafka": _kafka,
    "clickhouse": _clickhouse,
    "streams": _streams,
    "sinks": _sinks,
    "agents": _agents,
    "api": _api,
    "runner": _runner,
}


def migrate(settings: Settings) -> list[str]:
    """Applies ClickHouse migrations; names of those applied now.

    Raises NotReachable when ClickHouse does not answer, OperatorError when it refuses us,
    MigrationFailed when it refuses a statement.
    """
    from infra.clickhouse_admin import ask
    from sinks.clickhouse import ClickHouse
    from sinks.errors import Backpressure
    from sinks.migrate import TableOptions, apply

    ask(settings)  # says best what is wrong
    try:
        return apply(
            ClickHouse(settings.clickhouse), TableOptions(cluster=settings.clickhouse_cluster)
        )
    except Backpressure as error:
        raise NotReachable(
            f"The migrations stopped half-way: {error}. Run rheostat migrate again; each "
            "is applied once."
        ) from error
