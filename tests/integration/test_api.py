"""The API on a real broker: two processes at once, Kafka away, the agent killed, the worker."""

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi.testclient import TestClient

from agents.access.keys import KeyWish, NewKey, new_key
from api.app import PREFIX, create_app
from infra.api_server import services
from infra.settings import Settings
from schemas.access import AccessRole
from schemas.entities import Model
from tests.support.registry import apply_registry, registry_agent
from tests.support.servers import free_port, wait_http, wait_until

pytestmark = pytest.mark.integration
POLICY: dict[str, Any] = {"capability": "chat", "min_samples": 1}


def made_key(role: AccessRole = "editor", org_id: str = "acme") -> NewKey:
    return new_key(KeyWish(org_id, role), datetime.now(UTC))


@contextmanager
def api(settings: Settings, key: NewKey, timeout_s: float = 15.0) -> Iterator[TestClient]:
    """One process's worth of the API, over connections of its own."""
    held = services(settings)
    held = replace(held, config=replace(held.config, write_timeout_s=timeout_s))
    with held:
        client = TestClient(create_app(held), f"http://test{PREFIX}", raise_server_exceptions=False)
        client.headers["X-API-Key"] = key.token
        wait_until(lambda: client.get("/me/").status_code != 503)
        yield client


def test_two_processes_agree(settings: Settings) -> None:
    key = made_key()
    apply_registry(settings, [key.entity])
    with ExitStack() as stack:
        stack.enter_context(registry_agent(settings))
        one, two = (stack.enter_context(api(settings, key)) for _ in range(2))
        made = one.post("/policies/", json=POLICY)
        assert made.status_code == 201
        assert one.get("/policies/chat/").json() == made.json(), "a write can be read at once"
        wait_until(lambda: two.get("/policies/chat/").status_code == 200, 20)
        seen = {"If-Match": made.headers["etag"]}

        def race(i: int) -> int:
            client = (one, two)[i % 2]
            sent = client.patch("/policies/chat/", json={"min_samples": i + 2}, headers=seen)
            return sent.status_code

        def change(i: int) -> int:
            return (
                (one, two)[i % 2]
                .patch("/policies/chat/", json={"window_minutes": i + 1})
                .status_code
            )

        with ThreadPoolExecutor(8) as pool:
            statuses = list(pool.map(race, range(8)))
            assert sorted(statuses) == [200, *[412] * 7], (
                "exactly one of those who saw the same wins"
            )
            done = list(pool.map(change, range(4)))
        assert done == [200] * 4
        assert one.get("/policies/chat/").json()["meta"]["version"] == 2 + 4


def test_a_request_takes_effect_once_whichever_process_gets_it(settings: Settings) -> None:
    key = made_key("admin")
    apply_registry(settings, [key.entity])
    once = {"Idempotency-Key": "5e0c"}
    with ExitStack() as stack:
        stack.enter_context(registry_agent(settings))
        clients = [stack.enter_context(api(settings, key)) for _ in range(2)]

        def send(i: int) -> Any:
            return clients[i % 2].post("/policies/", json=POLICY, headers=once)

        with ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(send, range(6)))
        assert {a.status_code for a in answers} == {201}
        assert {a.json()["meta"]["version"] for a in answers} == {1}
        for client in clients:
            other = client.post("/policies/", json={**POLICY, "min_samples": 2}, headers=once)
            assert other.status_code == 422, other.text
        token = clients[0].post("/keys/", json={"role": "viewer"}).json()["token"]
        wait_until(lambda: clients[1].get("/me/", headers={"X-API-Key": token}).is_success, 20)


