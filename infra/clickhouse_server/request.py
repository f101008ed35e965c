"""What a request asks for: SQL, data, settings, parameters, session. Pure parsing."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl

from infra.clickhouse_server.errors import BAD_ARGUMENTS, SYNTAX_ERROR, ServerError

RESERVED = frozenset(
    {
        "query",
        "database",
        "default_format",
        "user",
        "password",
        "quota_key",
        "query_id",
        "session_id",
        "session_timeout",
        "session_check",
        "compress",
        "decompress",
        "enable_http_compression",
        "http_zlib_compression_level",
        "client_protocol_version",
        "role",
        "wait_end_of_query",
        "buffer_size",
        "send_progress_in_http_headers",
        "http_headers_progress_interval_ms",
        "add_http_cors_header",
        "cancel_http_readonly_queries_on_client_close",
        "stacktrace",
    }
)
"""URL parameters that are not settings of the query."""

_OPAQUE = re.compile(
    r"""(?P<comment>--[^\n]*|\#[!\ ][^\n]*|/\*.*?\*/)
    | '(?:[^'\\]|\\.|'')*' | `(?:[^`\\]|\\.)*` | "(?:[^"\\]|\\.)*"
    | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$""",
    re.DOTALL | re.VERBOSE,
)
"""Comments and everything in quotes."""
_INSERT = re.compile(r"\s*INSERT\s", re.IGNORECASE)
_DATA_FORMAT = re.compile(
    r"(?P<head>\s*INSERT\s.*?)\sFORMAT\s+(?P<format>\w+)(?P<end>[ \t]*;?\r?\n?|$)",
    re.IGNORECASE | re.DOTALL,
)
_SOURCE = re.compile(r"\b(SELECT|WITH|VALUES|FROM\s+INFILE)\b", re.IGNORECASE)
_OUT_FORMAT = re.compile(r"\sFORMAT\s+(\w+)\s*(?:SETTINGS\s.*)?;?\s*$", re.IGNORECASE | re.DOTALL)
_READS = re.compile(
    r"[\s(]*(SELECT|WITH|SHOW|DESCRIBE|DESC|EXISTS|EXPLAIN|CHECK|USE|SET)\b", re.IGNORECASE
)
_WRITES = re.compile(r"\b(INSERT|INTO\s+OUTFILE)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ExternalTable:
    """A temporary table that comes with the request."""

    name: str
    structure: str
    format: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL for the engine. `insert_format` is set when `data` are the rows of an INSERT."""

    sql: str
    output_format: str
    insert_format: str | None = None
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class Session:
    """A session that outlives the request."""

    session_id: str
    timeout_s: float
    must_exist: bool


@dataclass(frozen=True, slots=True)
class Request:
    """All that a request asks of the engine. `readonly`: as ClickHouse's setting; 0 allows all."""

    statement: Statement
    settings: Mapping[str, str]
    params: Mapping[str, str]
    database: str | None
    session: Session | None
    external: Sequence[ExternalTable] = ()
    readonly: int = 0


def statement(query: str, body: bytes, default_format: str) -> Statement:
    """Joins the `query` parameter and the body as ClickHouse does.

    With both, the body is data of an INSERT. SQL in the body may be an INSERT followed by its data.
    Raises ServerError for a body that is not UTF-8 and for several statements at once.
    """
    found = (
        _from_body(body, default_format) if not query else _from_both(query, body, default_format)
    )
    if ";" in _bare(found.sql).rstrip().removesuffix(";"):
        raise ServerError(SYNTAX_ERROR, "Multi-statements are not allowed", "SYNTAX_ERROR")
    return found


def _from_both(query: str, body: bytes, default_format: str) -> Statement:
    if body and _INSERT.match(_bare(query)):
        found = _data_insert(query)
        if found is not None:
            head, data_format, _ = found
            return Statement(head, default_format, data_format, body)
        if not _SOURCE.search(_bare(query)):
            return Statement(query.rstrip().rstrip(";"), default_format, "Values", body)
    text = query + "\n" + _text(body) if body else query
    return Statement(text, output_format(text, default_format))


def _from_body(body: bytes, default_format: str) -> Statement:
    # Only the head is text; what follows it may be binary.
    head = body[:65536].decode("utf-8", "surrogateescape")
    found = _data_insert(head)
    if found is None:
        text = _text(body)
        return Statement(text, output_format(text, default_format))
    sql, data_format, length = found
    data = body[len(head[:length].encode("utf-8", "surrogateescape")) :]
    return Statement(sql, default_format, data_format, data)


def _data_insert(sql: str) -> tuple[str, str, int] | None:
    """(INSERT without its format, the format, where the data begin); None when rows come else."""
    found = _DATA_FORMAT.match(_bare(sql))
    if found is None or _SOURCE.search(found["head"]):
        return None
    return sql[: found.end("head")], found["format"], found.end()


def output_format(sql: str, default: str) -> str:
    """The FORMAT clause's name, else the default."""
    found = _OUT_FORMAT.search(_bare(sql))
    return found[1] if found else default


def only_reads(sql: str) -> bool:
    """Whether a statement surely changes no data. May be False for one that does not."""
    bare = _bare(sql)
    return _READS.match(bare) is not None and _WRITES.search(bare) is None


def _bare(sql: str) -> str:
    """The same text, as long, without what is in comments and quotes."""

    def blank(match: re.Match[str]) -> str:
        # A form feed separates words as a comment does, and is no part of inline data's separator.
        return ("\f" if match["comment"] else "_") * len(match[0])

    return _OPAQUE.sub(blank, sql)


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise ServerError(
            SYNTAX_ERROR, f"The query is not UTF-8: byte {error.start} is wrong", "SYNTAX_ERROR"
        ) from error


def url_parameters(query_string: bytes) -> dict[str, str]:
    """Parameters of the URL, the last of a name. Raises ServerError when they are not UTF-8."""
    try:
        return dict(
            parse_qsl(query_string.decode("ascii"), keep_blank_values=True, errors="strict")
        )
    except UnicodeDecodeError as error:
        text = f"The parameters of the URL are not UTF-8: {error.reason}"
        raise ServerError(BAD_ARGUMENTS, text, "BAD_ARGUMENTS") from error


def settings_and_params(url: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Settings of the query, and values for its {name:Type} placeholders."""
    params = {k.removeprefix("param_"): v for k, v in url.items() if k.startswith("param_")}
    settings = {
        k: v
        for k, v in url.items()
        if k not in RESERVED and not k.startswith("param_") and not _external(k, url)
    }
    return settings, params


def _external(name: str, url: Mapping[str, str]) -> bool:
    table, _, suffix = name.rpartition("_")
    return suffix in {"format", "structure", "types"} and (
        f"{table}_structure" in url or f"{table}_types" in url
    )


def session(url: Mapping[str, str], default_timeout_s: float) -> Session | None:
    """The session asked for, if any."""
    session_id = url.get("session_id", "")
    if not session_id:
        return None
    timeout_s = float(url.get("session_timeout") or default_timeout_s)
    return Session(session_id, min(timeout_s, 3600.0), url.get("session_check") == "1")
