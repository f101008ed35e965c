"""Kafka and ClickHouse asked wrongly on purpose: what happened, why, what to do; no traceback."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from infra import cli, clickhouse_admin, kafka_admin
from infra.errors import NotReachable, OperatorError
from infra.settings import Settings
from infra.workers import migrate
from tests.support.logs import restored
from tests.support.servers import ClickHouseServer, Kafka, free_port

pytestmark = pytest.mark.integration
SECRET = "geheim-9f3"
SASL = {
    "security.protocol": "SASL_PLAINTEXT",
    "sasl.mechanism": "PLAIN",
    "sasl.username": "me",
    "sasl.password": SECRET,
}


@pytest.fixture
def silent() -> Iterator[int]:
    """A port that takes connections and never answers."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def kafka_says(bootstrap: str, properties: dict[str, str] | None = None) -> OperatorError:
    settings = Settings(kafka_bootstrap=bootstrap, kafka_properties=properties or {})
    with pytest.raises(OperatorError) as wrong:
        kafka_admin.connect(settings, timeout_s=3.0)
    assert bootstrap in str(wrong.value) or "RHEOSTAT_KAFKA_PROPERTIES" in str(wrong.value)
    assert SECRET not in str(wrong.value)
    return wrong.value


def clickhouse_says(url: str) -> OperatorError:
    with pytest.raises(OperatorError) as wrong:
        migrate(Settings(clickhouse_url=url))
    assert SECRET not in str(wrong.value)
    return wrong.value


def test_no_kafka() -> None:
    error = kafka_says(f"127.0.0.1:{free_port()}")
    assert isinstance(error, NotReachable)
    assert "Connection refused" in str(error)
    assert "rheostat up" in str(error)


def test_a_name_that_does_not_resolve() -> None:
    error = kafka_says("no-such-host.invalid:9092")
    assert "Failed to resolve" in str(error)
    assert "Correct the name in RHEOSTAT_KAFKA_BOOTSTRAP" in str(error)


def test_something_else_than_kafka(silent: int) -> None:
    assert "another security.protocol" in str(kafka_says(f"127.0.0.1:{silent}"))


def test_wrong_credentials(kafka: Kafka) -> None:
    error = kafka_says(kafka.bootstrap, SASL)
    assert not isinstance(error, NotReachable)
    assert "refuses the connection" in str(error)
    assert "sasl.password in RHEOSTAT_KAFKA_PROPERTIES" in str(error)


def test_a_property_that_does_not_exist(kafka: Kafka) -> None:
    error = kafka_says(kafka.bootstrap, {"sasl.pasword": SECRET})
    assert 'No such configuration property: "sasl.pasword"' in str(error)


def test_kafka_that_answers(kafka: Kafka) -> None:
    _, metadata = kafka_admin.connect(Settings(kafka_bootstrap=kafka.bootstrap))
    assert metadata.brokers


def test_no_clickhouse() -> None:
    error = clickhouse_says(f"http://127.0.0.1:{free_port()}")
    assert isinstance(error, NotReachable)
    assert "refused" in str(error)
    assert "RHEOSTAT_CLICKHOUSE_URL" in str(error)


def test_a_password_that_is_wrong(clickhouse: ClickHouseServer) -> None:
    error = clickhouse_says(clickhouse.url.replace("//", f"//default:{SECRET}@"))
    assert not isinstance(error, NotReachable)
    assert "refuses the user or the password" in str(error)
    assert "default:***@" in str(error)


def test_kafka_where_clickhouse_should_be(kafka: Kafka) -> None:
    assert "is not ClickHouse's HTTP interface" in str(clickhouse_says(f"http://{kafka.bootstrap}"))


def test_tls_where_there_is_none(clickhouse: ClickHouseServer) -> None:
    error = clickhouse_says(clickhouse.url.replace("http:", "https:"))
    assert "write http:// in RHEOSTAT_CLICKHOUSE_URL" in str(error)


def test_a_clickhouse_that_never_answers(silent: int) -> None:
    settings = Settings(clickhouse_url=f"http://127.0.0.1:{silent}")
    with pytest.raises(NotReachable, match=r"did not answer within 0\.2 s"):
        clickhouse_admin.ask(settings, timeout_s=0.2)


def test_clickhouse_that_answers(clickhouse: ClickHouseServer) -> None:
    answer = clickhouse_admin.ask(Settings(clickhouse_url=clickhouse.url))
    assert answer.version.count(".") >= 2
    assert abs(answer.ahead_s) <= answer.within_s + 1


