"""Reaching ClickHouse for an operator: connected, or told why not and what to do."""

import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx

from infra.configuration import hidden
from infra.errors import NotReachable, OperatorError
from infra.settings import Settings

TIMEOUT_S = 8.0
DEFAULT_PORTS = {"http": 8123, "https": 8443}
EXCEPTION_CODE = "X-ClickHouse-Exception-Code"
_START = "Start it with `rheostat up`, or name yours with RHEOSTAT_CLICKHOUSE_URL."

_TLS = (
    "If it speaks no TLS, write http:// in RHEOSTAT_CLICKHOUSE_URL; if it does, make this machine "
    "trust its certificate."
)


@dataclass(frozen=True, slots=True)
class Answer:
    """Who answered: the version, and how far its clock is ahead of ours, give or take."""

    version: str
    ahead_s: float
    within_s: float


def ask(settings: Settings, timeout_s: float = TIMEOUT_S) -> Answer:
    """Asks for the version and the time.

    Raises NotReachable when ClickHouse does not answer in time, OperatorError when it refuses or
    when something else answers.
    """
    began = time.time()
    (row,) = query(settings, "SELECT version(), toFloat64(now64(6))", timeout_s)
    took = time.time() - began
    version, clock = row
    return Answer(str(version), float(clock) - (began + took / 2), took / 2)


def query(settings: Settings, sql: str, timeout_s: float = TIMEOUT_S) -> list[list[Any]]:
    """The rows of a query that reads. Raises as `ask`."""
    url = settings.clickhouse
    parts = urlsplit(url)
    place = hidden(url)
    auth = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
    port = parts.port or DEFAULT_PORTS[parts.scheme]
    try:
        answer = httpx.post(
            f"{parts.scheme}://{parts.hostname}:{port}/",
            content=sql.encode(),
            params={"default_format": "JSONCompact", "readonly": "2"},
            auth=auth,
            timeout=timeout_s,
        )
    except httpx.TimeoutException as error:
        raise NotReachable(
            f"ClickHouse at {place} did not answer within {timeout_s:g} s. It may be overloaded, "
            "or a firewall may drop what we send; try: curl "
            f"{parts.scheme}://{parts.hostname}:{port}/ping"
        ) from error
    except httpx.ConnectError as error:
        remedy = _TLS if "SSL" in str(error) else _START
        raise NotReachable(f"ClickHouse at {place} does not answer: {error}. {remedy}") from error
    except httpx.HTTPError as error:
        raise OperatorError(
            f"What answers at {place} is not ClickHouse's HTTP interface ({error}). Correct the "
            "port in RHEOSTAT_CLICKHOUSE_URL (8123, or 8443 with https; 9000 is another protocol)."
        ) from error
    if answer.is_success:
        return _rows(answer, place)
    raise _refusal(answer, place)


def _rows(answer: httpx.Response, place: str) -> list[list[Any]]:
    try:
        rows: list[list[Any]] = answer.json()["data"]
    except (ValueError, KeyError, TypeError) as error:
        raise OperatorError(
            f"What answers at {place} is not ClickHouse: it sent "
            f"{answer.headers.get('content-type', 'no content type')}. Correct "
            "RHEOSTAT_CLICKHOUSE_URL."
        ) from error
    return rows


def _refusal(answer: httpx.Response, place: str) -> OperatorError:
    text = answer.text.strip().splitlines()[0][:300] if answer.text.strip() else "no reason given"
    code = answer.headers.get(EXCEPTION_CODE)
    if code is None:
        return OperatorError(
            f"What answers at {place} is not ClickHouse: HTTP {answer.status_code}. Correct "
            "RHEOSTAT_CLICKHOUSE_URL."
        )
    if answer.status_code in {401, 403} or code in {"192", "193", "194", "516"}:
        return OperatorError(
            f"ClickHouse at {place} refuses the user or the password. Correct them in "
            "RHEOSTAT_CLICKHOUSE_URL (http://user:password@host:port; special characters in the "
            "password as %XX)."
        )
    return OperatorError(f"ClickHouse at {place} refuses the query: {text}")
