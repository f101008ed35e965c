"""The local ClickHouse speaks the protocol: unmodified clickhouse-connect, and plain HTTP."""

import bz2
import gzip
import lzma
import threading
import time
import uuid
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import lz4.frame
import pandas as pd
import pyarrow as pa
import pytest
import urllib3
import zstandard
from clickhouse_connect.driver.exceptions import DatabaseError
from clickhouse_connect.driver.external import ExternalData

from infra.clickhouse_server.blocks import compress_blocks, decompress_blocks
from tests.support.servers import ClickHouseServer

pytestmark = pytest.mark.integration


class Curl:
    """Plain requests, as curl sends them."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._pool = urllib3.PoolManager(timeout=60, retries=False)

    def ask(
        self,
        method: str,
        body: bytes | str = b"",
        headers: dict[str, str] | None = None,
        **url: Any,
    ) -> urllib3.BaseHTTPResponse:
        return self._pool.request(
            method, f"{self._url}/?{urlencode(url)}", body=body or None, headers=headers
        )

    def post(self, body: bytes | str = b"", **url: Any) -> bytes:
        """The answer to SQL or data that must succeed."""
        answer = self.ask("POST", body, **url)
        assert answer.status == 200, answer.data
        return answer.data

    def fails(self, body: bytes | str = b"", method: str = "POST", **url: Any) -> tuple[int, int]:
        """(HTTP status, exception code) of what must fail."""
        answer = self.ask(method, body, **url)
        assert answer.data.startswith(b"Code: ") or method == "HEAD"
        return answer.status, int(answer.headers["X-ClickHouse-Exception-Code"])


@pytest.fixture(scope="module")
def curl(clickhouse: ClickHouseServer) -> Curl:
    return Curl(clickhouse.url)


@pytest.fixture
def table(curl: Curl) -> Iterator[str]:
    """A table of one organisation's numbers, empty."""
    name = f"t_{uuid.uuid4().hex[:8]}"
    curl.post(
        f"CREATE TABLE {name} (n UInt64, name String, x Nullable(Float64), at DateTime64(3, 'UTC'),"
        " tags Array(String), bins Map(Int32, UInt64)) ENGINE = MergeTree ORDER BY n"
    )
    yield name
    curl.post(f"DROP TABLE {name}")


@pytest.fixture
def client(clickhouse: ClickHouseServer) -> Iterator[Any]:
    client = clickhouse.client()
    yield client
    client.close()


AT = datetime(2026, 1, 2, 3, 4, 5, 678000, UTC)
ROWS = [
    [1, 'it\'s \t \n \\ "é"', 0.1, AT, ["a", "b,c"], {1: 2}],
    [2, "", None, AT, [], {}],
]
READ = [[AT.replace(tzinfo=None) if value is AT else value for value in row] for row in ROWS]
"""The same as clickhouse-connect reads them: UTC, and no zone said."""
COLUMNS = ["n", "name", "x", "at", "tags", "bins"]
IN_AND_OUT = [
    "Native",
    "RowBinary",
    "RowBinaryWithNamesAndTypes",
    "JSONEachRow",
    "JSONCompactEachRow",
    "JSON",
    "CSV",
    "CSVWithNames",
    "TSV",
    "TabSeparatedWithNames",
    "Values",
    "Parquet",
    "Arrow",
    "ArrowStream",
    "ORC",
    "MsgPack",
]
OUT_ONLY = ["Vertical", "PrettyCompact", "Markdown", "XML", "JSONCompact", "SQLInsert"]


# --- clickhouse-connect -------------------------------------------------------------------------


def test_rows_go_in_and_come_out(client: Any, table: str) -> None:
    summary = client.insert(table, ROWS, column_names=COLUMNS)
    assert summary.written_rows == 2
    result = client.query(f"SELECT * FROM {table} ORDER BY n")
    assert [list(row) for row in result.result_rows] == READ
    assert list(result.column_names) == COLUMNS
    assert result.column_types[2].name == "Nullable(Float64)"


@pytest.mark.parametrize("method", ["lz4", "zstd", "gzip", False])
def test_both_ways_compressed(clickhouse: ClickHouseServer, table: str, method: Any) -> None:
    client = clickhouse.client(compress=method)
    client.insert(table, [[i, "x" * 100, None, AT, [], {}] for i in range(20_000)])
    found = client.query(f"SELECT count(), sum(n), sum(length(name)) FROM {table}")
    assert found.result_rows == [(20_000, sum(range(20_000)), 2_000_000)]
    assert len(client.query(f"SELECT name FROM {table}").result_rows) == 20_000
    client.close()


