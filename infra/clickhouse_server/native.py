"""Native blocks as clients of a given protocol revision expect them. Pure.

The engine writes the Native format of revision 0. A client that sends `client_protocol_version`
(clickhouse-go, and with it Grafana) expects of every block a block-info head, and of every column a
byte that says how it is serialised. To know where a column ends its layout has to be walked.

Layouts: "Native format" and "Native protocol" of ClickHouse's documentation.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from infra.clickhouse_server.errors import NOT_IMPLEMENTED, ServerError

OLDEST = 54454
"""The first revision whose blocks differ inside. Older clients ask whether the parameter is known
before they rely on it, so that for them it stays unknown and nothing has to be walked."""
NEWEST = 54479
"""Later revisions add fields that no client we know asks for over HTTP."""

_BLOCK_INFO = b"\x01\x00\x02\xff\xff\xff\xff\x00"
"""Field 1: no overflow rows; field 2: bucket -1; end."""
_PLAIN = b"\x00"
"""The column's serialisation is the type's usual one."""

_FIXED = {
    **dict.fromkeys(("Int8", "UInt8", "Bool", "Nothing", "Enum8"), 1),
    **dict.fromkeys(("Int16", "UInt16", "Date", "Enum16", "BFloat16"), 2),
    **dict.fromkeys(
        ("Int32", "UInt32", "Float32", "Date32", "DateTime", "IPv4", "Decimal32", "Time"), 4
    ),
    **dict.fromkeys(("Int64", "UInt64", "Float64", "DateTime64", "Decimal64", "Time64"), 8),
    **dict.fromkeys(("Int128", "UInt128", "UUID", "IPv6", "Decimal128"), 16),
    **dict.fromkeys(("Int256", "UInt256", "Decimal256"), 32),
}
_ALIASES = {
    "Point": "Tuple(Float64, Float64)",
    "Ring": "Array(Point)",
    "LineString": "Array(Point)",
    "MultiLineString": "Array(LineString)",
    "Polygon": "Array(Ring)",
    "MultiPolygon": "Array(Polygon)",
}
_NAMED = re.compile(r"(?:`(?:[^`\\]|\\.)*`|\w+)\s+(?=[A-Z])")


@dataclass(frozen=True, slots=True)
class Layout:
    """How a type's column is laid out. `size`: bytes a value of kind 'fixed'."""

    kind: str
    size: int = 0
    parts: tuple["Layout", ...] = ()

    @property
    def prefixes(self) -> int:
        """Low-cardinality columns inside; each has 8 bytes in front of the whole column."""
        return (self.kind == "low") + sum(part.prefixes for part in self.parts)


def reframe(body: bytes, revision: int) -> bytes:
    """Native blocks of revision 0 as blocks of `revision`.

    Raises ServerError for a column whose layout is not known here.
    """
    if revision < OLDEST or not body:
        return body
    if revision > NEWEST:
        raise ServerError(
            NOT_IMPLEMENTED,
            f"client_protocol_version {revision} is not supported; the newest is {NEWEST}",
            "NOT_IMPLEMENTED",
        )
    return b"".join(_blocks(body))


def _blocks(body: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(body):
        yield _BLOCK_INFO
        start = at
        columns, at = _varint(body, at)
        rows, at = _varint(body, at)
        for _ in range(columns):
            at = _string(body, at)
            length, name_at = _varint(body, at)
            at = name_at + length
            layout = layout_of(body[name_at:at].decode())
            yield body[start:at]
            yield _PLAIN
            start = at
            if rows:
                at = _skip(layout, body, at + 8 * layout.prefixes, rows)
        yield body[start:at]


@lru_cache(maxsize=1024)
def layout_of(type_name: str) -> Layout:
    """The layout of a type. Raises ServerError when it is not known here."""
    type_name = _ALIASES.get(type_name, type_name)
    name, _, rest = type_name.partition("(")
    arguments = _arguments(rest.removesuffix(")")) if rest else []
    match name:
        case "String":
            return Layout("string")
        case "FixedString":
            return Layout("fixed", int(arguments[0]))
        case "Decimal":
            precision = int(arguments[0])
            return Layout("fixed", next(s for p, s in _DECIMAL if precision <= p))
        case "Nullable":
            return Layout("nullable", parts=(layout_of(arguments[0]),))
        case "LowCardinality":
            keys = arguments[0]
            if keys.startswith("Nullable("):  # the dictionary holds plain values
                keys = keys[len("Nullable(") : -1]
            return Layout("low", parts=(layout_of(keys),))
        case "Array":
            return Layout("array", parts=(layout_of(arguments[0]),))
        case "Map":
            pair = Layout("tuple", parts=tuple(map(layout_of, arguments)))
            return Layout("array", parts=(pair,))
        case "Tuple" | "Nested":
            fields = tuple(layout_of(_NAMED.sub("", a, count=1)) for a in arguments)
            if fields:
                record = Layout("tuple", parts=fields)
                return record if name == "Tuple" else Layout("array", parts=(record,))
        case "SimpleAggregateFunction":
            return layout_of(arguments[1])
    if name.startswith("Interval"):
        return Layout("fixed", 8)
    if name in _FIXED:
        return Layout("fixed", _FIXED[name])
    raise ServerError(
        NOT_IMPLEMENTED,
        f"A column of type {type_name} cannot be sent in Native blocks to this client; convert it, "
        "for example with toString or finalizeAggregation, or choose another FORMAT",
        "NOT_IMPLEMENTED",
    )


_DECIMAL = ((9, 4), (18, 8), (38, 16), (76, 32))
"""(largest precision, bytes)."""


def _arguments(text: str) -> list[str]:
    """Splits at the commas that are in no parentheses and no quotes."""
    parts, depth, quote, start = [], 0, "", 0
    for i, char in enumerate(text):
        if quote:
            if char == quote and text[i - 1] != "\\":
                quote = ""
        elif char in "'`":
            quote = char
        elif char in "()":
            depth += 1 if char == "(" else -1
        elif char == "," and depth == 0:
            parts.append(text[start:i].strip())
            start = i + 1
    return [*parts, text[start:].strip()]


def _skip(layout: Layout, body: bytes, at: int, rows: int) -> int:
    """Where the column that begins at `at` ends; its prefixes have been skipped."""
    match layout.kind:
        case "fixed":
            return at + rows * layout.size
        case "string":
            for _ in range(rows):
                size = body[at]
                at += 1
                if size >= 0x80:
                    size, at = _varint(body, at - 1)
                at += size
            return at
        case "nullable":
            return _skip(layout.parts[0], body, at + rows, rows)
        case "array":
            at += 8 * rows
            total = _uint64(body, at - 8) if rows else 0
            return _skip(layout.parts[0], body, at, total)
        case "tuple":
            for part in layout.parts:
                at = _skip(part, body, at, rows)
            return at
        case _:
            if rows == 0:
                return at
            index_bytes = 1 << (_uint64(body, at) & 0xFF)
            at = _skip(layout.parts[0], body, at + 16, _uint64(body, at + 8))
            return at + 8 + index_bytes * _uint64(body, at)


def _string(body: bytes, at: int) -> int:
    size, at = _varint(body, at)
    return at + size


def _uint64(body: bytes, at: int) -> int:
    return int.from_bytes(body[at : at + 8], "little")


def _varint(body: bytes, at: int) -> tuple[int, int]:
    """(unsigned LEB128 value, where it ends)."""
    value = shift = 0
    while True:
        byte = body[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
