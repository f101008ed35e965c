"""The REST API as a process: its services from the settings, and uvicorn around it."""

import asyncio
import threading

import uvicorn
import uvloop

from agents.evaluation.requests import Evaluations
from agents.evaluation.runs import RunsView
from agents.registry.client import RegistryClient
from api.app import create_app
from api.clickhouses import ClickHouses
from api.config import ApiConfig, OidcConfig
from api.live import Live
from api.services import Services
from infra.errors import OperatorError
from infra.settings import Settings
from infra.workers import catalog, kafka_config
from schemas.wire import Codec
from sinks.clickhouse import ClickHouse
from streams.errors import ViewNotLoaded
from streams.registry_view import RegistryView
from streams.replay import Replays
from streams.telemetry import Health

BEAT_S = 0.5
CLICKHOUSE_CONNECT_S = 2.0
CLICKHOUSE_TIMEOUT_S = 30.0
GRACE_S = 5
"""How long requests that are under way may take to end."""


def services(settings: Settings) -> Services:
    """What the API holds; the caller starts and closes it. Raises OperatorError."""
    kafka, codec = kafka_config(settings), Codec(catalog(settings))
    view, config = RegistryView(kafka, codec), api_config(settings)
    url = settings.clickhouse

    def connect() -> ClickHouse:
        return ClickHouse(
            url, connect_timeout_s=CLICKHOUSE_CONNECT_S, timeout_s=CLICKHOUSE_TIMEOUT_S
        )

    return Services(
        config=config,
        kafka=kafka,
        codec=codec,
        view=view,
        client=RegistryClient(kafka, codec, view),
        clickhouse=ClickHouses(connect, config.concurrent_queries),
        live=Live(kafka, codec),
        replays=Replays(kafka),
        evaluations=Evaluations(kafka, codec, view, RunsView(kafka, codec)),
    )


def api_config(settings: Settings) -> ApiConfig:
    """Raises OperatorError when settings contradict each other."""
    return ApiConfig(
        max_body_bytes=settings.api_max_body_kb * 1024,
        rate_per_caller=settings.api_rate_per_caller,
        rate_per_stranger=settings.api_rate_per_stranger,
        cors_origins=tuple(settings.api_cors_origins),
        oidc=_oidc(settings),
    )


def _oidc(settings: Settings) -> OidcConfig | None:
    if settings.oidc_issuer is None:
        return None
    if settings.oidc_audience is None:
        raise OperatorError(
            "RHEOSTAT_OIDC_ISSUER without RHEOSTAT_OIDC_AUDIENCE: tokens that the issuer made for "
            "other programs would open this one. Set the audience."
        )
    return OidcConfig(
        settings.oidc_issuer,
        settings.oidc_audience,
        settings.oidc_jwks_url,
        settings.oidc_jwks_file,
    )


def serve(held: Services, host: str, port: int, health: Health, stop: threading.Event) -> None:
    """Returns after `stop` is set and requests under way have ended.

    Raises ViewFailed when the registry can be followed no longer: a restart has to cure that.
    """
    config = uvicorn.Config(
        create_app(held),
        host=host,
        port=port,
        http="httptools",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
    )
    uvloop.run(_serve(uvicorn.Server(config), held, health, stop))


async def _serve(
    server: uvicorn.Server, held: Services, health: Health, stop: threading.Event
) -> None:
    serving = asyncio.create_task(server.serve())
    try:
        while not stop.is_set() and not serving.done():
            health.beat("api")
            _tell(held, server, health)
            await asyncio.sleep(BEAT_S)
    finally:
        server.should_exit = True
        await serving


def _tell(held: Services, server: uvicorn.Server, health: Health) -> None:
    try:
        held.view.wait_loaded(0)
    except ViewNotLoaded as error:
        health.waiting("api", str(error))
        return
    if server.started:
        health.ready("api")
    else:
        health.waiting("api", "starting to listen")
