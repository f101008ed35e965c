"""Schemas from a Confluent-compatible schema registry, asked over HTTP and cached for good."""

import json
import time
from collections.abc import Mapping
from typing import Any

import httpx
from fastavro.schema import SchemaParseException

from schemas.catalog import FileCatalog, WriterSchema, writer_schema
from schemas.errors import IncompatibleSchema, RegistryUnavailable, UnknownSchema
from schemas.topics import TOPICS, topic_name

CONTENT_TYPE = "application/vnd.schemaregistry.v1+json"
TIMEOUT_S = 10.0
UNKNOWN_S = 10.0
"""How long "nobody registered this id" is believed: a flood of one made-up id asks once, and an id
that is registered after its first message is not unknown for ever."""
UNKNOWN_MAX = 100_000
_NO_SUCH_SCHEMA = 40403
_NO_SUCH_SUBJECT = 40401


class RegistryCatalog:
    """Ids come from the registry; the schemas that we write are the committed ones.

    Subjects follow the topic-name strategy (`<topic>-value`). Registering the same schema again
    returns the id it has, so any number of processes may start at once.
    """

    def __init__(self, url: str, written: FileCatalog, topic_prefix: str = "") -> None:
        self._http = httpx.Client(base_url=url.rstrip("/"), timeout=TIMEOUT_S)
        self._written = written
        self._prefix = topic_prefix
        self._by_id: dict[int, WriterSchema | None] = {}
        self._unknown_until_s: dict[int, float] = {}
        self._newest: dict[str, WriterSchema] = {}

    def by_id(self, schema_id: int) -> WriterSchema | None:
        if schema_id in self._by_id:
            return self._by_id[schema_id]
        now_s = time.monotonic()
        if now_s < self._unknown_until_s.get(schema_id, 0.0):
            return None
        answer = self._ask("GET", f"/schemas/ids/{schema_id}")
        if answer is None:
            if len(self._unknown_until_s) >= UNKNOWN_MAX:
                self._unknown_until_s.clear()
            self._unknown_until_s[schema_id] = now_s + UNKNOWN_S
            return None
        self._by_id[schema_id] = _record(schema_id, answer)
        return self._by_id[schema_id]

    def newest(self, record: str) -> WriterSchema:
        if record not in self._newest:
            ours = self._written.newest(record)
            body = {"schema": json.dumps(ours.source)}
            answer = self._ask("POST", f"/subjects/{self._subject(record)}/versions", body)
            if answer is None:
                raise UnknownSchema(f"the schema registry has no place for {record}")
            found = writer_schema(int(answer["id"]), ours.version, ours.source)
            self._newest[record] = self._by_id[found.schema_id] = found
        return self._newest[record]

    def _subject(self, record: str) -> str:
        topic = next(t for t, spec in TOPICS.items() if spec.record == record)
        return f"{topic_name(topic, self._prefix)}-value"

    def _ask(self, method: str, path: str, body: Any = None) -> dict[str, Any] | None:
        try:
            answer = self._http.request(
                method, path, json=body, headers={"Content-Type": CONTENT_TYPE}
            )
        except httpx.HTTPError as error:
            raise RegistryUnavailable(f"the schema registry did not answer: {error}") from error
        try:
            value: dict[str, Any] = answer.json()
            code = int(value.get("error_code", 0))
        except (ValueError, TypeError, AttributeError) as error:
            raise RegistryUnavailable(
                f"{path} got {answer.status_code} and nothing that a schema registry says: "
                f"{answer.text[:200]!r}; is RHEOSTAT_SCHEMA_REGISTRY_URL right?"
            ) from error
        if code in (_NO_SUCH_SCHEMA, _NO_SUCH_SUBJECT):
            return None
        if answer.status_code in (httpx.codes.CONFLICT, httpx.codes.UNPROCESSABLE_ENTITY):
            raise IncompatibleSchema(f"the schema registry refused {path}: {answer.text}")
        if answer.is_error:
            raise RegistryUnavailable(
                f"the schema registry answered {answer.status_code} to {path}: {answer.text[:200]}"
            )
        return value


def _record(schema_id: int, answer: Mapping[str, Any]) -> WriterSchema | None:
    """The Avro record of a registry's answer, None when it is anything else (JSON, Protobuf)."""
    try:
        return writer_schema(schema_id, 0, json.loads(answer["schema"]))
    except (ValueError, KeyError, TypeError, SchemaParseException):
        return None
