"""Schemas from a Confluent-compatible schema registry, asked over HTTP and cached for good."""

import json
from typing import Any

import httpx

from schemas.catalog import FileCatalog, WriterSchema, writer_schema
from schemas.errors import IncompatibleSchema, RegistryUnavailable, UnknownSchema
from schemas.topics import TOPICS, topic_name

CONTENT_TYPE = "application/vnd.schemaregistry.v1+json"
TIMEOUT_S = 10.0


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
        self._newest: dict[str, WriterSchema] = {}

    def by_id(self, schema_id: int) -> WriterSchema | None:
        if schema_id not in self._by_id:
            answer = self._ask("GET", f"/schemas/ids/{schema_id}")
            if answer is None:
                # Not cached: the id may be registered a moment after its first message.
                return None
            self._by_id[schema_id] = writer_schema(schema_id, 0, json.loads(answer["schema"]))
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
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        if answer.status_code == httpx.codes.CONFLICT:
            raise IncompatibleSchema(f"the schema registry refused {path}: {answer.text}")
        if answer.is_error:
            raise RegistryUnavailable(
                f"the schema registry answered {answer.status_code} to {path}: {answer.text[:200]}"
            )
        value: dict[str, Any] = answer.json()
        return value
