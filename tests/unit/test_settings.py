"""Settings: who wins, what a mistake says, and that secrets stay secret."""

import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from infra import configuration
from infra.configuration import origins, read, unknown_variables
from infra.errors import OperatorError
from infra.settings import Settings

SECRET = "geheim-9f3"


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory and no variable of ours."""
    for name in [name for name in os.environ if name.startswith("RHEOSTAT_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def source_of(settings: Settings, name: str) -> tuple[str, str]:
    (found,) = [origin for origin in origins(settings) if origin.name == name]
    return found.source, found.shown


def test_command_line_before_environment_before_file_before_default(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read().kafka_port == 9092
    (nowhere / "rheostat.toml").write_text("kafka_port = 1001\n")
    assert read().kafka_port == 1001
    assert source_of(read(), "kafka_port") == ("file", "1001")
    monkeypatch.setenv("RHEOSTAT_KAFKA_PORT", "1002")
    assert read().kafka_port == 1002
    assert source_of(read(), "kafka_port") == ("environment", "1002")
    settings = read(kafka_port=1003, data_dir=None)
    assert settings.kafka_port == 1003
    assert source_of(settings, "kafka_port") == ("command line", "1003")
    assert source_of(settings, "data_dir") == ("default", ".rheostat")


def test_an_empty_variable_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RHEOSTAT_KAFKA_PORT", "")
    monkeypatch.setenv("RHEOSTAT_CONFIG", "")
    assert read().kafka_port == 9092


def test_a_running_stack_stands_in_for_addresses_only_where_none_is_set(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = read(data_dir=nowhere, kafka_port=1003)
    assert settings.bootstrap == "127.0.0.1:1003"
    (nowhere / "run").mkdir()
    running = {"kafka_bootstrap": "127.0.0.1:1", "clickhouse_url": f"http://u:{SECRET}@h:2"}
    (nowhere / "run" / "endpoints.json").write_text(json.dumps(running))
    assert settings.bootstrap == "127.0.0.1:1"
    assert source_of(settings, "clickhouse_url") == ("running stack", "http://u:***@h:2")
    monkeypatch.setenv("RHEOSTAT_KAFKA_BOOTSTRAP", "mine:9")
    assert read(data_dir=nowhere).bootstrap == "mine:9"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"kafka_bootstrap": 3}'])
def test_endpoints_cut_short_are_none(nowhere: Path, text: str) -> None:
    (nowhere / "run").mkdir()
    (nowhere / "run" / "endpoints.json").write_text(text)
    assert read(data_dir=nowhere).bootstrap == "127.0.0.1:9092"


def test_the_file_that_is_named_is_read(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (nowhere / "rheostat.toml").write_text("kafka_port = 1001\n")
    (nowhere / "other.toml").write_text('[kafka_properties]\n"security.protocol" = "SSL"\n')
    monkeypatch.setenv("RHEOSTAT_CONFIG", "other.toml")
    assert read().kafka_port == 9092
    assert read().kafka_properties == {"security.protocol": "SSL"}


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"KAFKA_PORT": "abc"}, ["RHEOSTAT_KAFKA_PORT is 'abc'", "integer", "local broker"]),
        ({"KAFKA_PORT": "70000"}, ["less than or equal to 65535"]),
        ({"LOG_LEVEL": "loud"}, ["must be one of DEBUG, INFO"]),
        ({"KAFKA_BOOTSTRAP": "kafka://x:1"}, ["host:port", "without kafka://"]),
        ({"HOST": "::1"}, ["IPv4 address or a host name"]),
        ({"TOPIC_PREFIX": "a b"}, ["letters, digits"]),
        ({"CLICKHOUSE_URL": f"ftp://u:{SECRET}@x"}, ["must be a URL such as http://"]),
        ({"SCHEMA_REGISTRY_URL": SECRET}, ["must be a URL such as http://"]),
        ({"KAFKA_PROPERTIES": f"{{{SECRET}"}, ["RHEOSTAT_KAFKA_PROPERTIES", "JSON object"]),
        ({"KAFKA_PROPERTIES": f'["{SECRET}"]'}, ["RHEOSTAT_KAFKA_PROPERTIES: input should be"]),
    ],
)
def test_a_wrong_variable_is_named_with_what_it_must_be(
    environment: Mapping[str, str], said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(f"RHEOSTAT_{name}", value)
    with pytest.raises(OperatorError) as wrong:
        read()
    for words in said:
        assert words in str(wrong.value)
    assert SECRET not in str(wrong.value)
    assert wrong.value.__cause__ is None


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("kafka_port = \nhost = 'x'", ["rheostat.toml is not valid TOML", "line 1"]),
        ("kafka_prt = 1", ["rheostat.toml: kafka_prt is no setting", "did you mean kafka_port?"]),
        ("kafka_port = 'x'", ["kafka_port in rheostat.toml is 'x'"]),
    ],
)
def test_a_wrong_file_is_named_with_the_place(nowhere: Path, toml: str, said: list[str]) -> None:
    (nowhere / "rheostat.toml").write_text(toml)
    with pytest.raises(OperatorError) as wrong:
        read()
    for words in said:
        assert words in str(wrong.value)


def test_a_file_that_is_named_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RHEOSTAT_CONFIG", "missing.toml")
    with pytest.raises(OperatorError, match=r"missing\.toml cannot be read"):
        read()


def test_a_wrong_option_is_named_as_option() -> None:
    with pytest.raises(OperatorError, match="--kafka-port is 0"):
        read(kafka_port=0)


def test_unknown_variables_are_told_with_the_name_that_was_meant() -> None:
    environment = {
        "RHEOSTAT_KAFKA_BOTSTRAP": "x",
        "RHEOSTAT_KAFKA_PORT": "1",
        "RHEOSTAT_CONFIG": "x",
        "RHEOSTAT_SERVICE_HOST": "10.0.0.1",
        "RHEOSTAT_PORT_9400_TCP": "tcp://10.0.0.1:9400",
        "HOME": "/",
    }
    (told,) = unknown_variables(environment)
    assert told.startswith("RHEOSTAT_KAFKA_BOTSTRAP is no setting")
    assert told.endswith("did you mean RHEOSTAT_KAFKA_BOOTSTRAP?")


@pytest.fixture
def secretive() -> Settings:
    return read(
        clickhouse_url=f"http://me:{SECRET}@host:1",
        schema_registry_url=f"http://me:{SECRET}@host:2",
        clickhouse_local_password=SECRET,
        kafka_properties={"sasl.password": SECRET},
    )


def test_secrets_are_in_no_text(secretive: Settings, caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("test").warning("%s %r", secretive, secretive)
    shown = [origin.shown for origin in origins(secretive)]
    for text in (repr(secretive), str(secretive), f"{secretive}", caplog.text, *shown):
        assert SECRET not in text
    assert "http://me:***@host:1" in shown
    assert "sasl.password=***" in shown


def test_children_get_every_setting(secretive: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    changed: dict[str, Any] = {"batch_size": 7, "topic_prefix": "t-", "partitions": 3}
    settings = Settings.model_validate({**secretive.model_dump(), **changed})
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    assert read() == settings


def test_the_local_password_is_part_of_the_local_address() -> None:
    assert read(clickhouse_local_password="a/b@c").clickhouse == (
        "http://default:a%2Fb%40c@127.0.0.1:8123"
    )
    assert read(host="0.0.0.0").clickhouse == "http://127.0.0.1:8123"


def test_a_url_without_password_is_shown_as_it_is() -> None:
    assert configuration.hidden("http://me@host:1/x") == "http://me@host:1/x"
    assert configuration.hidden(f"https://me:{SECRET}@host/x") == "https://me:***@host/x"


def test_embedders_are_tables_of_the_file_and_reach_child_processes(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = '[embedders.default]\nurl = "http://localhost:8081/v1"\nmodel = "m"\n'
    (nowhere / "rheostat.toml").write_text(table)
    written = read()
    assert written.embedders == {"default": {"url": "http://localhost:8081/v1", "model": "m"}}
    (nowhere / "rheostat.toml").unlink()
    for name, value in written.environment().items():
        monkeypatch.setenv(name, value)
    assert read().embedders == written.embedders
