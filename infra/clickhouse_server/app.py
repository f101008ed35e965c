"""ClickHouse's HTTP interface over the engine."""

import asyncio
import hmac
import json
import time
import uuid
from base64 import b64decode
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from starlette.applications import Starlette
from starlette.datastructures import FormData, UploadFile
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from infra.clickhouse_server.blocks import compress_blocks, decompress_blocks
from infra.clickhouse_server.compression import compress, decompress
from infra.clickhouse_server.engine import Outcome
from infra.clickhouse_server.errors import (
    AUTHENTICATION_FAILED,
    BAD_ARGUMENTS,
    REQUIRED_PASSWORD,
    TOO_LARGE_BODY,
    ServerError,
)
from infra.clickhouse_server.native import reframe
from infra.clickhouse_server.request import (
    ExternalTable,
    Request,
    session,
    settings_and_params,
    statement,
    url_parameters,
)

CONTENT_TYPES = {
    "JSON": "application/json; charset=UTF-8",
    "JSONCompact": "application/json; charset=UTF-8",
    "JSONEachRow": "application/x-ndjson; charset=UTF-8",
    "CSV": "text/csv; charset=UTF-8; header=absent",
    "CSVWithNames": "text/csv; charset=UTF-8; header=present",
    "TabSeparated": "text/tab-separated-values; charset=UTF-8",
    "TSV": "text/tab-separated-values; charset=UTF-8",
    "Native": "application/octet-stream",
    "RowBinary": "application/octet-stream",
    "Arrow": "application/octet-stream",
    "ArrowStream": "application/octet-stream",
    "Parquet": "application/octet-stream",
}


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """What the server serves and to whom. No password: anybody who reaches the port."""

    data_dir: Path
    host: str = "127.0.0.1"
    port: int = 8123
    user: str = "default"
    password: str = field(default="", repr=False)
    concurrency: int = 16
    body_bytes_max: int = 512 * 1024 * 1024
    session_timeout_s: float = 60.0
    settings: Mapping[str, str] = field(
        default_factory=lambda: {
            "max_threads": "2",
            "max_memory_usage": str(4 * 1024**3),
            "session_timezone": "UTC",
            "async_insert": "0",
        }
    )


class Runner(Protocol):
    """What runs statements: infra.clickhouse_server.engine.Engine."""

    def run(self, request: Request) -> Outcome:
        """Raises ServerError."""
        ...


class Server:
    """The routes and what they share."""

    def __init__(self, config: ServerConfig, engine: Runner) -> None:
        self.config = config
        self.engine = engine
        self._threads = ThreadPoolExecutor(config.concurrency, thread_name_prefix="query")

    def app(self) -> Starlette:
        """The ASGI application."""
        ok = PlainTextResponse("Ok.\n")
        return Starlette(
            routes=[
                Route("/ping", lambda _: ok, methods=["GET", "HEAD"]),
                Route("/replicas_status", lambda _: ok, methods=["GET", "HEAD"]),
                Route("/", self.query, methods=["GET", "HEAD", "POST"]),
            ]
        )

    async def query(self, http: HttpRequest) -> Response:
        """Runs one statement."""
        query_id = str(uuid.uuid4())
        try:
            url = url_parameters(http.scope["query_string"])
            query_id = url.get("query_id") or query_id
            body = await self._body(http)
            if http.method == "GET" and not url.get("query") and not body:
                return PlainTextResponse("Ok.\n")
            self._authenticate(http, url)
            request = await self._request(http, url, body)
            loop = asyncio.get_running_loop()
            outcome = await loop.run_in_executor(self._threads, self._run, request, url)
        except ServerError as error:
            return _failure(error, query_id)
        return _success(http, url, request, outcome, query_id)

    def _run(self, request: Request, url: Mapping[str, str]) -> Outcome:
        """The engine's outcome, its body as this client reads it."""
        outcome = self.engine.run(request)
        body = outcome.body
        if request.statement.output_format == "Native":
            body = reframe(body, number(url, "client_protocol_version"))
        if url.get("compress") == "1":
            body = compress_blocks(body, url.get("network_compression_method", "LZ4"))
        return replace(outcome, body=body)

    async def _body(self, http: HttpRequest) -> bytes:
        limit = self.config.body_bytes_max
        chunks, size = [], 0
        try:
            async for chunk in http.stream():
                size += len(chunk)
                if size > limit:
                    text = (
                        f"The body is larger than {limit} bytes; send the rows in several inserts"
                    )
                    raise ServerError(TOO_LARGE_BODY, text, "MEMORY_LIMIT_EXCEEDED")
                chunks.append(chunk)
        except ClientDisconnect as error:
            raise ServerError(210, "The client went away", "NETWORK_ERROR") from error
        return b"".join(chunks)

    def _authenticate(self, http: HttpRequest, url: Mapping[str, str]) -> None:
        user = url.get("user") or http.headers.get("x-clickhouse-user")
        key = url.get("password") or http.headers.get("x-clickhouse-key")
        basic = http.headers.get("authorization", "")
        if basic.lower().startswith("basic "):
            try:
                user, _, key = b64decode(basic[6:]).decode().partition(":")
            except ValueError as error:
                text = "The Authorization header is not Basic credentials"
                raise ServerError(AUTHENTICATION_FAILED, text, "AUTHENTICATION_FAILED") from error
        given = f"{user or 'default'}:{key or ''}".encode()
        wanted = f"{self.config.user}:{self.config.password}".encode()
        if not hmac.compare_digest(given, wanted):
            code = AUTHENTICATION_FAILED if user or key else REQUIRED_PASSWORD
            text = (
                f"{user or 'default'}: Authentication failed: password is incorrect, or there is "
            )
            raise ServerError(code, text + "no user with such name.", "AUTHENTICATION_FAILED")

    async def _request(self, http: HttpRequest, url: dict[str, str], raw: bytes) -> Request:
        body = decompress(raw, http.headers.get("content-encoding", ""))
        if url.get("decompress") == "1":
            body = decompress_blocks(body)
        external: list[ExternalTable] = []
        if http.headers.get("content-type", "").startswith("multipart/form-data"):
            form = await _form(http, body)
            try:
                url |= {name: value for name, value in form.items() if isinstance(value, str)}
                external = await _external(form, url)
            finally:
                await form.close()
            body = b""
        settings, params = settings_and_params(url)
        default = http.headers.get("x-clickhouse-format") or url.get("default_format")
        readonly = number(settings, "readonly")
        settings.pop("readonly", None)
        # Links and images are followed with GET: it never writes, whatever its URL asks for.
        if http.method in {"GET", "HEAD"} and readonly == 0:
            readonly = 2
        return Request(
            statement(url.get("query", ""), body, default or "TabSeparated"),
            settings,
            params,
            url.get("database") or http.headers.get("x-clickhouse-database"),
            session(url, self.config.session_timeout_s),
            external,
            readonly,
        )


