"""Runs the server: python -m infra.clickhouse_server --port 8123 --data-dir DIR."""

import os
from pathlib import Path
from typing import Annotated

import typer
import uvicorn

from infra.clickhouse_server.app import Server, ServerConfig
from infra.clickhouse_server.engine import Engine

PASSWORD = "RHEOSTAT_CLICKHOUSE_LOCAL_PASSWORD"


def serve(config: ServerConfig) -> None:
    """Serves until SIGTERM or SIGINT."""
    engine = Engine(config.data_dir, config.concurrency, config.settings)
    server = Server(config, engine)
    try:
        uvicorn.run(
            server.app(),
            host=config.host,
            port=config.port,
            log_level="warning",
            date_header=False,
            server_header=False,
            timeout_graceful_shutdown=5,
        )
    finally:
        engine.close()


def main(
    data_dir: Annotated[Path, typer.Option(help="Where the tables are kept.")],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8123,
    user: Annotated[str, typer.Option(help="The one user.")] = "default",
) -> None:
    """The ClickHouse engine behind its HTTP protocol.

    The password is read from RHEOSTAT_CLICKHOUSE_LOCAL_PASSWORD.
    """
    password = os.environ.get(PASSWORD, "")
    serve(ServerConfig(data_dir, host, port, user, password))


if __name__ == "__main__":
    typer.run(main)