def test_frames_and_arrow_go_in_and_come_out(client: Any, table: str) -> None:
    client.insert_df(table, pd.DataFrame(ROWS[:1], columns=COLUMNS))
    client.insert_arrow(table, pa.table({"n": pa.array([5], pa.uint64()), "name": ["arrow"]}))
    frame = client.query_df(f"SELECT n, name, x FROM {table} ORDER BY n")
    assert frame["n"].tolist() == [1, 5]
    assert frame["x"].isna().tolist() == [False, True]
    arrow = client.query_arrow(f"SELECT n, tags FROM {table} ORDER BY n")
    assert arrow.to_pydict() == {"n": [1, 5], "tags": [["a", "b,c"], []]}
    assert client.query_np(f"SELECT n FROM {table} ORDER BY n").tolist() == [[1], [5]]


def test_results_stream(client: Any) -> None:
    sql = "SELECT number, toString(number) FROM numbers(300000)"
    with client.query_rows_stream(sql) as rows:
        assert sum(row[0] for row in rows) == sum(range(300_000))
    with client.query_arrow_stream(sql) as batches:
        assert sum(batch.num_rows for batch in batches) == 300_000
    with client.query_df_stream(sql) as frames:
        assert sum(len(frame) for frame in frames) == 300_000


def test_parameters_and_settings(client: Any) -> None:
    sql = "SELECT {text:String}, {numbers:Array(UInt8)}, {at:DateTime64(3)}, "
    sql += "getSetting('max_threads')"
    given = {"text": "it's \\ \n", "numbers": [1, 2], "at": AT}
    found = client.query(sql, parameters=given, settings={"max_threads": 1}).result_rows
    assert found == [("it's \\ \n", [1, 2], AT.replace(tzinfo=None), 1)]
    assert client.query("SELECT %(a)s", parameters={"a": "b'c"}).result_rows == [("b'c",)]
    assert client.command("SELECT getSetting('max_threads')") == 2, "a setting is its query's own"


def test_external_data(client: Any) -> None:
    ids = ExternalData(file_name="ids", data=b"1\n3\n", fmt="CSV", structure="id UInt64")
    found = client.query("SELECT sum(id) FROM ids", external_data=ids)
    assert found.result_rows == [(4,)]


def test_errors_have_their_code(client: Any) -> None:
    with pytest.raises(DatabaseError, match=r"(?i)code: 60"):
        client.query("SELECT * FROM nowhere")
    with pytest.raises(DatabaseError, match=r"(?i)code: 62"):
        client.command("SELEC 1")
    with pytest.raises(DatabaseError, match=r"(?i)code: 159"):
        client.query(
            "SELECT sleepEachRow(1) FROM numbers(9) SETTINGS max_block_size = 1",
            settings={"max_execution_time": 1},
        )


def test_raw_bodies(client: Any, table: str) -> None:
    client.raw_insert(table, ["n", "name"], b'{"n": 1, "name": "a"}', fmt="JSONEachRow")
    packed = gzip.compress(b"2,b\n")
    client.raw_insert(table, ["n", "name"], packed, fmt="CSV", compression="gzip")
    found = client.raw_query(f"SELECT n, name FROM {table} ORDER BY n", fmt="CSV")
    assert found == b'1,"a"\n2,"b"\n'


def test_a_session_keeps_its_tables_and_settings(clickhouse: ClickHouseServer) -> None:
    one = clickhouse.client(session_id=uuid.uuid4().hex)
    other = clickhouse.client(session_id=uuid.uuid4().hex)
    one.command("CREATE TEMPORARY TABLE kept (n UInt8)")
    one.command("INSERT INTO kept VALUES (7)")
    one.command("SET max_threads = 1")
    assert one.query("SELECT n FROM kept").result_rows == [(7,)]
    assert one.command("SELECT getSetting('max_threads')") == 1
    with pytest.raises(DatabaseError, match=r"(?i)code: 60"):
        other.query("SELECT n FROM kept")
    one.close()
    other.close()


def test_queries_run_side_by_side(clickhouse: ClickHouseServer) -> None:
    barrier = threading.Barrier(8)

    def ask(i: int) -> int:
        client = clickhouse.client(autogenerate_session_id=False)
        barrier.wait(60)
        found = client.query("SELECT sum(number) + {i:UInt8} FROM numbers(100000)", {"i": i})
        client.close()
        return int(found.result_rows[0][0])

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(8))) == [sum(range(100_000)) + i for i in range(8)]


def test_a_slow_query_does_not_hold_up_others(curl: Curl) -> None:
    slow = "SELECT count() FROM numbers(6) WHERE NOT ignore(sleepEachRow(1))"
    settings = {"max_block_size": 1, "function_sleep_max_microseconds_per_block": 10_000_000}
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(curl.post, slow, **settings)
        time.sleep(0.3)
        assert curl.post("SELECT 1") == b"1\n"
        assert not running.done()
        assert running.result(60) == b"6\n"


