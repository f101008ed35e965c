"""What `rheostat up` runs: the list of children, as data, and how each tells that it is ready."""

import json
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from infra.errors import OperatorError
from infra.process import ChildSpec, scaled
from infra.settings import LOOPBACK, Settings
from infra.supervisor import Child, Step, Supervisor

WORKERS = ("streams", "sinks", "agents")
SERVERS = ("kafka", "clickhouse")
MISSING_ADDRESS = {
    "kafka": "RHEOSTAT_KAFKA_BOOTSTRAP",
    "clickhouse": "RHEOSTAT_CLICKHOUSE_URL",
}


@dataclass(frozen=True, slots=True)
class StackOptions:
    """What to leave out and what to run several of."""

    without: Sequence[str] = ()
    scale: Mapping[str, int] = field(default_factory=dict)


def parse_scale(options: Sequence[str]) -> dict[str, int]:
    """NAME=N options. Raises OperatorError with what is allowed."""
    scale = {}
    for option in options:
        name, _, count = option.partition("=")
        if name not in WORKERS or not count.isdigit() or int(count) < 1:
            raise OperatorError(
                f"--scale {option} is not NAME=N with NAME one of {', '.join(WORKERS)} and N >= 1."
            )
        scale[name] = int(count)
    return scale


def check_names(without: Sequence[str]) -> None:
    """Raises OperatorError for a name that is no part of the stack."""
    for name in without:
        if name not in (*SERVERS, *WORKERS):
            raise OperatorError(
                f"--without {name}: there is no such part; the parts are "
                f"{', '.join((*SERVERS, *WORKERS))}."
            )


def build(
    settings: Settings, options: StackOptions, steps: Callable[[Settings], Sequence[Step]]
) -> tuple[Supervisor, Settings]:
    """The supervisor, and the settings that its children and steps use."""
    check_names(options.without)
    own = _servers(settings, options)
    resolved = _resolved(settings, own)
    names = [
        instance
        for name in WORKERS
        if name not in options.without
        for instance in scaled(name, options.scale.get(name, 1))
    ]
    ports = _free_ports(settings, len(names))
    children = [_server_child(name, resolved) for name in own]
    children += [
        _worker_child(name, resolved, port) for name, port in zip(names, ports, strict=True)
    ]
    _write_targets(resolved, dict(zip(names, ports, strict=True)))
    endpoints = {"kafka_bootstrap": resolved.bootstrap, "clickhouse_url": resolved.clickhouse}
    return Supervisor(resolved.data_dir, children, steps(resolved), endpoints), resolved


def _servers(settings: Settings, options: StackOptions) -> list[str]:
    """The servers that we start: those with no address set and not left out."""
    given = {"kafka": settings.kafka_bootstrap, "clickhouse": settings.clickhouse_url}
    return [name for name in SERVERS if given[name] is None and name not in options.without]


def _resolved(settings: Settings, own: Sequence[str]) -> Settings:
    """Settings with every address filled in and paths absolute, for the children."""
    changes: dict[str, object] = {"data_dir": settings.data_dir.absolute()}
    if "kafka" in own:
        changes["kafka_bootstrap"] = f"{_reachable(settings.host)}:{settings.kafka_port}"
    if "clickhouse" in own:
        changes["clickhouse_url"] = f"http://{_reachable(settings.host)}:{settings.clickhouse_port}"
    return Settings.model_validate({**settings.model_dump(), **changes})


def _reachable(host: str) -> str:
    return LOOPBACK if host in {"0.0.0.0", "::"} else host


def _environment(settings: Settings) -> dict[str, str]:
    """The settings of the children, as their environment."""
    values = {
        "RHEOSTAT_KAFKA_BOOTSTRAP": settings.bootstrap,
        "RHEOSTAT_CLICKHOUSE_URL": settings.clickhouse,
        "RHEOSTAT_DATA_DIR": str(settings.data_dir),
        "RHEOSTAT_HOST": settings.host,
        "RHEOSTAT_TOPIC_PREFIX": settings.topic_prefix,
        "RHEOSTAT_KAFKA_PROPERTIES": json.dumps(settings.kafka_properties),
        "RHEOSTAT_RETENTION_DAYS": str(settings.retention_days),
        "RHEOSTAT_BATCH_SIZE": str(settings.batch_size),
        "RHEOSTAT_LINGER_MS": str(settings.linger_ms),
        "RHEOSTAT_LOG_LEVEL": settings.log_level,
        "RHEOSTAT_BROKER_HEAP_MB": str(settings.broker_heap_mb),
        "RHEOSTAT_KAFKA_PORT": str(settings.kafka_port),
        "RHEOSTAT_CLICKHOUSE_PORT": str(settings.clickhouse_port),
    }
    if settings.schema_registry_url is not None:
        values["RHEOSTAT_SCHEMA_REGISTRY_URL"] = settings.schema_registry_url.get_secret_value()
    return values


def _server_child(name: str, settings: Settings) -> Child:
    spec = ChildSpec(
        name, [sys.executable, "-m", "infra", "worker", name], _environment(settings), grace_s=30.0
    )
    check = (
        _kafka_ready(settings) if name == "kafka" else _http_ready(f"{settings.clickhouse}/ping")
    )
    return Child(spec, check)


def _worker_child(instance: str, settings: Settings, port: int) -> Child:
    kind = instance.partition("-")[0]
    env = {
        **_environment(settings),
        "RHEOSTAT_WORKER_NAME": instance,
        "RHEOSTAT_METRICS_PORT": str(port),
    }
    spec = ChildSpec(
        instance,
        [sys.executable, "-m", "infra", "worker", kind],
        env,
        needs=("topics", "migrate") if kind == "sinks" else ("topics",),
    )
    return Child(spec, _http_ready(f"http://{_reachable(settings.host)}:{port}/readyz"))


def _kafka_ready(settings: Settings) -> Callable[[], bool]:
    def ready() -> bool:
        client = AdminClient({"bootstrap.servers": settings.bootstrap, "log_level": 0})
        try:
            return bool(client.list_topics(timeout=1).brokers)
        except KafkaException:
            return False

    return ready


def _http_ready(url: str) -> Callable[[], bool]:
    def ready() -> bool:
        try:
            with urllib.request.urlopen(url, timeout=1) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    return ready


def _free_ports(settings: Settings, count: int) -> list[int]:
    """Ports for the processes' own pages: in a row from the configured one, skipping taken ones."""
    ports: list[int] = []
    candidate = settings.metrics_port
    while len(ports) < count:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((settings.host, candidate))
                ports.append(int(probe.getsockname()[1]))
            except OSError:
                pass
        candidate = candidate + 1 if settings.metrics_port else 0
    return ports


def _write_targets(settings: Settings, ports: Mapping[str, int]) -> None:
    """Where Prometheus finds the processes (file_sd format)."""
    run_dir: Path = settings.run_dir
    run_dir.mkdir(parents=True, exist_ok=True)
    host = _reachable(settings.host)
    targets = [
        {"targets": [f"{host}:{port}"], "labels": {"process": name}} for name, port in ports.items()
    ]
    (run_dir / "targets.json").write_text(json.dumps(targets, indent=1))
