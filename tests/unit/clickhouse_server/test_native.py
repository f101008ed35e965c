"""Native blocks for clients of a later protocol revision."""

import struct

import pytest

from infra.clickhouse_server.errors import ServerError
from infra.clickhouse_server.native import NEWEST, OLDEST, Layout, layout_of, reframe

INFO = b"\x01\x00\x02\xff\xff\xff\xff\x00"


def text(value: str) -> bytes:
    assert len(value) < 128
    return bytes([len(value)]) + value.encode()


def block(rows: int, *columns: tuple[str, str, bytes], flag: bytes = b"") -> bytes:
    head = bytes([len(columns), rows])
    return head + b"".join(text(n) + text(t) + flag + data for n, t, data in columns)


U64 = struct.Struct("<Q").pack
COLUMNS = {
    "UInt8": b"\x01\x02",
    "DateTime64(3, 'UTC')": U64(1) * 2,
    "Decimal(18, 4)": U64(1) * 2,
    "Decimal(38, 4)": U64(1) * 4,
    "FixedString(3)": b"abcdef",
    "Enum8('a,b' = 1, ')' = 2)": b"\x01\x02",
    "String": text("a") + text(""),
    "Nullable(String)": b"\x00\x01" + text("x") + text(""),
    "Array(UInt16)": U64(2) + U64(3) + b"\x01\x00" * 3,
    "Array(Array(UInt8))": U64(1) + U64(2) + U64(2) + U64(3) + b"\x01\x02\x03",
    "Map(Int32, UInt64)": U64(1) + U64(2) + b"\x01\x00\x00\x00" * 2 + U64(9) * 2,
    "Tuple(a UInt8, b String)": b"\x01\x02" + text("p") + text("q"),
    "Tuple(UInt8, `b c` Nullable(UInt8))": b"\x01\x02" + b"\x00\x00\x03\x04",
    "Nested(a UInt8, b UInt8)": U64(1) + U64(2) + b"\x01\x02" + b"\x03\x04",
    "SimpleAggregateFunction(sum, UInt64)": U64(1) * 2,
    "Point": struct.pack("<4d", 1, 2, 3, 4),
    "IntervalDay": U64(1) * 2,
    "LowCardinality(String)": U64(1)
    + U64(0x600)
    + U64(2)
    + text("")
    + text("a")
    + U64(2)
    + b"\1\1",
    "LowCardinality(Nullable(String))": (
        U64(1) + U64(0x601) + U64(2) + text("") + text("a") + U64(2) + b"\1\0\1\0"
    ),
    "Array(LowCardinality(String))": (
        U64(1) + U64(1) + U64(1) + U64(0x600) + U64(2) + text("") + text("a") + U64(1) + b"\1"
    ),
    "Array(Nothing)": U64(0) + U64(0),
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_every_column_gets_its_flag_where_it_ends(kind: str) -> None:
    columns = ("first", kind, COLUMNS[kind]), ("second", "UInt8", b"\x07\x08")
    assert reframe(block(2, *columns), OLDEST) == INFO + block(2, *columns, flag=b"\x00")


def test_every_block_gets_its_head() -> None:
    one, two = ("s", "String", text("x" * 100)), ("s", "String", text("y"))
    wanted = b"".join(INFO + block(1, c, flag=b"\x00") for c in (one, two))
    assert reframe(block(1, one) + block(1, two), NEWEST) == wanted


def test_long_texts_and_empty_blocks() -> None:
    long = b"\xac\x02" + b"z" * 300
    body = block(1, ("s", "String", long), ("n", "UInt8", b"\x01"))
    assert len(reframe(body, OLDEST)) == len(body) + len(INFO) + 2
    empty = block(0, ("s", "LowCardinality(String)", b""))
    assert reframe(empty, OLDEST) == INFO + block(
        0, ("s", "LowCardinality(String)", b""), flag=b"\0"
    )
    assert reframe(b"", OLDEST) == b""


def test_older_clients_get_what_the_engine_wrote() -> None:
    body = block(1, ("n", "UInt8", b"\x01"))
    assert reframe(body, 0) == body
    assert reframe(body, OLDEST - 1) == body


def test_newer_clients_and_unknown_types_get_a_clear_answer() -> None:
    with pytest.raises(ServerError, match="newest is"):
        reframe(block(1, ("n", "UInt8", b"\x01")), NEWEST + 1)
    with pytest.raises(ServerError, match="convert it") as refused:
        reframe(block(1, ("n", "AggregateFunction(sum, UInt8)", b"\x01")), OLDEST)
    assert refused.value.code == 48


def test_types_of_the_tables_are_known() -> None:
    assert layout_of("Map(LowCardinality(String), Array(Nullable(Float64)))").prefixes == 1
    assert layout_of("Bool") == Layout("fixed", 1)
    assert layout_of("MultiPolygon") == layout_of("Array(Array(Array(Tuple(Float64, Float64))))")
