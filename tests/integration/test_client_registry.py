"""The client behind a schema registry: ids are the registry's, secrets stay out of sight."""

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from rheostat_client import Config, InferenceEvent, Reporter
from rheostat_client.errors import RegistryUnavailable, UnknownSchema
from rheostat_client.wire import decode, packaged
from tests.support.client import FakeProducer
from tests.support.selections import update, written
from tests.support.servers import free_port

pytestmark = pytest.mark.integration
FIRST_ID = 1001


class Handler(BaseHTTPRequestHandler):
    """Registers schemas by subject; only alice may."""

    def do_POST(self) -> None:
        server: Any = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        subject = self.path.split("/")[2]
        key = (subject, body["schema"])
        server.ids.setdefault(key, FIRST_ID + len(server.ids))
        self._send({"id": server.ids[key]})

    def do_GET(self) -> None:
        server: Any = self.server
        wanted = int(self.path.rpartition("/")[2])
        found = [schema for (_, schema), i in server.ids.items() if i == wanted]
        self._send({"schema": found[0]} if found else None)

    def _send(self, body: Any) -> None:
        token = base64.b64encode(b"alice:p@ss").decode()
        allowed = self.headers["Authorization"] == f"Basic {token}"
        data = json.dumps(body if allowed else {}).encode()
        self.send_response(403 if not allowed else 404 if body is None else 200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Silence."""


@pytest.fixture
def registry() -> Iterator[Any]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.ids = {}
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(10)


def config(registry: Any, user: str = "alice:p%40ss@") -> Config:
    url = f"http://{user}127.0.0.1:{registry.server_port}"
    return Config("acme", "127.0.0.1:1", schema_registry_url=url, topic_prefix="dev-")


def test_events_carry_the_registry_s_id(registry: Any) -> None:
    producer = FakeProducer()
    with Reporter(config(registry), make_producer=lambda: producer) as reporter:
        event = InferenceEvent(model_id="m", capability="c", unit_id="u", latency_ms=1.0)
        reporter.report(event)
        reporter.report(event)
        assert reporter.flush(30) == 0
    assert {value[:5] for _, value, _ in producer.sent} == {b"\x00" + FIRST_ID.to_bytes(4, "big")}
    assert {topic for topic, _, _ in producer.sent} == {"dev-inference-events"}
    assert [subject for subject, _ in registry.ids] == ["dev-inference-events-value"]


def test_updates_are_read_by_the_registry_s_id(registry: Any) -> None:
    source = json.dumps(packaged().newest("SelectionUpdate").source)
    registry.ids["dev-selection-updates-value", source] = 7
    schemas = config(registry).schemas()
    message = b"\x00\x00\x00\x00\x07" + written(update({"a": 1.0}))[5:]
    assert decode(message, "SelectionUpdate", schemas)["selection_id"] == "sel-1"
    with pytest.raises(UnknownSchema):
        schemas.by_id(99)
    written_by_us = schemas.newest("FeedbackEvent")
    assert schemas.by_id(written_by_us.schema_id).record == "FeedbackEvent"


def test_a_registry_that_is_away_or_says_no_is_told_without_its_secrets(registry: Any) -> None:
    for broken in (
        config(registry, user="mallory:secret@"),
        Config("acme", "k:1", schema_registry_url=f"http://alice:secret@127.0.0.1:{free_port()}"),
    ):
        with pytest.raises(RegistryUnavailable) as caught:
            broken.schemas().newest("InferenceEvent")
        assert "secret" not in str(caught.value)
        assert "secret" not in repr(broken)