@dataclass(frozen=True, slots=True)
class User:
    """Somebody at a terminal, in a folder of their own."""

    folder: Path
    patch: pytest.MonkeyPatch
    capture: pytest.CaptureFixture[str]

    def types(self, *arguments: str, **env: str) -> str:
        """What the command says before it ends with exit code 1."""
        for name, value in env.items():
            self.patch.setenv(name, value)
        self.patch.setattr(sys, "argv", ["rheostat", *arguments])
        with restored(), pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code == 1
        return self.capture.readouterr().err


@pytest.fixture
def user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> User:
    for name in [name for name in os.environ if name.startswith("RHEOSTAT_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return User(tmp_path, monkeypatch, capsys)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("topics", "Kafka at no-such-host.invalid:1 does not answer"),
        ("topics --check", "Kafka at no-such-host.invalid:1 does not answer"),
        ("migrate", "ClickHouse at http://127.0.0.1"),
        ("registry apply good.yaml", "Kafka at no-such-host.invalid:1"),
        ("registry apply nothing.yaml", "nothing.yaml cannot be read: No such file"),
        ("registry apply latin.yaml", "latin.yaml is not UTF-8"),
    ],
)
def test_a_command_that_cannot_work_says_one_sentence(words: str, said: str, user: User) -> None:
    (user.folder / "good.yaml").write_text("models: []\n")
    (user.folder / "latin.yaml").write_bytes(b"models: [\xff]\n")
    told = user.types(
        *words.split(),
        RHEOSTAT_KAFKA_BOOTSTRAP="no-such-host.invalid:1",
        RHEOSTAT_CLICKHOUSE_URL=f"http://127.0.0.1:{free_port()}",
    )
    assert told.startswith("error: ")
    assert said in told
    assert len(told.splitlines()) == 1


def test_a_registry_without_its_topic_is_told_at_once(kafka: Kafka, user: User) -> None:
    (user.folder / "registry.yaml").write_text("models: []\n")
    told = user.types(
        "registry",
        "apply",
        "registry.yaml",
        RHEOSTAT_KAFKA_BOOTSTRAP=kafka.bootstrap,
        RHEOSTAT_TOPIC_PREFIX=kafka.new_prefix(),
    )
    assert "Run rheostat topics" in told


def test_a_wrong_file_of_settings(user: User) -> None:
    (user.folder / "rheostat.toml").write_text("kafka_port = 1\nkafka_prt = 2\n")
    assert "did you mean kafka_port?" in user.types("topics")


@pytest.mark.parametrize("words", ["up", "worker kafka", "worker clickhouse"])
def test_a_data_dir_that_cannot_be_used(words: str, user: User) -> None:
    (user.folder / "file").touch()
    told = user.types(
        *words.split(),
        RHEOSTAT_DATA_DIR=str(user.folder / "file" / "data"),
        RHEOSTAT_KAFKA_PORT=str(free_port()),
        RHEOSTAT_CLICKHOUSE_PORT=str(free_port()),
    )
    assert "cannot be used: Not a directory" in told
    assert "--data-dir" in told


@pytest.mark.parametrize("server", ["kafka", "clickhouse"])
def test_a_server_whose_port_is_taken(server: str, silent: int, user: User) -> None:
    told = user.types("worker", server, **{f"RHEOSTAT_{server.upper()}_PORT": str(silent)})
    assert f"Port {silent} on 127.0.0.1 is in use" in told
    assert f"--{server}-port" in told


def test_doctor_says_all_that_is_down_and_exits_1(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "infra", "doctor", "--json"],
        env={
            **os.environ,
            "RHEOSTAT_KAFKA_BOOTSTRAP": "no-such-host.invalid:1",
            "RHEOSTAT_CLICKHOUSE_URL": f"http://default:{SECRET}@127.0.0.1:{free_port()}",
            "RHEOSTAT_DATA_DIR": str(tmp_path),
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    told = json.loads(done.stdout)
    assert done.returncode == 1
    assert SECRET not in done.stdout + done.stderr
    levels = {f["subject"]: f["level"] for f in told["findings"]}
    assert levels["Kafka"] == levels["ClickHouse"] == "problem"
    assert levels["topics"] == levels["tables"] == "skipped"
    assert all(f["why"] and f["do"] for f in told["findings"] if f["level"] == "problem")
