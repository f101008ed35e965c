"""The one settings object: read once at the edge, frozen, passed down as values.

Order of precedence: command line, environment (``RHEOSTAT_*``), the TOML file named by
``RHEOSTAT_CONFIG`` (else ``rheostat.toml`` in the working directory), the endpoints of a stack that
runs in ``data_dir``, defaults.
"""

import json
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

LOOPBACK = "127.0.0.1"
PREFIX = "RHEOSTAT_"
CONFIG_VARIABLE = f"{PREFIX}CONFIG"
DEFAULT_CONFIG = "rheostat.toml"
ENDPOINTS = "endpoints.json"
RATE = r"([1-9]\d{0,8}/(second|minute|hour))?"
FORMS = {
    "kafka_bootstrap": (
        r"[^\s/,]+(,[^\s/,]+)*",
        "host:port, several with commas, without kafka://",
    ),
    "clickhouse_cluster": (r"[A-Za-z0-9_.-]+", "letters, digits, dots, dashes and underscores"),
    "topic_prefix": (r"[A-Za-z0-9_.-]{0,100}", "letters, digits, dots, dashes and underscores"),
    "host": (r"[A-Za-z0-9.-]+", "an IPv4 address or a host name"),
    "advertised_host": (r"[A-Za-z0-9.-]+", "an IPv4 address or a host name"),
    "api_host": (r"[A-Za-z0-9.-]+", "an IPv4 address or a host name"),
    "api_rate_per_caller": (RATE, "a rate such as 500/second, or empty"),
    "api_rate_per_stranger": (RATE, "a rate such as 20/second, or empty"),
    "log_level": (r"DEBUG|INFO|WARNING|ERROR", "one of DEBUG, INFO, WARNING, ERROR"),
}
"""What texts must look like, and how to say it."""


