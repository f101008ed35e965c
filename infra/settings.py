"""The one settings object: read once at the edge, frozen, passed down as values.

Order of precedence: command line, environment (``RHEOSTAT_*``), the TOML file named by
``RHEOSTAT_CONFIG`` (else ``rheostat.toml`` in the working directory), the endpoints of a stack that
runs in ``data_dir``, defaults.
"""

import json
import os
from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

LOOPBACK = "127.0.0.1"


class Settings(BaseSettings):
    """Every setting a process of Rheostat takes. Units are in the names."""

    model_config = SettingsConfigDict(
        env_prefix="RHEOSTAT_", frozen=True, extra="forbid", env_ignore_empty=True
    )

    kafka_bootstrap: str | None = Field(
        None, description="Kafka bootstrap servers. Unset: a local broker is started."
    )
    kafka_properties: dict[str, str] = Field(
        default_factory=dict,
        description='librdkafka properties for every client, such as {"security.protocol": "SSL"}.',
        repr=False,
    )
    clickhouse_url: SecretStr | None = Field(
        None,
        description="http(s)://user:password@host:port/database. Unset: a local engine is started.",
    )
    clickhouse_cluster: str | None = Field(
        None, pattern="^[A-Za-z0-9_.-]+$", description="Cluster name for replicated tables."
    )
    schema_registry_url: SecretStr | None = Field(
        None, description="Confluent-compatible schema registry. Unset: ids of schemas/ids.json."
    )
    topic_prefix: str = Field("", description="Put before every topic and consumer group name.")
    data_dir: Path = Field(Path(".rheostat"), description="Broker logs, tables, pid files, logs.")
    host: str = Field(LOOPBACK, description="Address that every local server binds to.")
    kafka_port: int = Field(9092, ge=1, le=65535, description="Port of the local broker.")
    clickhouse_port: int = Field(8123, ge=1, le=65535, description="Port of the local ClickHouse.")
    api_port: int = Field(8080, ge=1, le=65535, description="Port of the REST API.")
    metrics_port: int = Field(
        9400, ge=0, le=65535, description="First port of the processes' own HTTP pages; 0: any."
    )
    partitions: int = Field(4, ge=1, le=1000, description="Partitions of the topics we create.")
    replication_factor: int = Field(1, ge=1, le=9, description="Replicas of topics we create.")
    retention_days: int = Field(7, ge=1, description="Events older than this are rejected.")
    batch_size: int = Field(50_000, ge=1, le=1_000_000, description="Largest micro-batch, rows.")
    linger_ms: int = Field(200, ge=1, description="Longest wait for a micro-batch to fill.")
    broker_heap_mb: int = Field(512, ge=256, description="Heap of the local broker.")
    worker_name: str = Field(
        "", description="Name of this process among its kind, the same after a restart."
    )
    log_level: str = Field("INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  pydantic's signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        toml = TomlConfigSettingsSource(
            settings_cls, Path(os.environ.get("RHEOSTAT_CONFIG", "rheostat.toml"))
        )
        return init_settings, env_settings, toml

    @property
    def run_dir(self) -> Path:
        """Pid files and the endpoints of the running stack."""
        return self.data_dir / "run"

    @property
    def bootstrap(self) -> str:
        """Where Kafka is: configured, else the stack of this data dir, else the local default."""
        return self.kafka_bootstrap or self._running("kafka_bootstrap") or self._local_kafka

    @property
    def clickhouse(self) -> str:
        """URL of ClickHouse, found like `bootstrap`. May hold a password: never print it."""
        if self.clickhouse_url is not None:
            return self.clickhouse_url.get_secret_value()
        return self._running("clickhouse_url") or f"http://{LOOPBACK}:{self.clickhouse_port}"

    @property
    def _local_kafka(self) -> str:
        return f"{LOOPBACK}:{self.kafka_port}"

    def _running(self, name: str) -> str | None:
        """An endpoint that `rheostat up` wrote, when a stack runs in this data dir."""
        try:
            endpoints: dict[str, Any] = json.loads((self.run_dir / "endpoints.json").read_text())
        except FileNotFoundError:
            return None
        value = endpoints.get(name)
        return value if isinstance(value, str) else None
