"""What `rheostat up` runs for which options, and which options it refuses."""

import socket
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from infra import stack
from infra.errors import OperatorError, PortTaken
from infra.ports import free_ports, require_free
from infra.settings import Settings
from infra.stack import WORKERS, StackOptions, exposed, parse_scale
from infra.steps import Step
from infra.supervisor import Child, Supervisor

OWN: dict[str, Any] = {"kafka_bootstrap": "k:1", "clickhouse_url": "http://c:2"}


def steps(_: Settings) -> list[Step]:
    return [Step("topics", ("kafka",), print), Step("migrate", ("clickhouse",), print)]


def build(
    tmp_path: Path, without: Sequence[str] = (), scale: Sequence[str] = (), **settings: object
) -> Supervisor:
    options = StackOptions(tuple(without), parse_scale(scale))
    given = Settings(data_dir=tmp_path, metrics_port=0, **settings)  # type: ignore[arg-type]
    return stack.build(given, options, steps)[0]


def children(supervisor: Supervisor) -> dict[str, Child]:
    return supervisor._children


def test_everything_by_default_servers_first(tmp_path: Path) -> None:
    built = build(tmp_path)
    names = ["kafka", "clickhouse", "streams", "sinks", "agents", "runner", "api"]
    assert list(children(built)) == names
    assert list(built._steps) == ["topics", "migrate"]
    assert children(built)["sinks"].spec.needs == ("topics", "migrate")
    assert children(built)["streams"].spec.needs == ("topics",)
    assert list(tmp_path.iterdir()) == []


def test_several_of_one_are_one_group_with_names_and_ports_of_their_own(tmp_path: Path) -> None:
    built = children(build(tmp_path, scale=["streams=3"]))
    names = ["streams", "streams-2", "streams-3"]
    assert [name for name in built if name.startswith("streams")] == names
    specs = [built[name].spec for name in names]
    assert [spec.argv[-1] for spec in specs] == ["streams"] * 3
    assert [spec.env["RHEOSTAT_WORKER_NAME"] for spec in specs] == names
    ports = {child.spec.env["RHEOSTAT_METRICS_PORT"] for child in built.values()} - {"0"}
    assert len(ports) == 7


def test_several_apis_listen_on_ports_that_follow_each_other(tmp_path: Path) -> None:
    built = build(tmp_path, scale=["api=2"], api_port=8090)
    ports = [children(built)[name].spec.env["RHEOSTAT_API_PORT"] for name in ("api", "api-2")]
    assert ports == ["8090", "8091"]
    assert built._endpoints["api_url"] == "http://127.0.0.1:8090"


def test_servers_of_ones_own_are_not_started_but_used(tmp_path: Path) -> None:
    built = build(tmp_path, (), (), **OWN)
    assert list(children(built)) == ["streams", "sinks", "agents", "runner", "api"]
    assert list(built._steps) == ["topics", "migrate"]
    assert children(built)["sinks"].spec.env["RHEOSTAT_CLICKHOUSE_URL"] == "http://c:2"


def test_only_servers(tmp_path: Path) -> None:
    built = build(tmp_path, without=["streams", "sinks", "agents", "runner", "api", "kafka"])
    assert list(children(built)) == ["clickhouse"]
    assert list(built._steps) == ["migrate"]
    built = build(tmp_path, without=["clickhouse", "sinks"])
    assert list(built._steps) == ["topics"]


def test_children_get_absolute_paths_and_the_addresses_that_were_chosen(tmp_path: Path) -> None:
    env = children(build(tmp_path, kafka_port=1234, host="0.0.0.0"))["streams"].spec.env
    assert env["RHEOSTAT_KAFKA_BOOTSTRAP"] == "127.0.0.1:1234"
    assert env["RHEOSTAT_DATA_DIR"] == str(tmp_path.absolute())


@pytest.mark.parametrize(
    ("without", "scale", "own", "said"),
    [
        (["nope"], [], {}, "--without nope: there is no such part; the parts are kafka"),
        ([], ["nope=2"], {}, "--scale nope=2 is not NAME=N with NAME one of streams"),
        ([], ["kafka=2"], {}, "--scale kafka=2"),
        ([], ["streams=0"], {}, "N >= 1"),
        ([], ["streams=-1"], {}, "N >= 1"),
        ([], ["streams"], {}, "N >= 1"),
        (["sinks"], ["sinks=2"], {}, "exclude each other"),
        (["kafka"], [], {}, "RHEOSTAT_KAFKA_BOOTSTRAP, or add --without streams --without sinks"),
        (["clickhouse"], [], {}, "RHEOSTAT_CLICKHOUSE_URL, or add --without sinks"),
        (["streams", "sinks", "agents", "runner", "api"], [], OWN, "Nothing is left to run"),
        (["kafka", "clickhouse", *WORKERS], [], {}, "Nothing is left to run"),
    ],
)
def test_what_cannot_work_is_refused(
    tmp_path: Path, without: list[str], scale: list[str], own: dict[str, object], said: str
) -> None:
    with pytest.raises(OperatorError) as refused:
        build(tmp_path, without, scale, **own)
    assert said in str(refused.value)


def test_a_port_in_use_is_refused_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack, "RELEASE_S", 0.0)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortTaken) as refused:
            build(tmp_path, clickhouse_port=port).run()
    assert f"Port {port} on 127.0.0.1 is in use" in str(refused.value)
    assert "--clickhouse-port" in str(refused.value)
    assert "RHEOSTAT_CLICKHOUSE_URL" in str(refused.value)
    assert not (tmp_path / "run" / "targets.json").exists()


def test_an_address_that_is_not_ours_is_no_port_in_use() -> None:
    with pytest.raises(OperatorError, match="RHEOSTAT_HOST must be an address of this machine"):
        require_free("192.0.2.1", 9092, "")


def test_free_ports_skip_those_in_use() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        first = taken.getsockname()[1]
        assert next(free_ports("127.0.0.1", first)) > first
    with pytest.raises(PortTaken, match="RHEOSTAT_METRICS_PORT"):
        list(free_ports("127.0.0.1", 65535))


def test_any_ports_differ_and_are_none_that_a_connection_could_take() -> None:
    """The system gives its connections ports from 32768 on, or from 49152."""
    found = [port for _ in range(3) for port in islice(free_ports("127.0.0.1", 0), 8)]
    assert len(set(found)) == len(found) == 24
    assert max(found) < 32_768


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, None),
        ({"host": "localhost"}, None),
        ({"host": "0.0.0.0"}, "kafka and clickhouse without a password"),
        ({"host": "0.0.0.0", "clickhouse_local_password": "x"}, "kafka without a password"),
        ({"host": "0.0.0.0", **OWN}, None),
    ],
)
def test_servers_open_to_all_are_told(settings: dict[str, object], said: str | None) -> None:
    warning = exposed(Settings(**settings), StackOptions())  # type: ignore[arg-type]
    assert (warning is None) if said is None else said in str(warning)