class Settings(BaseSettings):
    """Every setting a process of Rheostat takes. Units are in the names."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        frozen=True,
        extra="forbid",
        env_ignore_empty=True,
        # A value may hold a password.
        hide_input_in_errors=True,
    )

    kafka_bootstrap: str | None = Field(
        None,
        description="Kafka's host:port, several with commas. Unset: a local broker is started.",
    )
    kafka_properties: dict[str, str] = Field(
        default_factory=dict,
        description='librdkafka properties for every client, such as {"security.protocol": "SSL"}.',
        repr=False,
    )
    clickhouse_url: SecretStr | None = Field(
        None, description="http(s)://user:password@host:port. Unset: a local engine is started."
    )
    clickhouse_cluster: str | None = Field(None, description="Cluster name for replicated tables.")
    schema_registry_url: SecretStr | None = Field(
        None, description="Confluent-compatible schema registry. Unset: ids of schemas/ids.json."
    )
    topic_prefix: str = Field("", description="Put before every topic and consumer group name.")
    data_dir: Path = Field(Path(".rheostat"), description="Broker logs, tables, pid files, logs.")
    host: str = Field(
        LOOPBACK, description="Address (IPv4 or name) that every local server binds to."
    )
    advertised_host: str | None = Field(
        None,
        description="Name by which others reach the local broker. Unset: this machine's name when "
        "host is 0.0.0.0, else host.",
    )
    kafka_port: int = Field(9092, ge=1, le=65535, description="Port of the local broker.")
    clickhouse_port: int = Field(8123, ge=1, le=65535, description="Port of the local ClickHouse.")
    clickhouse_local_password: SecretStr | None = Field(
        None, description="Password of the local ClickHouse's one user. Unset: none is asked."
    )
    api_port: int = Field(8080, ge=1, le=65535, description="Port of the REST API.")
    api_host: str | None = Field(
        None, description="Address that the REST API binds to. Unset: host."
    )
    api_max_body_kb: int = Field(
        2048, ge=1, le=65536, description="Largest body of a request to the REST API."
    )
    api_rate_per_caller: str = Field(
        "500/second", description="Requests of one key or user, in each process; empty: no limit."
    )
    api_rate_per_stranger: str = Field(
        "20/second", description="Requests without a valid key, by address; empty: no limit."
    )
    api_cors_origins: list[str] = Field(
        default_factory=list,
        description='Web pages of other hosts that may use the REST API: ["https://…"].',
    )
    oidc_issuer: str | None = Field(
        None, description="Issuer whose tokens the REST API takes beside API keys. Unset: none."
    )
    oidc_audience: str | None = Field(None, description="Audience that such tokens must name.")
    oidc_jwks_url: str | None = Field(
        None, description="Where its keys are published. Unset: as the issuer's discovery says."
    )
    oidc_jwks_file: Path | None = Field(None, description="A file with its keys, instead.")
    metrics_port: int = Field(
        9400, ge=0, le=65535, description="First port of the processes' own HTTP pages; 0: any."
    )
    partitions: int = Field(4, ge=1, le=1000, description="Partitions of the topics we create.")
    replication_factor: int = Field(1, ge=1, le=9, description="Replicas of topics we create.")
    retention_days: int = Field(7, ge=1, description="Events older than this are rejected.")
    batch_size: int = Field(50_000, ge=1, le=1_000_000, description="Largest micro-batch, rows.")
    linger_ms: int = Field(200, ge=1, description="Longest wait for a micro-batch to fill.")
    broker_heap_mb: int = Field(512, ge=256, description="Heap of the local broker.")
    secrets_dir: Path | None = Field(
        None,
        description="Folder of the files that file: references of model endpoints name. Unset: "
        "secrets in the data dir.",
    )
    runner_concurrency: int = Field(
        256, ge=1, le=10_000, description="Most calls of one model at a time, for each runner."
    )
    embedders: dict[str, dict[str, str]] = Field(
        default_factory=dict,
        description="Where the scorer semantic_similarity gets embeddings, by name: "
        '{"default": {"url": "http://localhost:8081/v1", "model": "all-minilm"}}.',
    )
    worker_name: str = Field(
        "", description="Name of this process among its kind, the same after a restart."
    )
    log_level: str = Field("INFO", description="DEBUG, INFO, WARNING or ERROR.")

    @field_validator(*FORMS)
    @classmethod
    def _has_form(cls, value: str | None, info: ValidationInfo) -> str | None:
        pattern, words = FORMS[str(info.field_name)]
        if value is not None and not re.fullmatch(pattern, value):
            raise ValueError(f"must be {words}")
        return value

    @field_validator("clickhouse_url", "schema_registry_url")
    @classmethod
    def _is_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            parts = urlsplit(value.get_secret_value())
            if parts.scheme not in {"http", "https"} or not parts.hostname:
                raise ValueError("must be a URL such as http://user:password@host:port")
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  pydantic's signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, config_path())

    @property
    def run_dir(self) -> Path:
        """Pid files and the endpoints of the running stack."""
        return self.data_dir / "run"

    @property
    def secrets_folder(self) -> Path:
        """Where files with endpoints' keys are."""
        return self.secrets_dir or self.data_dir / "secrets"

    @property
    def bootstrap(self) -> str:
        """Where Kafka is: configured, else the stack of this data dir, else the local default."""
        return self.kafka_bootstrap or self.running("kafka_bootstrap") or self.local_bootstrap

    @property
    def clickhouse(self) -> str:
        """URL of ClickHouse, found like `bootstrap`. May hold a password: never print it."""
        if self.clickhouse_url is not None:
            return self.clickhouse_url.get_secret_value()
        return self.running("clickhouse_url") or self.local_clickhouse

    @property
    def api(self) -> str:
        """URL of the REST API: of the stack of this data dir, else where ours would listen."""
        return self.running("api_url") or self.local_api

    @property
    def local_bootstrap(self) -> str:
        """Where the local broker of these settings listens, seen from this machine."""
        return f"{reachable(self.host)}:{self.kafka_port}"

    @property
    def local_clickhouse(self) -> str:
        """The same of the local ClickHouse; holds its password if it has one."""
        user = ""
        if self.clickhouse_local_password is not None:
            user = f"default:{quote(self.clickhouse_local_password.get_secret_value(), safe='')}@"
        return f"http://{user}{reachable(self.host)}:{self.clickhouse_port}"

    @property
    def local_api(self) -> str:
        """URL of the REST API of these settings, seen from this machine."""
        return f"http://{reachable(self.api_host or self.host)}:{self.api_port}"

    def environment(self) -> dict[str, str]:
        """These settings as the environment of a child process."""
        return {
            f"{PREFIX}{name.upper()}": _as_text(value) for name, value in self if value is not None
        }

    def running(self, name: str) -> str | None:
        """An endpoint that `rheostat up` wrote, when a stack runs in this data dir."""
        try:
            endpoints: Any = json.loads((self.run_dir / ENDPOINTS).read_text())
        except (OSError, ValueError):
            return None
        value = endpoints.get(name) if isinstance(endpoints, dict) else None
        return value if isinstance(value, str) else None


def config_path() -> Path:
    """The TOML file: as RHEOSTAT_CONFIG says, else rheostat.toml in the working directory."""
    return Path(os.environ.get(CONFIG_VARIABLE) or DEFAULT_CONFIG)


def reachable(host: str) -> str:
    """Where to connect to what listens on `host`."""
    return LOOPBACK if host == "0.0.0.0" else host


def _as_text(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return json.dumps(value) if isinstance(value, dict | list) else str(value)