def test_while_nobody_answers_reads_go_on_and_writes_say_when_to_come_back(
    settings: Settings,
) -> None:
    key = made_key()
    apply_registry(settings, [key.entity, Model("acme", "small", "1", "us", ("chat",))])
    alone = settings.model_copy(update={"kafka_bootstrap": "127.0.0.1:1"})
    held = services(alone)
    with held:
        early = TestClient(create_app(held), f"http://test{PREFIX}")
        answer = early.get("/models/", headers={"X-API-Key": key.token})
        assert answer.status_code == 503, "nobody can be known before the registry was read"
        assert int(answer.headers["retry-after"]) >= 1
    with registry_agent(settings), api(settings, key, timeout_s=2.0) as client:
        made = client.post("/policies/", json=POLICY, headers={"Idempotency-Key": "a"})
        assert made.status_code == 201
    with api(settings, key, timeout_s=2.0) as client:
        sent = client.post(
            "/policies/", json={"capability": "code"}, headers={"Idempotency-Key": "b"}
        )
        assert sent.status_code == 503
        assert sent.headers["content-type"] == "application/problem+json"
        assert int(sent.headers["retry-after"]) >= 1
        assert [p["capability"] for p in client.get("/policies/").json()["items"]] == ["chat"]
        with registry_agent(settings):
            wait_until(
                lambda: (
                    client.post(
                        "/policies/", json={"capability": "code"}, headers={"Idempotency-Key": "b"}
                    ).status_code
                    == 201
                ),
                60,
            )
            assert client.get("/policies/code/").json()["meta"]["version"] == 1


@pytest.mark.chaos
def test_the_agent_is_killed_while_writes_are_under_way(settings: Settings) -> None:
    """Each request is sent again under its key until it is answered: each took effect once."""
    key = made_key()
    apply_registry(settings, [key.entity])
    process = start(settings, "agents")
    try:
        with api(settings, key, timeout_s=3.0) as client:

            def write(i: int) -> int:
                while True:
                    sent = client.post(
                        "/policies/",
                        json={"capability": f"c{i}"},
                        headers={"Idempotency-Key": f"key-{i}"},
                    )
                    if sent.status_code != 503:
                        return sent.status_code

            with ThreadPoolExecutor(4) as pool:
                answers = [pool.submit(write, i) for i in range(24)]
                wait_until(lambda: sum(a.done() for a in answers) >= 5)
                process.kill()
                process.wait(10)
                process = start(settings, "agents")
                assert {a.result() for a in answers} == {201}
            found = client.get("/policies/").json()["items"]
            assert len(found) == 24
            assert {p["meta"]["version"] for p in found} == {1}
    finally:
        process.kill()
        process.wait(10)


def start(settings: Settings, kind: str, **env: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "infra", "worker", kind],
        env={
            **os.environ,
            "RHEOSTAT_KAFKA_BOOTSTRAP": str(settings.kafka_bootstrap),
            "RHEOSTAT_TOPIC_PREFIX": settings.topic_prefix,
            "RHEOSTAT_DATA_DIR": str(settings.data_dir),
            "RHEOSTAT_METRICS_PORT": "0",
            "RHEOSTAT_WORKER_NAME": kind,
            **env,
        },
    )


def test_the_worker_serves_tells_its_health_and_ends_when_told(settings: Settings) -> None:
    key, port, pages = made_key(), free_port(), free_port()
    apply_registry(settings, [key.entity])
    env = {"RHEOSTAT_API_PORT": str(port), "RHEOSTAT_METRICS_PORT": str(pages)}
    process = start(settings, "api", **env)
    try:
        wait_http(f"http://127.0.0.1:{pages}/readyz", 60)
        base = f"http://127.0.0.1:{port}"
        with urllib.request.urlopen(f"{base}/docs", timeout=10) as page:
            assert b"swagger" in page.read()
        asked = urllib.request.Request(f"{base}{PREFIX}/me", headers={"X-API-Key": key.token})
        with urllib.request.urlopen(asked, timeout=10) as answer:
            assert json.load(answer)["org_id"] == "acme"
        with urllib.request.urlopen(f"http://127.0.0.1:{pages}/metrics", timeout=10) as answer:
            assert b"rheostat_healthy 1.0" in answer.read()
        large = urllib.request.Request(
            f"{base}{PREFIX}/policies/", b"x" * 3_000_000, {"X-API-Key": key.token}
        )
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(large, timeout=10)
        with refused.value as answer:
            assert answer.code == 413
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait(10)
