"""One table as JSON, CSV or Arrow: whichever `?format=` or the Accept header asks for."""

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

import orjson
import pyarrow as pa
from fastapi import Depends, Header, Query
from pydantic import BaseModel
from starlette.responses import Response

from api.accepts import preferred
from api.problems import Problem

Format = Literal["json", "csv", "arrow"]
MEDIA: Mapping[Format, str] = {
    "json": "application/json",
    "csv": "text/csv",
    "arrow": "application/vnd.apache.arrow.stream",
}
_ARROW = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    datetime: pa.timestamp("ms", "UTC"),
}


async def wanted(
    format: Annotated[Format | None, Query(description="Goes before the Accept header.")] = None,
    accept: Annotated[str, Header(include_in_schema=False)] = "*/*",
) -> Format:
    """The format to answer in. Raises Problem 406 when none of those accepted is ours."""
    if format is not None:
        return format
    media = preferred(accept, tuple(MEDIA.values()))
    if media is None:
        raise Problem(406, "not-acceptable", f"this is given as {', '.join(MEDIA.values())}")
    return next(name for name, ours in MEDIA.items() if ours == media)


Wanted = Annotated[Format, Depends(wanted)]


def responses(model: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    """What OpenAPI says of an endpoint that answers in all formats."""
    return {
        200: {
            "model": model,
            "content": {
                MEDIA["csv"]: {"schema": {"type": "string"}},
                MEDIA["arrow"]: {"schema": {"type": "string", "format": "binary"}},
            },
        }
    }


def answer(
    kind: Format,
    body: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    columns: Mapping[str, type],
) -> Response:
    """`body`: the JSON answer. In other formats `rows` are the table, and what else the body holds
    as plain values stands in Arrow's metadata, or in headers beginning with X-Rheostat-."""
    if kind == "json":
        return Response(orjson.dumps(body, default=_plain), media_type=MEDIA[kind])
    about = {name: _text(value) for name, value in body.items() if not isinstance(value, list)}
    if kind == "csv":
        headers = {f"X-Rheostat-{name.replace('_', '-')}": value for name, value in about.items()}
        return Response(_csv(rows, columns), headers=_ascii(headers), media_type=MEDIA[kind])
    fields = [pa.field(name, _ARROW[cls]) for name, cls in columns.items()]
    table = pa.Table.from_pylist(list(rows), pa.schema(fields, metadata=about))
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return Response(sink.getvalue(), media_type=MEDIA[kind])


def _csv(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, type]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(columns), extrasaction="ignore")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _cell(row[name]) for name in columns})
    return text.getvalue()


def _cell(value: Any) -> Any:
    """A text that a spreadsheet would take for a formula gets a quote before it."""
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{value}"
    return "" if value is None else _text(value)


def _text(value: Any) -> str:
    return _plain(value) if isinstance(value, datetime) else "" if value is None else str(value)


def _ascii(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers take Latin-1 only and no line ends."""
    return {k: v.encode("ascii", "backslashreplace").decode() for k, v in headers.items()}


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    raise TypeError(f"{value!r} is not a value of JSON")
