"""The HTTP side, in front of an engine that only notes what it was asked."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.clickhouse_server.app import Server, ServerConfig
from infra.clickhouse_server.blocks import compress_blocks, decompress_blocks
from infra.clickhouse_server.engine import Outcome
from infra.clickhouse_server.errors import ServerError
from infra.clickhouse_server.request import Request

OUTCOME = Outcome(b"42\n", 3, 24, 0, 0, 0.5)


class Notes:
    """An engine that answers 42, or raises `error`."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.error: ServerError | None = None

    def run(self, request: Request) -> Outcome:
        self.requests.append(request)
        if self.error is not None:
            raise self.error
        return OUTCOME


@pytest.fixture
def notes() -> Notes:
    return Notes()


def client(notes: Notes, **config: Any) -> httpx.AsyncClient:
    server = Server(ServerConfig(Path("unused"), **config), notes)
    return httpx.AsyncClient(transport=httpx.ASGITransport(server.app()), base_url="http://server")


@pytest.fixture
def http(notes: Notes) -> httpx.AsyncClient:
    return client(notes)


async def test_an_answer_carries_what_clients_read(http: httpx.AsyncClient) -> None:
    answer = await http.post("/?query_id=q1", content="SELECT 42 FORMAT CSV")
    assert answer.text == "42\n"
    assert answer.headers["x-clickhouse-query-id"] == "q1"
    assert answer.headers["x-clickhouse-format"] == "CSV"
    assert answer.headers["x-clickhouse-timezone"] == "UTC"
    assert answer.headers["content-type"].startswith("text/csv")
    assert '"read_rows": "3"' in answer.headers["x-clickhouse-summary"]
    assert (await http.post("/", content="SELECT 1")).headers["x-clickhouse-query-id"]


async def test_an_error_carries_its_code(http: httpx.AsyncClient, notes: Notes) -> None:
    notes.error = ServerError(60, "Unknown table t", "UNKNOWN_TABLE")
    answer = await http.get("/", params={"query": "SELECT * FROM t"})
    assert answer.status_code == 404
    assert answer.headers["x-clickhouse-exception-code"] == "60"
    assert answer.text == "Code: 60. DB::Exception: Unknown table t (UNKNOWN_TABLE)\n"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(("asked", "given"), [("", 2), ("&readonly=0", 2), ("&readonly=1", 1)])
async def test_get_never_writes(
    http: httpx.AsyncClient, notes: Notes, method: str, asked: str, given: int
) -> None:
    await http.request(method, f"/?query=SELECT+1{asked}")
    assert notes.requests[0].readonly == given
    assert "readonly" not in notes.requests[0].settings


async def test_post_may_write_unless_told_otherwise(http: httpx.AsyncClient, notes: Notes) -> None:
    await http.post("/", content="DROP TABLE t")
    await http.post("/?readonly=1", content="DROP TABLE t")
    assert [r.readonly for r in notes.requests] == [0, 1]


async def test_pings_and_bare_visits_need_no_engine(http: httpx.AsyncClient, notes: Notes) -> None:
    for path in ("/", "/ping", "/replicas_status"):
        answer = await http.get(path)
        assert (answer.status_code, answer.text) == (200, "Ok.\n")
    assert not notes.requests


async def test_blocks_and_encodings_both_ways(http: httpx.AsyncClient, notes: Notes) -> None:
    body = compress_blocks(b"INSERT INTO t FORMAT CSV\n1")
    answer = await http.post("/?decompress=1&compress=1", content=body)
    assert notes.requests[0].statement.data == b"1"
    assert decompress_blocks(answer.content) == b"42\n"
    zipped = await http.post(
        "/?enable_http_compression=1", content="SELECT 1", headers={"Accept-Encoding": "gzip"}
    )
    assert zipped.headers["content-encoding"] == "gzip"
    assert zipped.text == "42\n"
    plain = await http.post("/", content="SELECT 1", headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in plain.headers


async def test_a_body_that_is_too_large_is_refused(notes: Notes) -> None:
    async with client(notes, body_bytes_max=100) as http:
        answer = await http.post("/?query=INSERT+INTO+t+FORMAT+CSV", content=b"1\n" * 51)
        assert answer.status_code == 413
        assert answer.headers["x-clickhouse-exception-code"] == "241"
        assert "in several inserts" in answer.text
        assert (await http.post("/", content="SELECT 1")).status_code == 200
    assert len(notes.requests) == 1


CREDENTIALS: list[dict[str, Any]] = [
    {"auth": ("default", "secret")},
    {"headers": {"X-ClickHouse-User": "default", "X-ClickHouse-Key": "secret"}},
    {"headers": {"X-ClickHouse-Key": "secret"}},
    {"params": {"user": "default", "password": "secret"}},
]
WRONG: list[tuple[dict[str, Any], int, int]] = [
    ({}, 401, 194),
    ({"auth": ("default", "wrong")}, 403, 516),
    ({"auth": ("root", "secret")}, 403, 516),
    ({"headers": {"X-ClickHouse-User": "default"}}, 403, 516),
    ({"headers": {"Authorization": "Basic %%%"}}, 401, 194),
    ({"params": {"password": "sécret"}}, 403, 516),
]


@pytest.mark.parametrize("how", CREDENTIALS)
async def test_the_password_is_taken_in_every_usual_way(notes: Notes, how: dict[str, Any]) -> None:
    async with client(notes, password="secret") as http:
        assert (await http.post("/", content="SELECT 1", **how)).text == "42\n"


@pytest.mark.parametrize(("how", "status", "code"), WRONG)
async def test_without_it_nothing_runs(
    notes: Notes, how: dict[str, Any], status: int, code: int
) -> None:
    async with client(notes, password="secret") as http:
        answer = await http.post("/", content="SELECT 1", **how)
        assert answer.status_code == status
        assert answer.headers["x-clickhouse-exception-code"] == str(code)
        assert ("www-authenticate" in answer.headers) == (status == 401)
        assert "secret" not in answer.text
    assert not notes.requests


async def test_external_tables_come_as_parts(http: httpx.AsyncClient, notes: Notes) -> None:
    await http.post(
        "/?ids_structure=x+UInt8&names_types=String,UInt8&names_format=CSV",
        data={"query": "SELECT * FROM ids", "param_a": "1"},
        files={"ids": ("ids", b"1\n2\n"), "names": ("names", b"a,1\n")},
    )
    (request,) = notes.requests
    assert request.statement.sql == "SELECT * FROM ids"
    assert request.params == {"a": "1"}
    assert [(t.name, t.structure, t.format, t.data) for t in request.external] == [
        ("ids", "x UInt8", "TabSeparated", b"1\n2\n"),
        ("names", "_1 String, _2 UInt8", "CSV", b"a,1\n"),
    ]
    assert not request.settings


async def test_a_protocol_version_must_be_a_number(http: httpx.AsyncClient) -> None:
    answer = await http.post("/?client_protocol_version=new", content="SELECT 1 FORMAT Native")
    assert answer.headers["x-clickhouse-exception-code"] == "36"