# --- plain HTTP ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", IN_AND_OUT)
def test_a_format_reads_what_it_wrote(curl: Curl, client: Any, table: str, name: str) -> None:
    client.insert(table, ROWS, column_names=COLUMNS)
    written = curl.post(f"SELECT * FROM {table} ORDER BY n FORMAT {name}")
    by_default = curl.post(f"SELECT * FROM {table} ORDER BY n", default_format=name)
    # The time that the query took is part of some formats, with as many digits as it has.
    assert abs(len(by_default) - len(written)) < 8
    curl.post(f"TRUNCATE TABLE {table}")
    if name == "Values":
        written = b",".join(written.splitlines()) if b"\n" in written else written
    curl.post(written, query=f"INSERT INTO {table} FORMAT {name}")
    in_body = f"INSERT INTO {table} FORMAT {name}\n".encode() + written
    curl.post(in_body)
    found = client.query(f"SELECT * FROM {table} ORDER BY n").result_rows
    assert [list(row) for row in found] == [READ[0], READ[0], READ[1], READ[1]]


@pytest.mark.parametrize("name", OUT_ONLY)
def test_formats_for_reading(curl: Curl, name: str) -> None:
    answer = curl.ask("POST", f"SELECT 17 AS number FORMAT {name}")
    assert answer.status == 200
    assert b"17" in answer.data
    assert answer.headers["X-ClickHouse-Format"] == name


def test_sql_in_the_url_the_body_or_both(curl: Curl, table: str) -> None:
    assert curl.ask("GET", query="SELECT 1").data == b"1\n"
    assert curl.post("SELECT 1;") == b"1\n"
    assert curl.post("numbers(3)", query="SELECT count() FROM") == b"3\n"
    assert curl.post(query="SELECT 1 FORMAT JSONEachRow") == b'{"1":1}\n'
    curl.post("(1, 'a')", query=f"INSERT INTO {table} (n, name)")
    curl.post(query=f"INSERT INTO {table} (n) SELECT number FROM numbers(3)")
    assert curl.post(f"SELECT count() FROM {table}", default_format="CSV") == b"4\n"
    assert curl.post("SELECT {n:UInt8} + 1", param_n=41) == b"42\n"
    assert curl.post("SELECT currentDatabase()", database="system") == b"system\n"
    chosen = curl.ask("POST", "SELECT 1 AS a", headers={"X-ClickHouse-Format": "CSVWithNames"})
    assert chosen.data == b'"a"\n1\n'


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("lz4", lz4.frame.compress),
        ("zstd", zstandard.compress),
        ("xz", lzma.compress),
        ("bz2", bz2.compress),
    ],
)
def test_bodies_may_be_encoded(curl: Curl, table: str, encoding: str, pack: Any) -> None:
    headers = {"Content-Encoding": encoding}
    body = pack(b"".join(b"%d,x\n" % i for i in range(5000)))
    query = f"INSERT INTO {table} (n, name) FORMAT CSV"
    assert curl.ask("POST", body, headers, query=query).status == 200
    assert curl.post(f"SELECT sum(n) FROM {table}") == b"%d\n" % sum(range(5000))
    assert curl.ask("POST", pack(b"SELECT 1"), headers).data == b"1\n"


def test_blocks_of_clickhouse_itself(curl: Curl, table: str) -> None:
    rows = compress_blocks(b"1,a\n2,b\n")
    curl.post(rows, query=f"INSERT INTO {table} (n, name) FORMAT CSV", decompress=1)
    for method in ("LZ4", "ZSTD", "NONE"):
        answer = curl.post(
            f"SELECT n FROM {table} ORDER BY n", compress=1, network_compression_method=method
        )
        assert decompress_blocks(answer) == b"1\n2\n"


NATIVE_TYPES = {
    "UInt8": "1",
    "Nullable(DateTime64(3, 'UTC'))": "NULL",
    "LowCardinality(Nullable(String))": "'x'",
    "Array(LowCardinality(String))": "['a', 'b']",
    "Map(LowCardinality(String), Array(Nullable(UInt8)))": "map('k', [1, NULL])",
    "Tuple(a UInt8, b Map(Int32, UInt64))": "(1, map(2, 3))",
    "SimpleAggregateFunction(sumMap, Map(Int32, UInt64))": "map(1, 2)",
    "Decimal(38, 5)": "1.5",
    "Enum8('a b' = 1, 'c,)' = 2)": "'c,)'",
    "FixedString(5)": "'abc'",
    "UUID": "generateUUIDv4()",
    "Array(Array(String))": "[['x'], []]",
    "IPv6": "'::1'",
    "Point": "(1, 2)",
}


