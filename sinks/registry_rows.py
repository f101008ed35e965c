"""Rows of the registry's history and of its audit: facts, and what became of every command."""

from collections.abc import Mapping
from typing import Any

import orjson
import polars as pl
import pyarrow as pa

from sinks.rows import UTC_MS, Messages, decoded, table_of

UNSTORED = ("secret_sha256",)
"""Fields of entities that stay in Kafka: many may read ClickHouse who need not know them."""


def registry_rows(messages: Messages) -> pa.Table:
    """The registry's history: facts as JSON, deletions too."""
    rows = []
    for i, fact in decoded(messages, "RegistryFact"):
        key = (messages.keys[i] or b"").decode(errors="replace")
        row = {"key": key, **_place(key), **_source(messages, i)}
        if fact is None:
            nothing = {"version": 0, "author": "", "accepted_at": None, "command_id": ""}
            rows.append({**row, **nothing, "entity": "", "deleted": True})
        else:
            known = {name: fact[name] for name in _KNOWN}
            rows.append({**row, **known, "entity": _json(fact["entity"])})
    return _table(rows, _REGISTRY)


def command_rows(messages: Messages) -> pa.Table:
    """One row a change of every judged command, the refused ones too, with its own problems."""
    rows = []
    for i, command in decoded(messages, "RegistryCommand"):
        if command is None or command["outcome"] is None:
            continue
        outcome = command["outcome"]
        common = {
            **{name: command[name] for name in ("command_id", "author", "submitted_at")},
            **{name: outcome[name] for name in ("status", "decided_at")},
            **_source(messages, i),
        }
        for number, change in enumerate(command["changes"]):
            problems = [p for p in outcome["problems"] if p["change"] == number]
            rows.append(
                {
                    **common,
                    "change": number,
                    **{name: change[name] for name in ("action", "key", "expected_version")},
                    **_place(change["key"]),
                    "version": outcome["versions"][number] if outcome["versions"] else None,
                    "problems.field": [p["field"] for p in problems],
                    "problems.text": [p["text"] for p in problems],
                    "problems.current_version": [p["current_version"] for p in problems],
                }
            )
    return _table(rows, _COMMANDS)


def _place(key: str) -> dict[str, str]:
    org_id, _, rest = key.partition("/")
    return {"org_id": org_id, "kind": rest.partition("/")[0]}


def _source(messages: Messages, i: int) -> dict[str, int]:
    return {"src_partition": messages.partition, "src_offset": messages.offsets[i]}


def _json(entity: tuple[str, Mapping[str, Any]]) -> str:
    _, fields = entity
    shown = {name: value for name, value in fields.items() if name not in UNSTORED}
    return orjson.dumps(shown, option=orjson.OPT_UTC_Z).decode()


def _table(rows: list[dict[str, Any]], schema: Mapping[str, Any]) -> pa.Table:
    return table_of(pl.DataFrame(rows, schema=schema)) if rows else pa.table({})


_KNOWN = ("version", "author", "accepted_at", "command_id", "deleted")
_SOURCE: dict[str, Any] = {"src_partition": pl.UInt32, "src_offset": pl.UInt64}
_REGISTRY: dict[str, Any] = {
    **dict.fromkeys(("key", "kind", "org_id"), pl.String),
    "version": pl.UInt64,
    "author": pl.String,
    "accepted_at": UTC_MS,
    "command_id": pl.String,
    "entity": pl.String,
    "deleted": pl.Boolean,
    **_SOURCE,
}
_COMMANDS: dict[str, Any] = {
    **dict.fromkeys(
        ("org_id", "kind", "key", "command_id", "author", "action", "status"), pl.String
    ),
    "change": pl.UInt32,
    **dict.fromkeys(("expected_version", "version"), pl.UInt64),
    **dict.fromkeys(("submitted_at", "decided_at"), UTC_MS),
    **dict.fromkeys(("problems.field", "problems.text"), pl.List(pl.String)),
    "problems.current_version": pl.List(pl.UInt64),
    **_SOURCE,
}
