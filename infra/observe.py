"""Every process's own HTTP pages: /metrics, /healthz, /readyz."""

import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from streams.telemetry import HEALTHY, READY, Health


def serve(health: Health, host: str, port: int) -> ThreadingHTTPServer:
    """Serves in a thread; port 0 takes any. `server_address[1]` tells the port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            match self.path.partition("?")[0]:
                case "/metrics":
                    self._send(200, generate_latest(), CONTENT_TYPE_LATEST)
                case "/healthz":
                    silent = health.silent()
                    self._json(503 if silent else 200, {"silent_s": dict(silent)})
                case "/readyz":
                    waiting = health.not_ready()
                    self._json(503 if waiting else 200, {"waiting": dict(waiting)})
                case _:
                    self._json(404, {"pages": ["/metrics", "/healthz", "/readyz"]})

        def _json(self, status: int, value: Mapping[str, object]) -> None:
            self._send(status, json.dumps(value).encode() + b"\n", "application/json")

        def _send(self, status: int, body: bytes, content_type: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Requests are not logged: a scraper asks every few seconds."""

    HEALTHY.set_function(lambda: 0 if health.silent() else 1)
    READY.set_function(lambda: 0 if health.not_ready() else 1)
    server = ThreadingHTTPServer((host, port), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="pages", daemon=True).start()
    return server