@pytest.mark.parametrize("kind", NATIVE_TYPES)
def test_native_blocks_for_later_clients(curl: Curl, kind: str) -> None:
    """The column behind one of this type begins where its client will look for it."""
    value = f"CAST({NATIVE_TYPES[kind]}, $${kind}$$)"
    sql = f"SELECT {value} AS a, 'END' AS z FROM numbers(3) FORMAT Native"
    body = curl.post(sql, client_protocol_version=54460)
    assert body.startswith(b"\x01\x00\x02\xff\xff\xff\xff\x00" + b"\x02\x03\x01a")
    assert body.endswith(b"\x01z\x06String" + b"\x00" + b"\x03END" * 3)
    assert len(body) == len(curl.post(sql)) + 10


def test_native_blocks_come_in_any_number(curl: Curl) -> None:
    sql = "SELECT toString(number) AS s FROM numbers(10) FORMAT Native"
    body = curl.post(sql, client_protocol_version=54460, max_block_size=3)
    assert body.count(b"\x01\x00\x02\xff\xff\xff\xff\x00\x01") == 4


def test_failures_have_status_and_code(curl: Curl, table: str) -> None:
    assert curl.fails("SELECT * FROM nowhere") == (404, 60)
    assert curl.fails("SELECT FROM WHERE") == (400, 62)
    assert curl.fails("SELECT 1 FORMAT Nonsense") == (404, 73)
    assert curl.fails("SELECT 1", no_such_setting=1) == (404, 115)
    assert curl.fails("SELECT {a:UInt8}") == (400, 456)
    assert curl.fails("SELECT 1", database="nowhere") == (404, 81)
    assert curl.fails("a,b\n", query=f"INSERT INTO {table} (n, name) FORMAT CSV")[0] == 400
    assert curl.fails("SELECT 1; SELECT 2") == (400, 62)
    assert curl.fails(b"SELECT '\xff'") == (400, 62)
    assert curl.fails(b"not gzip", query=f"INSERT INTO {table} FORMAT CSV", decompress=1) == (
        400,
        271,
    )
    assert curl.post(f"SELECT count() FROM {table}") == b"0\n"


def test_get_does_not_write(curl: Curl, table: str) -> None:
    for method in ("GET", "HEAD"):
        more: list[dict[str, Any]] = [{}, {"readonly": 0}, {"session_id": uuid.uuid4().hex}]
        for url in more:
            assert curl.fails(method=method, query=f"DROP TABLE {table}", **url) == (403, 164)
            insert = f"INSERT INTO {table} (n) VALUES (1)"
            assert curl.fails(method=method, query=insert, **url) == (403, 164)
    assert curl.post(f"SELECT count() FROM {table}") == b"0\n"
    assert curl.ask("GET", query=f"SELECT count() FROM {table}", max_threads=1).data == b"0\n"


def test_a_session_outlives_what_only_reads(curl: Curl) -> None:
    session: dict[str, Any] = {"session_id": uuid.uuid4().hex}
    curl.post("CREATE TEMPORARY TABLE kept (n UInt8)", **session)
    assert curl.ask("GET", query="SELECT count() FROM kept", **session).data == b"0\n"
    assert curl.fails(method="GET", query="DROP TABLE kept", **session) == (403, 164)
    curl.post("INSERT INTO kept VALUES (1)", **session)
    assert curl.post("SELECT getSetting('max_threads')", max_threads=1, **session) == b"1\n"
    assert curl.post("SELECT getSetting('max_threads')", **session) == b"2\n"
    assert curl.ask("GET", query="SELECT n FROM kept", session_check=1, **session).data == b"1\n"
    assert curl.fails("SELECT 1", session_id="unheard", session_check=1) == (404, 372)


def test_head_is_get_without_a_body(curl: Curl) -> None:
    answer = curl.ask("HEAD", query="SELECT 1")
    assert (answer.status, answer.data) == (200, b"")
    assert answer.headers["X-ClickHouse-Format"] == "TabSeparated"


def test_what_grafana_and_clients_ask_first(curl: Curl) -> None:
    """The first question of clickhouse-go over HTTP, under Grafana."""
    hello = "SELECT displayName(), version(), revision(), timezone()"
    name, version, revision, zone = curl.post(hello).decode().strip().split("\t")
    assert name
    assert int(version.split(".")[0]) >= 25
    assert int(revision) >= 54460
    assert zone == "UTC"
    assert b"rheostat" not in curl.post("SELECT currentUser()")