def number(url: Mapping[str, str], name: str) -> int:
    """A whole number from the URL, 0 when it is absent. Raises ServerError."""
    text = url.get(name) or "0"
    if not text.isdecimal():
        raise ServerError(BAD_ARGUMENTS, f"{name} is not a number: {text}", "BAD_ARGUMENTS")
    return int(text)


async def _form(http: HttpRequest, body: bytes) -> FormData:
    """The parts of a multipart body that was read already."""

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body, "more_body": False}

    return await HttpRequest(http.scope, receive).form(max_part_size=len(body) + 1)


async def _external(form: FormData, url: Mapping[str, str]) -> list[ExternalTable]:
    tables = []
    for name, part in form.items():
        if isinstance(part, UploadFile):
            structure = url.get(f"{name}_structure")
            if structure is None:
                types = url.get(f"{name}_types", "").split(",")
                structure = ", ".join(f"_{i} {kind}" for i, kind in enumerate(types, 1))
            data_format = url.get(f"{name}_format", "TabSeparated")
            tables.append(ExternalTable(name, structure, data_format, await part.read()))
    return tables


def _success(
    http: HttpRequest, url: Mapping[str, str], request: Request, outcome: Outcome, query_id: str
) -> Response:
    summary = {
        "read_rows": outcome.rows_read,
        "read_bytes": outcome.bytes_read,
        "written_rows": outcome.rows_written,
        "written_bytes": outcome.bytes_written,
        "result_rows": outcome.rows_written,
        "elapsed_ns": int(outcome.elapsed_s * 1e9),
    }
    name = request.statement.output_format
    headers = {
        "Content-Type": CONTENT_TYPES.get(name, "text/plain; charset=UTF-8"),
        "X-ClickHouse-Format": name,
        "X-ClickHouse-Summary": json.dumps({k: str(v) for k, v in summary.items()}),
        **_common(query_id),
    }
    body, encoding = outcome.body, None
    if url.get("enable_http_compression") == "1":
        body, encoding = compress(body, http.headers.get("accept-encoding", ""))
    if encoding is not None:
        headers["Content-Encoding"] = encoding
    return Response(body, headers=headers)


def _failure(error: ServerError, query_id: str) -> Response:
    headers = {"X-ClickHouse-Exception-Code": str(error.code), **_common(query_id)}
    if error.status == 401:
        headers["WWW-Authenticate"] = 'Basic realm="ClickHouse server HTTP API"'
    return PlainTextResponse(error.text, error.status, headers)


def _common(query_id: str) -> dict[str, str]:
    return {
        "X-ClickHouse-Query-Id": query_id,
        "X-ClickHouse-Server-Display-Name": "rheostat-local",
        "X-ClickHouse-Timezone": "UTC",
        "Date": time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime()),
    }
