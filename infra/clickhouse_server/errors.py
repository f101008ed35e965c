"""Errors in ClickHouse's own terms: its codes, its wording, its HTTP statuses."""

import re
from dataclasses import dataclass

UNKNOWN_FORMAT = 73
CANNOT_DECOMPRESS = 271
CHECKSUM_DOESNT_MATCH = 40
NOT_IMPLEMENTED = 48
TOO_LARGE_SIZE_COMPRESSED = 39
UNKNOWN_COMPRESSION_METHOD = 89
AUTHENTICATION_FAILED = 516
REQUIRED_PASSWORD = 194
SESSION_NOT_FOUND = 372
SESSION_IS_LOCKED = 373
TOO_MANY_SIMULTANEOUS_QUERIES = 202
TOO_LARGE_BODY = 241
SYNTAX_ERROR = 62
READONLY = 164
BAD_ARGUMENTS = 36

_STATUS = {
    REQUIRED_PASSWORD: 401,
    AUTHENTICATION_FAILED: 403,
    192: 403,  # UNKNOWN_USER
    193: 403,  # WRONG_PASSWORD
    READONLY: 403,
    497: 403,  # ACCESS_DENIED
    SESSION_NOT_FOUND: 404,
    # Function, identifier, type, storage, table, aggregate function, format, kind of query,
    # database, setting and role that are unknown.
    **dict.fromkeys((46, 47, 50, 56, 60, 63, 73, 78, 81, 115, 511), 404),
    NOT_IMPLEMENTED: 501,
    SESSION_IS_LOCKED: 403,
    TOO_MANY_SIMULTANEOUS_QUERIES: 503,
    159: 408,  # TIMEOUT_EXCEEDED
    TOO_LARGE_BODY: 413,
    49: 500,  # LOGICAL_ERROR
    210: 500,  # NETWORK_ERROR
    243: 500,  # NOT_ENOUGH_SPACE
}


@dataclass(eq=False)
class ServerError(Exception):
    """An exception as ClickHouse reports it over HTTP. Not frozen: Python notes its traceback."""

    code: int
    message: str
    name: str = ""

    @property
    def status(self) -> int:
        """HTTP status; 400 for what is wrong with the request, as most codes are."""
        return _STATUS.get(self.code, 400)

    @property
    def text(self) -> str:
        """The body: clients parse this form."""
        name = f" ({self.name})" if self.name else ""
        return f"Code: {self.code}. DB::Exception: {self.message}{name}\n"


def from_engine(error: Exception) -> ServerError:
    """The engine's exception, whose text holds the code and the name."""
    text = str(error).strip()
    # An insert's exception stands behind words of chDB's own.
    found = re.search(r"(?s)Code: (\d+)\. DB::Exception: (.*?)(?:\s\(([A-Z0-9_]+)\))?\.?$", text)
    if found is None:
        return ServerError(1002, text, "UNKNOWN_EXCEPTION")
    return ServerError(int(found[1]), found[2], found[3] or "")
