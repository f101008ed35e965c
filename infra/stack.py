"""What `rheostat up` runs: the list of children, as data, and how each tells that it is ready."""

import json
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from infra.errors import OperatorError
from infra.ports import free_ports, require_free
from infra.process import ChildSpec, scaled
from infra.settings import LOOPBACK, Settings, reachable
from infra.steps import Step
from infra.supervisor import Child, Supervisor

WORKERS = ("streams", "sinks", "agents", "runner", "api")
SERVERS = ("kafka", "clickhouse")
USED_BY = {"kafka": WORKERS, "clickhouse": ("sinks",)}
"""Which workers cannot run without a server."""
ADDRESS = {"kafka": "RHEOSTAT_KAFKA_BOOTSTRAP", "clickhouse": "RHEOSTAT_CLICKHOUSE_URL"}
TARGETS = "targets.json"
RELEASE_S = 1.0
"""How long a server that was just killed may take to let go of its port."""


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


def build(
    settings: Settings, options: StackOptions, steps: Callable[[Settings], Sequence[Step]]
) -> tuple[Supervisor, Settings]:
    """The supervisor, and the settings that its children and steps use.

    Raises OperatorError when the options cannot work together. Nothing is written yet.
    """
    servers = _servers(settings, options)
    kinds = [name for name in WORKERS if name not in options.without]
    _check(settings, options, servers, kinds)
    resolved = _resolved(settings, servers)
    workers = [name for kind in kinds for name in scaled(kind, options.scale.get(kind, 1))]
    free = islice(free_ports(settings.host, settings.metrics_port), len(workers))
    ports = dict(zip(workers, free, strict=True))
    children = [_server_child(name, resolved) for name in servers]
    children += [_worker_child(name, resolved, port) for name, port in ports.items()]
    there = {name for name in SERVERS if name in servers or _address(settings, name)}
    todo = [step for step in steps(resolved) if there.issuperset(step.needs)]
    endpoints = {"kafka_bootstrap": resolved.bootstrap, "clickhouse_url": resolved.clickhouse}
    if "api" in kinds:
        endpoints["api_url"] = resolved.local_api

    def prepare() -> None:
        for name in servers:
            require_free(*_listens(resolved, name), port_remedy(name), RELEASE_S)
        _write_targets(resolved, ports)

    return Supervisor(resolved.data_dir, children, todo, endpoints, prepare), resolved


def exposed(settings: Settings, options: StackOptions) -> str | None:
    """A warning when servers that ask for no password can be reached from other machines."""
    without_password = [
        name
        for name in _servers(settings, options)
        if name == "kafka" or settings.clickhouse_local_password is None
    ]
    if settings.host in {LOOPBACK, "localhost"} or not without_password:
        return None
    return (
        f"RHEOSTAT_HOST={settings.host}: whoever reaches this machine can read and write "
        f"{' and '.join(without_password)} without a password. Close the ports to others, or "
        f"bind to {LOOPBACK}, the default."
    )


def port_remedy(server: str) -> str:
    """What to do when the port of a local server, or of the API, is taken."""
    if server == "api":
        return "Choose another with --api-port."
    return (
        f"Choose another with --{server}-port, or set {ADDRESS[server]} to use the {server} that "
        "listens there."
    )


def _check(
    settings: Settings, options: StackOptions, servers: Sequence[str], kinds: Sequence[str]
) -> None:
    parts = (*SERVERS, *WORKERS)
    for name in options.without:
        if name not in parts:
            raise OperatorError(
                f"--without {name}: there is no such part; the parts are {', '.join(parts)}."
            )
    for name in options.scale:
        if name in options.without:
            raise OperatorError(f"--scale {name} and --without {name} exclude each other.")
    if not servers and not kinds:
        raise OperatorError(
            "Nothing is left to run: every part is left out, or a server of your own. Leave out "
            "fewer with --without."
        )
    for name in SERVERS:
        users = [kind for kind in USED_BY[name] if kind in kinds]
        if users and name not in servers and not _address(settings, name):
            raise OperatorError(
                f"--without {name}: {', '.join(users)} cannot run without one. Name yours with "
                f"{ADDRESS[name]}, or add {' '.join(f'--without {user}' for user in users)}."
            )


def _address(settings: Settings, server: str) -> object:
    """Where a server of the user's own is, None when there is none."""
    return settings.kafka_bootstrap if server == "kafka" else settings.clickhouse_url


def _servers(settings: Settings, options: StackOptions) -> list[str]:
    """The servers that we start: those with no address set and not left out."""
    return [n for n in SERVERS if _address(settings, n) is None and n not in options.without]


def _listens(settings: Settings, server: str) -> tuple[str, int]:
    port = settings.kafka_port if server == "kafka" else settings.clickhouse_port
    return settings.host, port


def _resolved(settings: Settings, own: Sequence[str]) -> Settings:
    """Settings with every address filled in and paths absolute, for the children."""
    changes: dict[str, object] = {"data_dir": settings.data_dir.absolute()}
    if settings.secrets_dir is not None:
        changes["secrets_dir"] = settings.secrets_dir.absolute()
    if "kafka" in own:
        changes["kafka_bootstrap"] = settings.local_bootstrap
    if "clickhouse" in own:
        changes["clickhouse_url"] = settings.local_clickhouse
    return Settings.model_validate({**settings.model_dump(), **changes})


def _server_child(name: str, settings: Settings) -> Child:
    spec = ChildSpec(
        name, [sys.executable, "-m", "infra", "worker", name], settings.environment(), grace_s=30.0
    )
    ping = f"http://{reachable(settings.host)}:{settings.clickhouse_port}/ping"
    check = _kafka_ready(settings) if name == "kafka" else _http_ready(ping)
    return Child(spec, check)


def _worker_child(instance: str, settings: Settings, port: int) -> Child:
    kind, _, number = instance.partition("-")
    env = {
        **settings.environment(),
        "RHEOSTAT_WORKER_NAME": instance,
        "RHEOSTAT_METRICS_PORT": str(port),
    }
    if kind == "api":  # several of them listen on ports that follow each other
        env["RHEOSTAT_API_PORT"] = str(settings.api_port + int(number or 1) - 1)
    spec = ChildSpec(
        instance,
        [sys.executable, "-m", "infra", "worker", kind],
        env,
        needs=("topics", "migrate") if kind == "sinks" else ("topics",),
    )
    return Child(spec, _http_ready(f"http://{reachable(settings.host)}:{port}/readyz"))


def _kafka_ready(settings: Settings) -> Callable[[], bool]:
    def ready() -> bool:
        client = AdminClient({"bootstrap.servers": settings.bootstrap, "log_level": 0})
        try:
            return bool(client.list_topics(timeout=1).brokers)
        except KafkaException:
            return False

    return ready


def _http_ready(url: str) -> Callable[[], bool]:
    # These servers are ours and near: a proxy of the environment is not for them.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def ready() -> bool:
        try:
            with opener.open(url, timeout=1) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    return ready


def _write_targets(settings: Settings, ports: Mapping[str, int]) -> None:
    """Where Prometheus finds the processes (file_sd format)."""
    run_dir: Path = settings.run_dir
    host = reachable(settings.host)
    targets = [
        {"targets": [f"{host}:{port}"], "labels": {"process": name}} for name, port in ports.items()
    ]
    (run_dir / TARGETS).write_text(json.dumps(targets, indent=1))
