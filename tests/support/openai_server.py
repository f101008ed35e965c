"""A small server that speaks the chat completions protocol, well and badly."""

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 3,
    "total_tokens": 103,
    "prompt_tokens_details": {"cached_tokens": 60},
}
VERSION = "answer-2026-01"
FIRST_AFTER_S = 0.25


class Handler(BaseHTTPRequestHandler):
    """What happens depends on the model's name; see `answers`."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append(request)  # type: ignore[attr-defined]
        model = request["model"]
        if model.startswith("status-"):
            self._send(
                int(model.removeprefix("status-")), {"error": {"message": "no", "type": "x"}}
            )
        elif request.get("stream"):
            self._stream(request)
        elif model == "silly":
            self._send(200, completion({"prompt_tokens": -5, "completion_tokens": "many"}))
        else:
            self._send(200, completion(USAGE))

    def _send(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _stream(self, request: dict[str, Any]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # the client may leave half-way
            self._pieces(request)
        self.close_connection = True

    def _pieces(self, request: dict[str, Any]) -> None:
        self._piece({"role": "assistant", "content": ""})
        time.sleep(FIRST_AFTER_S)
        for word in ("one", "two", "three"):
            self._piece({"content": word})
            if request["model"] == "breaks":
                self._write({"error": {"message": "broken", "type": "server_error"}})
                return
        if (request.get("stream_options") or {}).get("include_usage"):
            self._write({**chunk({}), "choices": [], "usage": USAGE})
        self.wfile.write(b"data: [DONE]\n\n")

    def _piece(self, delta: dict[str, Any]) -> None:
        self._write(chunk(delta))

    def _write(self, value: dict[str, Any]) -> None:
        self.wfile.write(f"data: {json.dumps(value)}\n\n".encode())
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:
        """Silence."""


def completion(usage: dict[str, Any]) -> dict[str, Any]:
    message = {"role": "assistant", "content": '{"word": "hello"}'}
    return {
        "id": "c-1",
        "object": "chat.completion",
        "created": 1,
        "model": VERSION,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": usage,
    }


def chunk(delta: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": "c-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": VERSION,
        "choices": [{"index": 0, "delta": delta, "finish_reason": None}],
    }


@contextmanager
def serving_openai() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """(base URL, the requests that came) while it runs."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.requests = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", server.requests  # type: ignore[attr-defined]
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
