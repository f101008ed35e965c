"""Every process's own pages: what they say and with which status."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from infra import observe
from streams import telemetry
from streams.telemetry import Health

pytestmark = pytest.mark.integration


@pytest.fixture
def health() -> Health:
    return Health(max_silence_s=0.05)


@pytest.fixture
def address(health: Health) -> Iterator[str]:
    server = observe.serve(health, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def get(url: str) -> tuple[int, str, str]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read().decode()


def test_not_ready_until_every_part_is(address: str, health: Health) -> None:
    assert get(f"{address}/readyz")[0] == 503
    health.ready("sinks")
    health.waiting("streams", "reading the registry")
    status, kind, body = get(f"{address}/readyz")
    assert (status, kind) == (503, "application/json")
    assert json.loads(body) == {"waiting": {"streams": "reading the registry"}}
    health.ready("streams")
    assert get(f"{address}/readyz")[0] == 200


def test_unhealthy_when_a_part_falls_silent(address: str, health: Health) -> None:
    assert get(f"{address}/healthz")[0] == 200
    health.beat("streams")
    time.sleep(0.1)
    status, _, body = get(f"{address}/healthz")
    assert status == 503
    assert json.loads(body)["silent_s"]["streams"] >= 0.05
    health.beat("streams")


def test_metrics_in_the_form_of_prometheus(address: str) -> None:
    telemetry.REJECTS.labels("inference-events", "bad_utf8").inc()
    status, kind, body = get(f"{address}/metrics?name[]=x")
    assert status == 200
    assert kind.startswith("text/plain")
    assert 'rheostat_rejects_total{reason="bad_utf8",topic="inference-events"}' in body


def test_another_page_tells_which_there_are(address: str) -> None:
    status, _, body = get(f"{address}/")
    assert status == 404
    assert json.loads(body)["pages"] == ["/metrics", "/healthz", "/readyz"]
