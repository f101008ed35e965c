"""Pages for whoever writes to or reads from our topics."""

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from infra.docs.markdown import code, page, table
from infra.topics import wanted_config
from schemas import reasons as reasons_module
from schemas.catalog import WriterSchema, committed
from schemas.opentelemetry import FEEDBACK_EVENT, INFERENCE_EVENT, Counterpart
from schemas.topics import DAY_MS, TOPICS

TOPICS_INTRO = """
Names carry `RHEOSTAT_TOPIC_PREFIX` in front. `rheostat topics` creates what is missing with the
configuration below and checks the rest; partitions, where not fixed, are `RHEOSTAT_PARTITIONS` at
creation, replicas `RHEOSTAT_REPLICATION_FACTOR`. Keys are UTF-8 text. Values are Avro in the
[wire format](schemas.md). Readers must use `isolation.level=read_committed`: aborted transactions
leave records that never counted.
"""
SCHEMAS_INTRO = """
A value is one byte 0, the schema id as 4 bytes big-endian, and the Avro body (the Confluent wire
format). Without a schema registry the id is the one below; with one
(`RHEOSTAT_SCHEMA_REGISTRY_URL`) the registry's, under the subject `TOPIC-value`. Readers take every
version ever published; writers write the newest. The files are `schemas/*.avsc`.
"""
OTEL_INTRO = """
What the fields of `InferenceEvent` are called in OpenTelemetry's
[GenAI semantic conventions](https://github.com/open-telemetry/semantic-conventions-genai) (status:
development) and, where these have no word, in the general
[registry of attributes](https://opentelemetry.io/docs/specs/semconv/registry/attributes/). One
event is one span of a model call. Fields that have no counterpart there travel as attributes of our
own, `rheostat.*`. Names as of November 2026.
"""
FEEDBACK_INTRO = """
`FeedbackEvent` comes from an event `gen_ai.evaluation.result`; the fields it shares with
`InferenceEvent` as above.
"""
REASONS_INTRO = """
A record that cannot be counted goes to `dead-letters` with its untouched bytes, its source
coordinates, the field if one is to blame, a text, and one of these codes. Codes are stable: group
and alert by them. A record is rejected for the first reason found.
"""


def topics() -> str:
    """docs/reference/topics.md"""
    rows = [
        [
            code(topic),
            code(spec.key),
            "newest per key" if spec.retention_ms is None else f"{spec.retention_ms // DAY_MS} d",
            str(spec.partitions or "as set"),
            f"[{spec.record}](schemas.md#{spec.record.lower()})" if spec.record else "",
            spec.meaning,
        ]
        for topic, spec in TOPICS.items()
    ]
    configs = [
        [code(topic), " ".join(code(f"{k}={v}") for k, v in wanted_config(spec).items())]
        for topic, spec in TOPICS.items()
    ]
    return page(
        "Topics",
        "schemas/topics.py",
        TOPICS_INTRO,
        table(["topic", "key", "kept", "partitions", "value", "meaning"], rows),
        "## Configuration",
        table(["topic", "configuration"], configs),
    )


def schemas() -> str:
    """docs/reference/schemas.md"""
    found = sorted(committed().schemas.values(), key=lambda s: s.schema_id)
    ids = [[str(s.schema_id), s.record, str(s.version), _where(s.record)] for s in found]
    newest = {s.record: s for s in found}
    parts = [part for schema in newest.values() for part in _schema(schema)]
    head = table(["id", "record", "version", "topic"], ids)
    return page("Schemas", "schemas/*.avsc and schemas/ids.json", SCHEMAS_INTRO, head, *parts)


def opentelemetry() -> str:
    """docs/reference/opentelemetry.md"""
    return page(
        "OpenTelemetry names",
        "schemas/opentelemetry.py",
        OTEL_INTRO,
        _counterparts(INFERENCE_EVENT),
        "## FeedbackEvent",
        FEEDBACK_INTRO,
        _counterparts(FEEDBACK_EVENT),
    )


def reasons() -> str:
    """docs/reference/reasons.md; the meanings are the comments beside the codes."""
    source = inspect.getsource(reasons_module.Reason)
    rows = [
        [code(value), meaning] for value, meaning in re.findall(r'= "(\w+)"(?:  # (.+))?', source)
    ]
    limits = [
        [code(name), f"{getattr(reasons_module, name):,}"]
        for name in ("MAX_VALUE_BYTES", "MAX_TEXT_BYTES", "MAX_AHEAD_MS")
    ]
    return page(
        "Reason codes",
        "schemas/reasons.py",
        REASONS_INTRO,
        table(["code", "meaning"], rows),
        "## Limits",
        table(["limit", "value"], limits),
    )


def _counterparts(fields: Mapping[str, Counterpart]) -> str:
    words = {"attribute": "attribute", "span": "of the span", "ours": "attribute of ours"}
    return table(
        ["field", "OpenTelemetry", "", "note"],
        [
            [
                code(field),
                code(found.name) if found.kind != "span" else found.name,
                words[found.kind],
                "; ".join(filter(None, [found.note, _factor(found)])),
            ]
            for field, found in fields.items()
        ],
    )


def _factor(found: Counterpart) -> str:
    return f"times {found.factor:g}" if found.factor != 1 else ""


def _where(record: str) -> str:
    return ", ".join(code(topic) for topic, spec in TOPICS.items() if spec.record == record)


def _schema(schema: WriterSchema) -> Iterator[str]:
    yield f"## {schema.record}"
    yield f"{schema.source.get('doc', '')} Version {schema.version}, id {schema.schema_id}."
    for name, doc, fields in _records(schema.source):
        if name != schema.record:
            yield f"### {schema.record}: {name}"
            yield doc
        yield table(
            ["field", "type", "default", "meaning"],
            [
                [code(f["name"]), code(_type(f["type"])), _default(f), f.get("doc", "")]
                for f in fields
            ],
        )


def _records(schema: Any) -> Iterator[tuple[str, str, Sequence[Mapping[str, Any]]]]:
    """The record and those inside it, outermost first."""
    if isinstance(schema, list):
        for branch in schema:
            yield from _records(branch)
    elif isinstance(schema, Mapping):
        if schema.get("type") == "record":
            yield schema["name"], schema.get("doc", ""), schema["fields"]
            for field in schema["fields"]:
                yield from _records(field["type"])
        elif schema.get("type") == "array":
            yield from _records(schema["items"])


def _type(schema: Any) -> str:
    if isinstance(schema, list):
        return " or ".join(_type(branch) for branch in schema)
    if not isinstance(schema, Mapping):
        return str(schema)
    match schema["type"]:
        case "array":
            return f"array of {_type(schema['items'])}"
        case "enum":
            return " / ".join(schema["symbols"])
        case "record":
            return str(schema["name"])
    return str(schema.get("logicalType", schema["type"]))


def _default(field: Mapping[str, Any]) -> str:
    if "default" not in field:
        return ""
    return code("null" if field["default"] is None else str(field["default"]) or '""')
