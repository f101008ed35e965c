"""Schemas from a Confluent-compatible schema registry, asked over HTTP and cached for good.

Only background threads ask; a caller of this package never waits for the registry.
"""

import base64
import json
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from rheostat_client.errors import RegistryUnavailable, UnknownSchema
from rheostat_client.wire import PackagedSchemas, WriterSchema, writer_schema

CONTENT_TYPE = "application/vnd.schemaregistry.v1+json"
TIMEOUT_S = 10.0
NOT_FOUND = 404
SUBJECTS = {"InferenceEvent": "inference-events", "FeedbackEvent": "feedback-events"}
"""The records that we write, and their topics: subjects are named `<topic>-value`."""


class RegistrySchemas:
    """Ids come from the registry; the schemas that we write are the package's.

    `url` may carry user:password@. Registering a schema again returns the id that it has.
    """

    def __init__(self, url: str, written: PackagedSchemas, topic_prefix: str = "") -> None:
        self._url, self._headers = _split(url)
        self._written = written
        self._prefix = topic_prefix
        self._by_id: dict[int, WriterSchema] = {}
        self._newest: dict[str, WriterSchema] = {}

    def by_id(self, schema_id: int) -> WriterSchema:
        if schema_id not in self._by_id:
            answer = self._ask("GET", f"/schemas/ids/{schema_id}")
            if answer is None:
                raise UnknownSchema(f"the schema registry knows no id {schema_id}")
            self._by_id[schema_id] = writer_schema(schema_id, 0, json.loads(answer["schema"]))
        return self._by_id[schema_id]

    def newest(self, record: str) -> WriterSchema:
        if record not in self._newest:
            ours = self._written.newest(record)
            subject = urllib.parse.quote(f"{self._prefix}{SUBJECTS[record]}-value", safe="")
            body = {"schema": json.dumps(ours.source)}
            answer = self._ask("POST", f"/subjects/{subject}/versions", body)
            if answer is None:
                raise UnknownSchema(f"the schema registry has no place for {record}")
            self._newest[record] = ours._replace(schema_id=int(answer["id"]))
        return self._newest[record]

    def _ask(self, method: str, path: str, body: Any = None) -> dict[str, Any] | None:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self._url + path, data=data, method=method, headers=self._headers
        )
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
                value: dict[str, Any] = json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                if error.code == NOT_FOUND:
                    return None
                raise RegistryUnavailable(
                    f"the schema registry answered {error.code} to {path}"
                ) from error
        except (OSError, ValueError) as error:
            raise RegistryUnavailable(f"the schema registry did not answer: {error}") from error
        return value


def _split(url: str) -> tuple[str, dict[str, str]]:
    """The URL without credentials, and the headers that carry them."""
    parts = urllib.parse.urlsplit(url.rstrip("/"))
    headers = {"Content-Type": CONTENT_TYPE}
    if parts.username is not None:
        user = urllib.parse.unquote(parts.username)
        secret = urllib.parse.unquote(parts.password or "")
        token = base64.b64encode(f"{user}:{secret}".encode()).decode()
        headers["Authorization"] = f"Basic {token}"
    host = parts.netloc.rpartition("@")[2]
    return urllib.parse.urlunsplit(parts._replace(netloc=host)), headers
