"""A small Confluent-compatible schema registry on loopback, with faults on demand."""

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from schemas.compatibility import obstacle

Answer = tuple[int, Any]


@dataclass(slots=True)
class FakeRegistry:
    """What is registered. `fault`: a status to answer instead; `slow_s`: how long to think."""

    url: str = ""
    schemas: dict[int, dict[str, Any]] = field(default_factory=dict)
    subjects: dict[str, list[int]] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    fault: int | None = None
    slow_s: float = 0.0
    raw: bytes | None = None

    def register(self, subject: str, schema: str, kind: str = "AVRO") -> Answer:
        """As POST /subjects/SUBJECT/versions."""
        ids = self.subjects.setdefault(subject, [])
        for schema_id, known in self.schemas.items():
            if known["schema"] == schema:
                if schema_id not in ids:
                    ids.append(schema_id)
                return 200, {"id": schema_id}
        if kind == "AVRO" and ids:
            before = json.loads(self.schemas[ids[-1]]["schema"])
            if obstacle(before, json.loads(schema)) is not None:
                return 409, {"error_code": 409, "message": "incompatible with an earlier schema"}
        schema_id = 100 + len(self.schemas)
        self.schemas[schema_id] = {"schema": schema, "schemaType": kind}
        ids.append(schema_id)
        return 200, {"id": schema_id}

    def answer(self, method: str, path: str, body: Any) -> Answer:
        self.asked[f"{method} {path}"] += 1
        time.sleep(self.slow_s)
        if self.fault is not None:
            return self.fault, {"error_code": 50001, "message": "injected"}
        parts = path.strip("/").split("/")
        if method == "GET" and parts[:2] == ["schemas", "ids"]:
            found = self.schemas.get(int(parts[2]))
            return (200, found) if found else (404, {"error_code": 40403, "message": "not found"})
        if method == "POST" and parts[0] == "subjects" and parts[-1] == "versions":
            return self.register(parts[1], body["schema"])
        return 404, {"error_code": 404, "message": "HTTP 404 Not Found"}


@contextmanager
def schema_registry() -> Iterator[FakeRegistry]:
    """A registry that answers on a free port until the end of the block."""
    registry = FakeRegistry()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, value = registry.answer(
                self.command, self.path, json.loads(body) if body else None
            )
            data = json.dumps(value).encode() if registry.raw is None else registry.raw
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            with suppress(BrokenPipeError):  # who asked has stopped waiting
                self.wfile.write(data)

        do_GET = do_POST = _answer  # noqa: N815  the base class's names

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    registry.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield registry
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
